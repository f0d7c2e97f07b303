"""The record of a matrix: means, worsts, tables and JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reports.test_changes import data_free_report
from tests.reports.test_printing import a_report
from tfcompress.errors import UsageError
from tfcompress.reports.matrix_record import (
    MATRIX_FORMAT,
    CellMetric,
    MatrixCell,
    MatrixRecord,
    MetricSummary,
    cell_of,
    cell_rows,
    matrix_from_json,
    summaries_of,
    summary_rows,
)


def cell(model: str, recipe: str = "int8", **metrics: float | CellMetric) -> MatrixCell:
    found = {n: v if isinstance(v, CellMetric) else CellMetric(value=v) for n, v in metrics.items()}
    return MatrixCell(
        recipe=recipe, model=model, data="d.npz", folder=f"{model}/{recipe}", figure="top1", metrics=found
    )


def record(*cells: MatrixCell) -> MatrixRecord:
    return MatrixRecord(tool_version="1", cells=cells, summaries=summaries_of(cells))


def test_ratios_have_a_geometric_mean_and_losses_an_arithmetic_one() -> None:
    cells = (cell("a", size_ratio=2.0, accuracy_loss=1.0), cell("b", size_ratio=8.0, accuracy_loss=-0.5))
    mean = pytest.approx(4.0)
    assert summaries_of(cells) == (
        MetricSummary(recipe="int8", metric="size_ratio", cells=2, mean=mean, worst=2.0, worst_on="a:d.npz"),
        MetricSummary(recipe="int8", metric="accuracy_loss", cells=2, mean=0.25, worst=1.0, worst_on="a:d.npz"),
    )


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=6))
def test_the_mean_ratio_turned_round_is_the_mean_of_the_ratios_turned_round(ratios: list[float]) -> None:
    one, two = (
        summaries_of([cell(str(number), size_ratio=value) for number, value in enumerate(values)])[0]
        for values in (ratios, [1 / ratio for ratio in ratios])
    )
    assert math.isclose(one.mean or 0, 1 / (two.mean or 1))
    assert one.worst == min(ratios)


def test_each_recipe_is_summed_up_by_itself_over_the_cells_that_have_a_metric() -> None:
    failed = MatrixCell(recipe="qat", model="c", data="", folder="c", error="no", exit_code=3)
    cells = (cell("a", speedup=2.0), cell("a", "qat", size_ratio=3.0), cell("b", size_ratio=5.0), failed)
    found = {(each.recipe, each.metric): (each.cells, each.worst) for each in summaries_of(cells)}
    assert found == {("int8", "speedup"): (1, 2.0), ("int8", "size_ratio"): (1, 5.0), ("qat", "size_ratio"): (1, 3.0)}
    assert record(*cells).failed == (failed,)


def test_points_and_errors_in_metres_have_no_mean() -> None:
    metres = CellMetric(value=0.5, plain=True)
    (found,) = summaries_of((cell("a", accuracy_loss=1.0), cell("b", accuracy_loss=metres)))
    assert (found.cells, found.mean, found.worst, found.worst_on) == (2, None, None, "")


def test_a_cell_of_a_report_holds_its_metrics_and_scores() -> None:
    found = cell_of(a_report(), model="m.h5", data="d.npz", folder="m-d/int8", kept=True)
    assert (found.where, found.recipe, found.size_bytes, found.kept) == ("m.h5:d.npz", "int8", 1000, True)
    assert (found.before, found.after, found.figure) == ("90.00 %", "89.00 %", "top1")
    assert found.metrics["size_ratio"] == CellMetric(value=4.0)
    assert found.metrics["accuracy_loss"].low == pytest.approx(-0.7)


def test_tables_show_what_some_cell_has_and_say_which_failed() -> None:
    failed = MatrixCell(recipe="int8", model="c", data="", folder="c", error="no", exit_code=3)
    made = record(cell("a", size_ratio=2.0), cell("b", size_ratio=8.0, accuracy_loss=1.5), failed)
    titles, rows = cell_rows(made)
    assert titles == ["on", "recipe", "file", "float", "result", "smaller", "loss"]
    assert rows[0][-2:] == ["2x", "-"]
    assert rows[1][-2:] == ["8x", "1.50 pt"]
    assert rows[2] == ["c", "int8", "failed", "", "", "", ""]
    titles, rows = summary_rows(made)
    assert rows[0] == ["int8", "size of the file", "2", "4x", "2x", "a:d.npz"]
    assert {len(row) for row in rows} == {len(titles)}


def test_a_cell_whose_file_is_data_free_says_so_in_the_table_and_the_record() -> None:
    told = "data-free: the model alone, inputs in [0, 1]"
    found = cell_of(data_free_report(), model="m.h5", data="", folder="f", kept=False)
    assert found.data_free == told
    assert cell_rows(record(found))[1][0][1] == "int8 (data-free)"
    assert json.loads(record(found).to_json())["cells"][0]["data_free"] == told


def test_a_record_of_format_1_is_read() -> None:
    plain = json.loads(record(cell("a", size_ratio=2.0)).to_json())
    for each in plain["cells"]:
        del each["data_free"]
    assert matrix_from_json(json.dumps({**plain, "format": 1}), "m").cells == (cell("a", size_ratio=2.0),)


def test_json_comes_back_and_anything_else_is_refused() -> None:
    made = record(cell("a", size_ratio=2.0), MatrixCell(recipe="r", model="m", data="", folder="f", error="no"))
    assert matrix_from_json(made.to_json(), "matrix.json") == made
    for text, message in (
        ("{", "matrix.json is not JSON"),
        ("{}", "matrix.json is not the record of a matrix"),
        (
            json.dumps({**json.loads(made.to_json()), "format": MATRIX_FORMAT + 1}),
            "format must be a whole number between 1 and 2, got 3",
        ),
        (json.dumps({**json.loads(made.to_json()), "cell": 1}), "has no key 'cell'"),
    ):
        with pytest.raises(UsageError, match=message):
            matrix_from_json(text, "matrix.json")


cells = st.builds(
    MatrixCell,
    recipe=st.sampled_from(["int8", "qat", "a|b"]),
    model=st.text(max_size=6),
    data=st.sampled_from(["", "d.npz"]),
    folder=st.text(max_size=6),
    error=st.sampled_from(["", "", "", "no kernel"]),
    size_bytes=st.none() | st.integers(0, 10**9),
    figure=st.sampled_from(["top1", "mae"]),
    metrics=st.dictionaries(
        st.sampled_from(["size_ratio", "macs_ratio", "accuracy_loss", "agreement_db", "speedup"]),
        st.builds(CellMetric, value=st.floats(0.01, 100), low=st.none() | st.floats(0, 1), plain=st.booleans()),
        max_size=4,
    ),
)


@given(st.lists(cells, max_size=6))
@settings(max_examples=60)
def test_any_matrix_is_read_back_and_summed_up_between_its_best_and_its_worst(found: list[MatrixCell]) -> None:
    whole = record(*found)
    assert matrix_from_json(whole.to_json(), "matrix.json") == whole
    assert whole.failed == tuple(each for each in found if each.error)
    titles, rows = cell_rows(whole)
    assert {len(row) for row in rows} <= {len(titles)}
    assert [row[:2] for row in rows] == [[each.where, each.recipe] for each in found]
    titles, rows = summary_rows(whole)
    assert {len(row) for row in rows} <= {len(titles)}
    for summary in whole.summaries:
        having = [each for each in found if each.recipe == summary.recipe and summary.metric in each.metrics]
        values = [each.metrics[summary.metric].value for each in having]
        assert summary.cells == len(values) > 0
        if summary.mean is None or summary.worst is None:
            assert (summary.mean, summary.worst, summary.worst_on) == (None, None, "")
            continue
        assert min(values) * (1 - 1e-9) <= summary.mean <= max(values) * (1 + 1e-9)
        assert summary.worst == (max(values) if summary.metric == "accuracy_loss" else min(values))
        assert summary.worst_on in [each.where for each in having]


@pytest.mark.parametrize("number", [0, MATRIX_FORMAT + 1, "1", None, True, 1.0])
def test_a_matrix_of_another_format_is_refused(number: object) -> None:
    plain = {**json.loads(record(cell("a", size_ratio=2.0)).to_json()), "format": number}
    with pytest.raises(UsageError, match=r"matrix\.json: format must be a whole number between 1 and 2, got "):
        matrix_from_json(json.dumps(plain), "matrix.json")
