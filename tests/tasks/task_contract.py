"""What holds for every task: a test class of one inherits these tests."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import numpy as np
import pytest

from edge_runner import accuracy
from tfcompress.reports import codec
from tfcompress.tasks.figures import FIGURES
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import Evaluation, Task
from tfcompress.tasks.task_table import TASKS, read_score, task_of, trained_by

SAMPLES = 120


class TaskContract:
    """Inherit, and say below what a task's labels and outputs look like.

    Attributes:
        name: the task's.
        shape: of an output, without the batch.
        inputs: the shapes of the model's inputs by name.
        teaching: what such outputs are to a model that learns from them; None: what the task says.
    """

    name: ClassVar[str]
    shape: ClassVar[tuple[int, ...]]
    inputs: ClassVar[dict[str, tuple[int | None, ...]]] = {"x": (3, 2, 1)}
    teaching: ClassVar[str | None] = None

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Labels as a user stores them, (count, ...)."""
        raise NotImplementedError

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        """What a model gives that knows encoded labels but for some noise."""
        raise NotImplementedError

    def targets(self, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """What training compares such outputs with."""
        return self.formed().targets({}, labels)

    @property
    def task(self) -> Task:
        return TASKS[self.name]

    def encoded(self, count: int = SAMPLES) -> np.ndarray:
        y = self.stored(np.random.default_rng(0), count)
        return self.task.encode(y, np.arange(count), self.task.form(y, self.shape, "y"))

    def formed(self) -> Task:
        """Return the task for labels of this form."""
        y = self.stored(np.random.default_rng(0), SAMPLES)
        return self.task.formed(self.task.form(y, self.shape, "y"))

    def evaluation(self, noise: float, count: int = SAMPLES, seed: int = 1, batch: int = 50) -> Evaluation:
        labels = self.encoded(count)
        outputs = self.outputs(labels, noise, np.random.default_rng(seed))
        scorer = self.task.scorer()
        for start in range(0, count, batch):
            scorer.add(outputs[start : start + batch], labels[start : start + batch])
        return scorer.evaluation()

    def test_its_labels_are_known_to_be_its_own(self) -> None:
        found = task_of(self.stored(np.random.default_rng(0), SAMPLES), self.shape, self.inputs)
        assert found is not None
        assert found.name == self.name

    def test_encoded_labels_encode_to_themselves(self) -> None:
        once = self.encoded()
        again = self.task.encode(once, np.arange(SAMPLES), self.task.form(once, self.shape, "y"))
        np.testing.assert_array_equal(again, once)
        assert again.dtype == once.dtype

    def test_its_figures_are_in_the_table(self) -> None:
        assert set(self.task.figures) <= set(FIGURES)
        assert self.task.main == self.task.figures[0]
        assert self.evaluation(0.5).score.main == self.task.main

    def test_the_main_figure_lies_in_its_interval(self) -> None:
        main = self.evaluation(1.0).score.main_figure
        assert main.low is not None
        assert main.high is not None
        assert main.value is not None
        assert main.low < main.value < main.high

    def test_the_main_figure_is_the_mean_of_the_outcomes(self) -> None:
        found = self.evaluation(1.0)
        assert found.outcomes.shape == (SAMPLES,)
        assert found.outcomes.mean() == pytest.approx(found.score.main_figure.value)

    def test_a_score_is_the_same_however_the_samples_are_cut_into_batches(self) -> None:
        assert self.evaluation(1.0, batch=7).score == self.evaluation(1.0, batch=SAMPLES).score

    def test_a_score_survives_json(self) -> None:
        score = self.evaluation(1.0).score
        assert codec.from_plain(Score, codec.to_plain(score), "score") == score

    def test_the_device_finds_the_same_figures(self) -> None:
        labels = self.encoded()
        outputs = self.outputs(labels, 1.0, np.random.default_rng(1))
        told = (self.name, self.task.options())
        there = accuracy.scorer(self.task.for_runner(labels), accuracy.Output(self.shape), *told)
        for start, output in enumerate(outputs):
            there.take(start, output[None])
        counted, here = there.scorer.result(), self.evaluation(1.0).score
        assert counted["task"] == self.name
        assert {n: f.value for n, f in read_score(counted).figures.items()} == {
            n: f.value for n, f in here.figures.items()
        }

    def test_a_much_worse_model_is_found_to_be_worse_and_the_other_way_round(self) -> None:
        good, bad = self.evaluation(0.05), self.evaluation(4.0)
        down, up = self.task.compare(good, bad), self.task.compare(bad, good)
        assert down is not None
        assert up is not None
        assert (down.verdict, up.verdict) == ("worse", "better")
        assert down.value == -up.value
        assert (down.p, down.low, down.high) == pytest.approx((up.p, -(up.high or 0), -(up.low or 0)))
        assert not down.gain
        assert up.gain

    def test_few_samples_cannot_tell(self) -> None:
        first, second = self.evaluation(1.0, count=12, seed=1), self.evaluation(1.0, count=12, seed=2)
        found = self.task.compare(first, second)
        assert found is not None
        assert found.verdict == "cannot tell"

    def test_knowing_the_labels_beats_chance_and_knowing_nothing_does_not(self) -> None:
        assert self.task.beats_chance(self.evaluation(0.05).score) is True
        assert self.task.beats_chance(self.evaluation(1e6, seed=3).score) is False

    def test_no_samples_have_no_score(self) -> None:
        with pytest.raises(Exception, match="a score needs samples, got none"):
            self.task.scorer().evaluation()

    @pytest.mark.parametrize("library", ["keras", "tf_keras"])
    def test_its_loss_falls_on_its_own_labels_and_trains_such_outputs(self, library: str) -> None:
        keras: Any = importlib.import_module(library)
        labels = self.encoded()
        for noise_free in (True, False):
            outputs = self.outputs(labels, 0.0 if noise_free else 4.0, np.random.default_rng(1))
            loss = self.formed().loss(outputs, keras)
            value = float(loss(self.targets(labels, outputs), outputs.astype("float32")))
            if noise_free:
                least = value
        assert least < value
        assert trained_by(loss.name).teaching == (self.teaching or self.task.teaching)
