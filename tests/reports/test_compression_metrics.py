"""The metrics of compression: each by hand, and those that reports hold from the same table."""

from __future__ import annotations

import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.reports.test_printing import a_report, difference, measured, score
from tfcompress.reports import report as r
from tfcompress.reports.compression_metrics import (
    COMPRESSION_METRICS,
    MetricValue,
    Sides,
    metric_value,
    metric_words,
    report_metrics,
)
from tfcompress.reports.measurements import Compared, EdgeRun, Measurement
from tfcompress.reports.printing import print_metrics
from tfcompress.tasks.score import Difference, Figure

ERROR = Difference(figure="mae", value=0.5, unit="label", better="lower", low=0.2, high=0.8)
COUNTS = st.integers(1, 10**12)


def side(**values) -> Measurement:
    return Measurement(**{"sha256": "", "samples_ns": (), "summary": {}, **values})


def run(result: Measurement, baseline: Measurement | None = None, compared: Compared | None = None) -> EdgeRun:
    return EdgeRun(
        created_utc="", device="Pi", cpu=None, architecture="", runtime="litert", runtime_version="", delegate=None,
        threads=1, environment={}, result=result, baseline=baseline, compared=compared,
    )  # fmt: skip


def sides(**values) -> Sides:
    report = a_report()
    return Sides(report.source, report.baseline, report.result)._replace(**values)


def test_the_sizes_and_counts_of_a_report_by_hand() -> None:
    report = a_report()
    result = dataclasses.replace(report.result, macs=2_500_000, package_bytes=500)
    found = report_metrics(dataclasses.replace(report, result=result))
    assert {name: value.value for name, value in found.items()} == {
        "parameter_ratio_all": 1000 / 1000,
        "parameter_ratio": 1000 / 500,
        "size_ratio": 4000 / 1000,
        "gzip_ratio": 3000 / 750,
        "package_ratio": 4000 / 500,
        "macs_ratio": 2.0,
        "accuracy_loss": pytest.approx(1.0),
        "relative_accuracy_loss": pytest.approx(0.01 / 0.9),
        "agreement_db": 30.04,
        "agreement_top1": 0.98,
    }


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_what_a_report_holds_is_what_the_table_says(before: int, after: int, parameters: int, nonzero: int) -> None:
    here = sides()
    source = dataclasses.replace(here.source, parameters=parameters, macs=before)
    baseline = dataclasses.replace(here.baseline, size_bytes=before, gzip_bytes=after)
    result = dataclasses.replace(here.result, size_bytes=after, gzip_bytes=before, nonzero=nonzero, macs=after)
    found = r.comparison_of(source, baseline, result)
    both = Sides(source, baseline, result)
    for name in ("size_ratio", "gzip_ratio", "parameter_ratio", "macs_ratio"):
        assert getattr(found, name) == metric_value(name, both)
    assert (found.size_ratio, found.gzip_ratio) == (before / after, after / before)
    assert found.parameter_ratio == parameters / nonzero


def test_multiply_accumulates_that_are_not_all_counted_give_no_ratio() -> None:
    here = sides()
    result = dataclasses.replace(here.result, macs=5)
    assert metric_value("macs_ratio", sides(result=result)) == here.source.macs / 5
    part = dataclasses.replace(here.source, not_counted=("loop",))
    assert metric_value("macs_ratio", sides(result=result, source=part)) is None
    assert metric_value("macs_ratio", sides(result=dataclasses.replace(result, macs=None))) is None


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (difference(-0.01, "same", -0.03, 0.005), MetricValue(1.0, -0.5, 3.0)),
        (difference(0.02, "better", 0.01, 0.03), MetricValue(-2.0, -3.0, -1.0)),
        (ERROR, MetricValue(0.5, 0.2, 0.8, plain=True)),
        (Difference(figure="top1", value=0.0), MetricValue(0.0)),
    ],
)  # fmt: skip
def test_a_loss_is_what_became_worse_whichever_way_is_better(main: Difference, expected: MetricValue) -> None:
    found = COMPRESSION_METRICS["accuracy_loss"].of(sides(main=main))
    assert found == pytest.approx(expected)
    assert str(found.value) != "-0.0"


def test_a_loss_relative_to_nothing_is_not_known() -> None:
    zero = dataclasses.replace(score(0.5), figures={"top1": Figure(0.0)})
    baseline = dataclasses.replace(sides().baseline, score=zero)
    main = Difference(figure="top1", value=0.1)
    assert metric_value("relative_accuracy_loss", sides(main=main, baseline=baseline)) is None


def test_energy_is_saved_only_where_both_files_were_measured() -> None:
    assert metric_value("energy_saving", sides(run=run(side(energy_joules=0.25), side(energy_joules=1.0)))) == 0.75
    assert metric_value("energy_saving", sides(run=run(side(energy_joules=0.25)))) is None
    assert metric_value("energy_saving", sides(run=run(side(), side(energy_joules=1.0)))) is None


def test_a_speed_up_has_the_interval_that_the_device_found() -> None:
    compared = Compared(ratio=2.0, low=1.8, high=2.2, confidence=0.99, verdict="faster")
    both = run(side(summary={"median_ms": 5.0}), side(summary={"median_ms": 11.0}), compared)
    assert COMPRESSION_METRICS["speedup"].of(sides(run=both)) == MetricValue(2.0, 1.8, 2.2)
    alone = run(side(summary={"median_ms": 5.0}), side(summary={"median_ms": 10.0}))
    assert COMPRESSION_METRICS["speedup"].of(sides(run=alone)) == MetricValue(2.0)


def test_inferences_in_a_second_have_an_interval_from_two_turns_on() -> None:
    one = run(side(summary={"median_ms": 4.0}, samples_ns=(4_000_000,), blocks=(1,)))
    assert COMPRESSION_METRICS["fps"].of(sides(run=one)) == MetricValue(250.0)
    turns = run(side(summary={"median_ms": 4.0}, samples_ns=(3_900_000, 4_000_000, 4_100_000), blocks=(1, 1, 1)))
    found = COMPRESSION_METRICS["fps"].of(sides(run=turns))
    assert found.low < 250.0 < found.high
    assert found.high / 250.0 == pytest.approx(250.0 / found.low)
    same = run(side(summary={"median_ms": 4.0}, samples_ns=(4_000_000,) * 3, blocks=(1, 1, 1)))
    assert COMPRESSION_METRICS["fps"].of(sides(run=same)) == pytest.approx(MetricValue(250.0, 250.0, 250.0))


def test_memory_and_arena_are_compared_within_one_run() -> None:
    both = run(
        side(peak_memory_bytes=4_000, planned_arena_bytes=100), side(peak_memory_bytes=8_000, planned_arena_bytes=400)
    )
    assert (metric_value("memory_ratio", sides(run=both)), metric_value("arena_ratio", sides(run=both))) == (2.0, 4.0)
    assert metric_value("arena_ratio", sides(run=run(side(planned_arena_bytes=100)))) is None


def test_every_metric_that_was_measured_is_printed_with_its_formula() -> None:
    stream = io.StringIO()
    print_metrics(measured(), Console(file=stream, width=200, highlight=False))
    text = stream.getvalue()
    for name in report_metrics(measured()):
        assert COMPRESSION_METRICS[name].formula in text
    assert "ITS" in text
    assert "ESR" not in text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("size_ratio", MetricValue(3.6512), "3.65x"),
        ("energy_saving", MetricValue(0.25), "25.00 %"),
        ("accuracy_loss", MetricValue(1.0, -0.5, 3.0), "1.00 pt (-0.50..3.00)"),
        ("accuracy_loss", MetricValue(0.123456, plain=True), "0.1235"),
        ("fps", MetricValue(250.0, 240.0, 260.0), "250/s (240..260)"),
        ("fps", MetricValue(4870.4, 4780.0, 4970.0), "4,870/s (4,780..4,970)"),
        ("agreement_db", MetricValue(30.04), "30 dB"),
    ],
)
def test_a_value_is_written_with_its_unit_and_interval(name: str, value: MetricValue, words: str) -> None:
    assert metric_words(COMPRESSION_METRICS[name], value) == words


def test_every_metric_says_of_what_it_is_and_where_it_comes_from() -> None:
    for metric in COMPRESSION_METRICS.values():
        assert metric.formula
        assert metric.source
        assert (metric.better == "lower") == ("loss" in metric.title)
