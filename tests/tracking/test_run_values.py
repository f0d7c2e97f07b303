"""What trackers are told of a run, out of its recipe and its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcompress.recipe import Export, Recipe, Train
from tfcompress.reports.report import read_report
from tfcompress.stages.stage_table import STAGES
from tfcompress.tracking.run_values import figures_of, settings_of

REPORTS = Path(__file__).parents[1] / "reports" / "older_reports"


def test_a_recipe_is_told_by_place_in_plain_values() -> None:
    stage = STAGES["prune"](sparsity=0.7)  # type: ignore[call-arg]  # of this stage
    found = settings_of(Recipe(stages=(stage,), train=Train(epochs=7), export=Export(quantize="int8")))
    assert found["prune.sparsity"] == 0.7
    assert (found["train.epochs"], found["export.quantize"], found["recipe"]) == (7, "int8", "prune0.7-int8")
    assert all(isinstance(value, bool | int | float | str) for value in found.values())


@pytest.mark.parametrize("kind", ["classification", "regression", "binary"])
def test_figures_are_those_of_the_report(kind: str) -> None:
    report = read_report(REPORTS / f"report_format_5_{kind}.json")
    found = figures_of(report)
    score = report.result.score
    assert score is not None
    assert found["result/size_bytes"] == report.result.size_bytes
    assert found[f"result/{score.main}"] == score.main_figure.value
    assert found["result/size_ratio"] == report.comparison.size_ratio
    assert report.baseline is not None
    assert report.baseline.score is not None
    assert found[f"float/{score.main}"] == report.baseline.score.main_figure.value
    assert all(isinstance(value, float) for value in found.values())
