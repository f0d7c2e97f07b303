"""A limit that nothing could prove is refused, and what a run lost is read off its report."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.search.test_ladder import reported
from tfcompress.drop_limit import check_provable, drops_of, judged, kept_or_refused
from tfcompress.errors import DataError, PromiseError, UsageError
from tfcompress.recipe import Export, Recipe
from tfcompress.reports.report import Report
from tfcompress.tasks.classification import Classification
from tfcompress.tasks.embedding import Embedding
from tfcompress.tasks.regression import Regression
from tfcompress.tasks.score import Figure, Score
from tfcompress.tasks.task import Evaluation

INT8 = Recipe(export=Export(quantize="int8", max_drop=0.5))


def evaluated(main: str, value: float, outcomes: np.ndarray | None, samples: int, **more: Any) -> Evaluation:
    score = Score(task="toy", samples=samples, main=main, figures={main: Figure(value, **more)})
    return Evaluation(score, outcomes)


def data(**tasks: Any) -> Any:
    return SimpleNamespace(tasks=tasks)


def test_a_test_split_on_which_equal_answers_prove_too_little_is_refused_with_how_many_would_do() -> None:
    found = evaluated("top1", 0.9, np.arange(60) < 54, 60)
    with pytest.raises(DataError) as error:
        check_provable(data(scores=Classification()), found, 0.5)
    low = 100 * 1.959963984540054 / 62  # half a changed answer each way, of two samples more
    said = f"might lose {low:.2f} percentage points of accuracy on others (95 % interval); give about"
    assert said in str(error.value)
    needed = math.ceil(62 * low / 0.5)
    assert f"{needed:,} test samples, or max_drop 3.2" in str(error.value)
    check_provable(data(scores=Classification()), evaluated("top1", 0.9, np.ones(needed, bool), needed), 0.5)


def test_errors_of_numbers_prove_by_themselves() -> None:
    found = evaluated("mae", 2.0, np.arange(10.0), 10, unit="label", better="lower")
    check_provable(data(place=Regression()), found, 0.1)


@pytest.mark.parametrize(
    ("task", "found", "why"),
    [
        (
            Embedding(),
            evaluated("verification_auc", 0.9, None, 500, unit="area"),
            "in verification_auc has no interval",
        ),
        (
            Regression(),
            evaluated("mae", 0.0, np.zeros(9), 9, unit="label", better="lower"),
            "mae of the float model is 0, and a percentage of that means nothing",
        ),
    ],
)
def test_a_figure_that_proves_nothing_is_refused(task: Any, found: Evaluation, why: str) -> None:
    with pytest.raises(UsageError) as error:
        check_provable(data(only=task), found, 0.5)
    assert why in str(error.value)


def test_of_several_outputs_the_one_that_cannot_be_proven_is_named() -> None:
    outputs = {
        "kind": evaluated("top1", 0.9, np.ones(1000, bool), 1000),
        "who": evaluated("verification_auc", 0.9, None, 1000, unit="area"),
    }
    several = Evaluation(outputs["kind"].score, outputs["kind"].outcomes, outputs=outputs)
    with pytest.raises(UsageError, match="output 'who': the difference of two models in verification_auc"):
        check_provable(data(kind=Classification(), who=Embedding()), several, 0.5)


@pytest.mark.parametrize(("lost", "outcome"), [(0.3, "kept"), (0.31, "missed"), (-5.0, "kept")])
def test_the_upper_end_is_what_counts(lost: float, outcome: str) -> None:
    assert judged(reported(INT8, lost, 0.1999), INT8, "plain", 1.0).outcome == outcome


def test_a_single_run_keeps_the_limit_or_is_refused() -> None:
    kept = kept_or_refused(reported(INT8, 0.0, 0.2), INT8)
    assert kept.result.verification["promise"]["rungs"][0]["outcome"] == "kept"
    with pytest.raises(PromiseError, match=r"max_drop 0\.5 is not kept: 2\.00 percentage points of accuracy lost"):
        kept_or_refused(reported(INT8, 2.0, 0.2), INT8)
    plain = reported(Recipe(), 2.0, 0.2)
    assert kept_or_refused(plain, Recipe()) is plain


def test_a_file_in_float32_is_the_float_file_and_loses_nothing() -> None:
    recipe = Recipe(export=Export(max_drop=0.01))
    alone = Report(**{**vars(reported(recipe, 0.0, 0.2)), "baseline": None})
    (kept,) = kept_or_refused(alone, recipe).result.verification["promise"]["rungs"]
    assert (kept["outcome"], kept["points"], kept["high"]) == ("kept", 0.0, 0.0)


def test_scores_without_a_figure_in_common_prove_nothing() -> None:
    report = reported(INT8, 0.0, 0.2)
    without = Report(**{**vars(report), "baseline": None})
    with pytest.raises(UsageError, match="no figure in common"):
        drops_of(without, INT8)
