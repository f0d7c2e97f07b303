"""The table of layers before and after, as rows, on a screen and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.reports.test_printing import a_report
from tfcompress.reports.layer_changes import LAYER_COLUMNS, layer_changes, layers_csv, to_csv
from tfcompress.reports.measurements import EdgeRun, Measurement
from tfcompress.reports.printing import print_layers
from tfcompress.reports.report import Report
from tfcompress.reports.sections import FileLayer, Layer

BEFORE = (
    Layer(
        name="conv",
        type="Conv2D",
        output_shape=(8, 8, 16),
        parameters=144,
        nonzero=144,
        macs=9216,
        bits=32,
        size_bytes=576,
    ),
    Layer(name="norm", type="BatchNormalization", output_shape=(8, 8, 16), parameters=64, nonzero=64, macs=0, bits=32),
    Layer(name="drop", type="Dropout", output_shape=(8, 8, 16)),
    Layer(name="head", type="Dense", output_shape=(3,), parameters=30, nonzero=30, macs=27, bits=32, size_bytes=120),
)
AFTER = (
    FileLayer(name="", tensor="image_int8", ops=("QUANTIZE",), places=(0,)),
    FileLayer(
        name="conv", ops=("CONV_2D",), places=(1,), merged=("norm",), output_shape=(8, 8, 8), parameters=80, nonzero=40,
        distinct=16, bits=8, size_bytes=104, macs=4608, snr_db=35.25,
    ),
    FileLayer(name="squeeze", ops=("FULLY_CONNECTED",), places=(2,), parameters=5, nonzero=5, macs=5),
    FileLayer(name="head", ops=("FULLY_CONNECTED", "SOFTMAX"), places=(3, 4), parameters=30, nonzero=30, macs=27),
)  # fmt: skip


def report_of(before: tuple[Layer, ...] = BEFORE, after: tuple[FileLayer, ...] = AFTER, **more: Any) -> Report:
    report = a_report(**more)
    source = dataclasses.replace(report.source, layers=before)
    return dataclasses.replace(report, source=source, result=dataclasses.replace(report.result, layers=after))


def timed(*op_ms: float | None) -> EdgeRun:
    return EdgeRun(
        created_utc="", device="Pi", cpu=None, architecture="", runtime="litert", runtime_version="", delegate=None,
        threads=1, environment={}, result=Measurement(sha256="", samples_ns=(), summary={}, op_ms=op_ms),
    )  # fmt: skip


def cells(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(layers_csv(report))))


def printed(report: Report, width: int, *, terminal: bool) -> str:
    stream = io.StringIO()
    print_layers(report, Console(file=stream, width=width, force_terminal=terminal, color_system=None, highlight=False))
    return stream.getvalue()


def test_rows_stand_in_the_order_of_the_model_and_what_is_new_behind_what_ran_before_it() -> None:
    rows = layer_changes(report_of())
    assert [row.name for row in rows] == ["image_int8", "conv", "squeeze", "norm", "drop", "head"]
    assert [row.merged_into for row in rows] == ["", "", "", "conv", "", ""]


def test_a_file_of_values_has_both_sides_of_everything() -> None:
    rows = {row["layer"]: row for row in cells(report_of())}
    conv = rows["conv"]
    assert (conv["shape_before"], conv["shape_after"], conv["width_after"]) == ("8x8x16", "8x8x8", "8")
    assert (conv["parameters_before"], conv["parameters_after"], conv["zeros_fraction_after"]) == ("144", "80", "0.5")
    assert (conv["bits_before"], conv["bits_after"], conv["distinct_values_after"]) == ("32", "8", "16")
    assert (conv["size_bytes_after"], conv["macs_after"], conv["snr_db"]) == ("104", "4608", "35.25")
    assert (rows["norm"]["ops"], rows["drop"]["ops"]) == ("in conv", "no op left")
    assert (rows["squeeze"]["parameters_before"], rows["squeeze"]["parameters_after"]) == ("", "5")


def test_the_share_of_time_is_known_only_where_all_ops_of_a_layer_were_timed() -> None:
    rows = {row.name: row.time_share for row in layer_changes(report_of(edge=(timed(1.0, 2.0, None, 3.0, 4.0),)))}
    assert rows == {"image_int8": 0.1, "conv": 0.2, "squeeze": None, "head": 0.7, "norm": None, "drop": None}
    assert {row.time_share for row in layer_changes(report_of())} == {None}


def test_a_run_without_times_of_ops_leaves_those_of_the_run_before() -> None:
    rows = layer_changes(report_of(edge=(timed(1.0, 1.0, 1.0, 1.0, 0.0), timed())))
    assert rows[1].time_share == 0.25


@pytest.mark.parametrize("width", [50, 80, 110, 200])
def test_a_narrow_terminal_keeps_what_matters_and_says_what_it_left_out(width: int) -> None:
    text = printed(report_of(), width, terminal=True)
    for whole in ("conv", "144 → 80", "576 → 104", "35.2 dB"):
        assert whole in text
    assert ("--csv has all columns" in text) == (width < 200)


def test_what_is_no_terminal_gets_every_column() -> None:
    text = printed(report_of(), 60, terminal=False)
    assert "--csv" not in text
    assert "8x8x16 → 8x8x8" in text
    assert "9,216 → 4,608" in text


def test_an_older_report_has_no_layers_and_says_why() -> None:
    report = report_of(after=())
    assert layer_changes(report) == []
    assert "older than format 6" in printed(report, 80, terminal=False)


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)


@given(NAMES, NAMES, st.integers(0, 3))
def test_every_layer_and_every_op_has_one_row_whatever_became_of_it(before, after, nameless: int) -> None:
    source = tuple(Layer(name=name, type="Dense", parameters=1) for name in before)
    groups = [FileLayer(name=name, parameters=2) for name in after] + [FileLayer(name="", tensor="t")] * nameless
    rows = layer_changes(report_of(source, tuple(groups)))
    if not groups:
        assert rows == []
        return
    assert [row.before for row in rows if row.before] == list(source)
    assert sum(row.after is not None for row in rows) == len(groups)
    assert sum(row.after.parameters for row in rows if row.after) == 2 * len(after)


def test_commas_and_quotes_in_names_stay_within_their_cell() -> None:
    text = to_csv(["a", "b"], [['x, "y"', None]])
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ['x, "y"', ""]]


def test_columns_have_names_of_their_own() -> None:
    names = [column.name for column in LAYER_COLUMNS]
    assert len(set(names)) == len(names)
