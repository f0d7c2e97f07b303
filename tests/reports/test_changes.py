"""tfcompress.reports.changes and gate: what changed between two runs, and conditions on it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.reports import report as r
from tfcompress.reports.changes import changes, comparable_runs
from tfcompress.reports.gate import read_condition
from tfcompress.tasks.score import Figure, Score


def a_score(value, half=None, name="top1", better="higher", unit="fraction"):
    ends = (None, None) if half is None else (value - half, value + half)
    return Score(task="classification", samples=100, main=name, figures={name: Figure(value, *ends, unit, better)})


def a_run(latencies_ms, device="pi", spread=0.0):
    samples = [round(1e6 * each * (1 + spread * (place % 3 - 1))) for each in latencies_ms for place in range(9)]
    middle = sorted(samples)[len(samples) // 2] / 1e6
    return r.EdgeRun(
        created_utc="2026-01-01T00:00:00Z",
        device=device,
        cpu="c",
        architecture="aarch64",
        runtime="litert",
        runtime_version="2.1",
        delegate="XNNPACK",
        threads=1,
        environment={},
        result=r.Measurement(
            sha256="a",
            samples_ns=tuple(samples),
            blocks=(9,) * len(latencies_ms),
            summary={"median_ms": middle, "p90_ms": middle},
            peak_memory_bytes=1000,
        ),
    )


def a_report(size=1000, score=None, edge=()):
    result = r.ResultFile(
        name="net.tflite", sha256="a", size_bytes=size, gzip_bytes=size // 2, quantize="int8", score=score
    )
    return r.Report(
        tool_version="0",
        created_utc="2026-01-01T00:00:00Z",
        recipe_name="int8",
        recipe={},
        seeds={},
        versions={},
        machine=r.Machine(system="Linux", architecture="x86_64"),
        source=r.SourceModel(name="net.h5", writer="keras2"),
        result=result,
        edge=tuple(edge),
    )


def data_free_report(score=None):
    """Return the report of an int8 file that saw no sample."""
    told = {"calibration": "data-free: the model alone, inputs in [0, 1]"}
    report = a_report(1000, score)
    return dataclasses.replace(report, result=dataclasses.replace(report.result, verification=told))


def outcome(condition, before, after):
    found = changes(before, after)
    return read_condition(condition, [change.name for change in found]).judge(found).outcome


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("size > 1.05x", "fails"),  # 1100 of 1000
        ("size > 1.2x", "passes"),
        ("size >= 1100", "fails"),
        ("size > 1.1KB", "passes"),
        ("size <= 2 KiB", "fails"),
        ("size_drop > 50B", "fails"),  # lower is better: 100 more is a drop of 100
        ("gzip > 1.05x", "fails"),
        ("package > 1", "not measured"),
        ("accuracy > 1.05x", "not measured"),
    ],
)
def test_conditions_on_exact_quantities(condition, expected):
    assert outcome(condition, a_report(1000), a_report(1100)) == expected


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.2), st.floats(0.001, 0.2), st.floats(-20, 20))
def test_a_drop_fails_only_where_its_whole_interval_lies_beyond(before, after, one, two, level):
    reports = a_report(score=a_score(before, one)), a_report(score=a_score(after, two))
    found = outcome(f"accuracy_drop > {level:.6f}pt", *reports)
    drop, reach = 100 * (before - after), 100 * (one**2 + two**2) ** 0.5
    level = float(f"{level:.6f}")
    if abs(abs(drop - level) - reach) > 1e-6:
        beyond = "fails" if drop > level else "passes"
        assert found == (beyond if abs(drop - level) > reach else "indistinguishable")


def test_for_an_error_a_drop_is_a_rise():
    before, after = (a_report(score=a_score(value, name="mae", better="lower", unit="label")) for value in (1.0, 1.5))
    assert outcome("accuracy_drop > 0.4", before, after) == "fails"
    assert outcome("mae_drop > 0.6", before, after) == "passes"
    (change,) = [change for change in changes(before, after) if change.name == "mae"]
    assert (change.verdict, change.text) == ("worse", "+0.5")


def test_the_verdict_of_figures_within_each_others_chance_is_indistinguishable():
    before, after = a_report(score=a_score(0.90, 0.02)), a_report(score=a_score(0.89, 0.02))
    (change,) = [change for change in changes(before, after) if change.name == "top1"]
    assert change.verdict == "indistinguishable"


def test_latencies_are_compared_on_one_device_only():
    slow, fast = a_run([2.0] * 6, spread=0.01), a_run([1.0] * 6, spread=0.01)
    assert outcome("median_latency > 1.5x", a_report(edge=[fast]), a_report(edge=[slow])) == "fails"
    assert outcome("median_latency > 1.5ms", a_report(edge=[fast]), a_report(edge=[slow])) == "fails"
    elsewhere = dataclasses.replace(slow, device="another")
    assert comparable_runs(a_report(edge=[fast]), a_report(edge=[elsewhere])) is None
    assert outcome("median_latency > 1.5x", a_report(edge=[fast]), a_report(edge=[elsewhere])) == "not measured"


def test_a_percentile_has_an_interval_of_its_own():
    """Every turn's slowest inferences take thrice as long; the medians stay."""
    calm = a_run([1.0, 1.01, 0.99, 1.0])
    samples = tuple(3 * value if place % 9 > 6 else value for place, value in enumerate(calm.result.samples_ns))
    slow = dataclasses.replace(
        calm, result=dataclasses.replace(calm.result, samples_ns=samples, summary={"median_ms": 1.0, "p90_ms": 3.0})
    )
    before, after = a_report(edge=[calm]), a_report(edge=[slow])
    assert outcome("p90_latency > 1.5x", before, after) == "fails"
    assert outcome("median_latency > 1.5x", before, after) == "passes"
    median, p90 = (next(c for c in changes(before, after) if c.name == f"{n}_latency") for n in ("median", "p90"))
    assert median.ratio[1] < 1.1 < 2.5 < p90.ratio[0]


def test_latencies_that_scatter_cannot_be_told_apart():
    one, two = a_run([1.0, 1.6, 0.8, 1.3]), a_run([1.1, 1.5, 0.9, 1.5])
    assert outcome("median_latency > 1.05x", a_report(edge=[one]), a_report(edge=[two])) == "indistinguishable"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("size", "must be NAME OP NUMBER"),
        ("size = 3", "must be NAME OP NUMBER"),
        ("size > 1.2.3", "'1.2.3' is no number"),
        ("sise > 3", r"no quantity 'sise' \(did you mean 'size'\?\)"),
        ("size_drop > 1.1x", "a drop is a difference"),
    ],
)
def test_what_is_no_condition_is_refused(condition, said):
    with pytest.raises(UsageError, match=said):
        read_condition(condition)


def test_a_unit_of_another_kind_is_refused():
    with pytest.raises(UsageError, match=r"the unit must be one of .*KB.*got 'ms'"):
        outcome("size > 3ms", a_report(), a_report())
