from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from edge_runner import accuracy
from tfcompress.errors import DataError
from tfcompress.tasks.task import Evaluation
from tfcompress.tasks.task_table import TASKS, read_score, task_of, trained_by

EMBEDDING = TASKS["embedding"]


def vectors(identities: np.ndarray, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.random.default_rng(1).normal(size=(10, 8))
    return (centres[identities] + noise * rng.normal(size=(len(identities), 8))).astype(np.float32)


def evaluated(identities: np.ndarray, outputs: np.ndarray, batch: int = 17) -> Evaluation:
    scorer = EMBEDDING.scorer()
    for start in range(0, len(outputs), batch):
        scorer.add(outputs[start : start + batch], identities[start : start + batch])
    return scorer.evaluation()


IDENTITIES = np.random.default_rng(2).integers(0, 10, 80)


def test_it_is_never_guessed() -> None:
    found = task_of(IDENTITIES, (16,))
    assert found is TASKS["classification"]
    assert EMBEDDING.fits(IDENTITIES, (8,))
    assert EMBEDDING.allowed((8,)) == "whole numbers that say who it is, one a sample"
    assert EMBEDDING.allowed((1,)) is None


def test_the_desk_and_the_device_find_the_same_figures() -> None:
    outputs = vectors(IDENTITIES, 1.0)
    here = evaluated(IDENTITIES, outputs).score
    there = accuracy.scorer(IDENTITIES, accuracy.Output((8,)), "embedding")
    for start, output in enumerate(outputs):
        there.take(start, output[None])
    found = read_score(there.scorer.result())
    assert {n: f.value for n, f in found.figures.items()} == {n: f.value for n, f in here.figures.items()}
    assert set(here.figures) == {"verification_auc", "recall_at_1"}
    assert here.samples == found.samples == 80


def test_knowing_who_is_who_beats_chance() -> None:
    assert EMBEDDING.beats_chance(evaluated(IDENTITIES, vectors(IDENTITIES, 0.1)).score) is True
    shuffled = np.random.default_rng(3).permutation(IDENTITIES)
    assert evaluated(shuffled, vectors(IDENTITIES, 0.1)).score.main_figure.value == pytest.approx(0.5, abs=0.05)


def test_a_difference_has_no_test() -> None:
    good, bad = (evaluated(IDENTITIES, vectors(IDENTITIES, noise)) for noise in (0.1, 3.0))
    found = EMBEDDING.compare(good, bad)
    assert found is not None
    assert (found.figure, found.verdict, found.p) == ("verification_auc", None, None)
    assert found.value < 0


def test_identities_are_whole_numbers_one_a_sample() -> None:
    form = EMBEDDING.form(np.zeros(3), (8,), "y")
    assert EMBEDDING.encode(np.array([[7.0], [-2.0]]), np.arange(2), form).tolist() == [7, -2]
    with pytest.raises(DataError, match=r"y must be whole numbers, sample 1 is 0\.5"):
        EMBEDDING.encode(np.array([0, 0.5]), np.arange(2), form)
    with pytest.raises(DataError, match=r"y has shape \(8,\) for each sample"):
        EMBEDDING.encode(np.zeros((2, 8)), np.arange(2), form)


def test_no_samples_have_no_score() -> None:
    with pytest.raises(DataError, match="a score needs samples, got none"):
        EMBEDDING.scorer().evaluation()


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_it_is_trained_by_directions(library: str) -> None:
    keras: Any = importlib.import_module(library)
    loss = EMBEDDING.loss(np.ones((2, 8)), keras)
    x = vectors(IDENTITIES, 1.0)
    assert float(loss(x, 3 * x)) == pytest.approx(-1)
    assert trained_by(loss.name) is EMBEDDING


def test_the_cosine_to_the_float_file_is_a_figure_and_without_labels_the_main_one() -> None:
    labelled = evaluated(IDENTITIES, vectors(IDENTITIES, 1.0)).score
    told = EMBEDDING.alike(labelled, {"cosine": 0.75}, 9)
    assert told is not None
    assert (told.main, told.samples, told.figures["cosine_agreement"].value) == ("verification_auc", 80, 0.75)
    alone = EMBEDDING.alike(None, {"cosine": 0.75}, 9)
    assert alone is not None
    assert (alone.main, alone.samples, alone.main_figure.value, alone.chance) == ("cosine_agreement", 9, 0.75, None)
    assert EMBEDDING.alike(None, {"cosine": None}, 9) is None
    assert TASKS["regression"].alike(None, {"cosine": 0.75}, 9) is None
