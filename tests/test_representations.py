"""What an interactive session shows of the objects that it gets: a line each, and a small table in a notebook."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfcompress as tfc
from tests.reports.test_html import DOCUMENT, Reader, a_report
from tests.reports.test_search_page import FOUND
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import named
from tfcompress.reports import edge
from tfcompress.search.automatic import AutoResult
from tfcompress.tasks.score import Figure, Score
from tfcompress.tasks.task import Evaluation
from tfcompress.tflite.export import TFLiteModel
from tfcompress.workbench import Result

LONGEST = 400
"""Characters: a few lines of a terminal. A report's was 144,788 long."""

PUBLIC = {name: getattr(tfc, name) for name in tfc.__all__}
REPORT = edge.join_measurement(a_report(), DOCUMENT)
SIGNATURE = Signature((TensorSpec("image", (8, 8, 1), "float32"),), (TensorSpec("scores", (3,), "float32"),))
FILE = TFLiteModel(b"x" * 53_104, tfc.Export(quantize="int8"), SIGNATURE, verification=None)  # type: ignore[arg-type]  # not shown
RESULT = Result(object(), FILE, REPORT, Path("out"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (REPORT, "Report(<b>int8</b>: 1,000 B, 88.00 %)"),
        (RESULT, "Result(<b>int8</b>: 1,000 B, 88.00 %, in 'out')"),
        (dataclasses.replace(RESULT, folder=None), "Result(<b>int8</b>: 1,000 B, 88.00 %)"),
        (dataclasses.replace(REPORT.edge[0], device="Pi"), "EdgeRun(Pi: 0.917 µs, litert 2.3.0, 1 thread)"),
        (FILE, "TFLiteModel(int8: 53,104 B, image → scores)"),
        (REPORT.result.score, "Score(classification, 500 samples: top1 0.88)"),
        (tfc.Recipe(), "Recipe()"),
        (
            tfc.Recipe(stages=(tfc.Prune(sparsity=0.8), tfc.Distill()), train=tfc.Train(epochs=5)),
            "Recipe(stages=(Prune(sparsity=0.8), Distill()), train=Train(epochs=5))",
        ),
    ],
)
def test_an_object_is_shown_in_a_line(value: Any, text: str) -> None:
    assert repr(value) == text


@pytest.mark.parametrize("part", [each.name for each in dataclasses.fields(REPORT)])
def test_no_part_of_a_report_floods_a_terminal(part: str) -> None:
    assert len(repr(getattr(REPORT, part))) < 3 * LONGEST


def test_neither_does_a_score_of_many_classes_and_samples() -> None:
    classes = {str(n): 0.5 for n in range(1000)}
    score = Score(task="t", samples=10**6, main="top1", figures={"top1": Figure(0.5)}, per_class=classes)
    assert len(repr(Evaluation(score, np.ones(900, bool)))) < LONGEST


def test_a_figure_that_could_not_be_computed_is_left_out() -> None:
    figures = {"top1": Figure(0.5), "auc": Figure(None)}
    assert repr(Score(task="t", samples=2, main="top1", figures=figures)) == "Score(t, 2 samples: top1 0.5)"


@pytest.mark.parametrize("recipe", named().values(), ids=lambda recipe: recipe.name)
def test_what_is_shown_of_a_recipe_makes_it_again(recipe: tfc.Recipe) -> None:
    assert eval(repr(recipe), PUBLIC) == recipe
    assert len(repr(recipe)) < LONGEST


@given(st.floats(0.01, 0.99), st.integers(1, 9), st.booleans())
def test_only_what_is_not_the_default_is_shown(sparsity: float, epochs: int, distil: bool) -> None:
    stages = (tfc.Prune(sparsity=sparsity), *([tfc.Distill()] if distil else []))
    recipe = tfc.Recipe(stages=stages, train=tfc.Train(epochs=epochs))
    shown = repr(recipe)
    assert ("epochs" in shown) == (epochs != tfc.Train().epochs)
    assert "export" not in shown
    assert eval(shown, PUBLIC) == recipe


@pytest.mark.parametrize("value", [REPORT, RESULT])
def test_a_notebook_shows_the_comparison_as_a_small_table(value: Any) -> None:
    cell = value._repr_html_()
    reader = Reader()
    reader.feed(cell)
    assert reader.open == []
    assert cell.count("<table") == 1
    assert "a&amp;b.h5 → a&amp;b.tflite" in cell
    assert "4,000 B" in cell
    assert len(cell) < 10_000
    assert "<html" not in cell


def test_a_notebook_shows_the_splits_of_a_data_set_without_reading_them() -> None:
    arrays = {"x_train": np.zeros((8, 2), np.float32), "y_train": np.zeros(8, int), "x_test": np.zeros((1500, 2))}
    data = tfc.load_data(arrays, classes=["<a>", "b"], preprocessing=tfc.Preprocessing(scale=0.5))
    cell = data._repr_html_()
    reader = Reader()
    reader.feed(cell)
    assert reader.open == []
    for text in ("8 samples", "1,500 samples", "scale 0.5", "&lt;a&gt;, b"):
        assert text in cell


def test_a_notebook_shows_the_front_of_a_search() -> None:
    cell = AutoResult(RESULT, (RESULT,), FOUND, None)._repr_html_()
    reader = Reader()
    reader.feed(cell)
    assert reader.open == []
    assert cell.count('class="dot winner"') == 1
    assert "recipe&lt;1&gt; (the best)" in cell
    assert "<html" not in cell
