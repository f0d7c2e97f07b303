"""A figure at the desk and the same figure on the device are equal, for every task of the table.

The whole way is gone but for the interpreter: the data is bound, written for the runner with what its labels mean, read
by the runner, and scored there by what the file says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runner import scoring
from edge_runner.arrays import open_npz
from edge_runner.feeding import Feed
from edge_runner.interpreter import Tensor
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.evaluate.scoring import evaluate
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.tasks.binary import Binary
from tfcompress.tasks.labelling import labelling_of
from tfcompress.tasks.score import Figure, Score
from tfcompress.tasks.task import Task
from tfcompress.tasks.task_table import TASKS, read_score
from tfcompress.tasks.tokens import Tokens
from tfcompress.tasks.traits import OutputTraits, StepMask

SAMPLES = 48
INPUT = (8,)
RNG = np.random.default_rng(7)


def voided(labels: np.ndarray, void: int) -> np.ndarray:
    return np.where(RNG.random(labels.shape) < 0.1, void, labels)


LABELS: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {
    "class numbers": (RNG.integers(0, 7, SAMPLES), (7,)),
    "class numbers for each position": (RNG.integers(0, 5, (SAMPLES, 6)), (6, 5)),
    "one-hot": (np.eye(4)[RNG.integers(0, 4, SAMPLES)], (4,)),
    "shares of classes": (RNG.dirichlet(np.ones(3), SAMPLES), (3,)),
    "yes or no": (RNG.integers(0, 2, SAMPLES), (1,)),
    "tags": (RNG.integers(0, 2, (SAMPLES, 4)), (4,)),
    "numbers": (RNG.normal(size=(SAMPLES, 3)), (3,)),
    "maps": (voided(RNG.integers(0, 3, (SAMPLES, 4, 5)), 255), (4, 5, 3)),
    "masks": (RNG.integers(0, 2, (SAMPLES, 4, 5, 1)), (4, 5, 1)),
    "steps with padding": (voided(RNG.integers(0, 5, (SAMPLES, 6)), -1), (6, 5)),
    "maps with a void of their own": (voided(RNG.integers(0, 3, (SAMPLES, 4, 5)), 99), (4, 5, 3)),
    "steps with a padding of their own": (voided(RNG.integers(0, 5, (SAMPLES, 6)), 99), (6, 5)),
    "identities": (RNG.integers(0, 9, SAMPLES), (16,)),
    "anomalies": (np.repeat(RNG.integers(0, 2, SAMPLES // 4), 4), (8,)),
}
"""Labels as users store them, and the shape of the output that they are for."""

SCORE = Score(task="tokens", samples=1, main="step_accuracy", figures={"step_accuracy": Figure(0.5)})

SETTINGS: dict[str, dict[str, Any]] = {"ignore_label": {"ignore_label": 99}, "windows_of": {"windows_of": 4}}


def is_case(task: Task, y: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the task takes such labels, and each of them."""
    compares_inputs = not task.needs_labels
    if not task.takes(y, shape) or (compares_inputs and shape != INPUT):
        return False
    try:
        task.encode(y, np.arange(SAMPLES), task.form(y, shape, "y"))
    except DataError:
        return False
    return True


def cases() -> Iterator[Any]:
    for name, task in TASKS.items():
        for said in [{}, *(SETTINGS[setting] for setting in task.heeds)]:
            wanted = task.configured(labelling_of(**said))
            for labels, (y, shape) in LABELS.items():
                if is_case(wanted, y, shape):
                    yield pytest.param(name, labels, said, id="-".join((name, labels, *said)))


CASES = list(cases())


@pytest.mark.parametrize("task", TASKS)
def test_there_are_labels_for_every_task(task: str) -> None:
    assert any(case.values[0] == task for case in CASES), "add labels and the shape of their output to LABELS"


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(-1, keepdims=True))


class Replay:
    """A model in either place that gives outputs made before, in the samples' order."""

    def __init__(self, outputs: np.ndarray, inputs: np.ndarray) -> None:
        self.given, self.place = outputs, 0
        self.inputs = (self._tensor("x", inputs),)
        self.outputs = (self._tensor("out", outputs),)

    @staticmethod
    def _tensor(name: str, values: np.ndarray) -> Tensor:
        return Tensor(name, name, 0, (1, *values.shape[1:]), (), np.dtype(np.float32), None, None)

    def predict(self, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        start, self.place = self.place, self.place + len(x["x"])
        return {"out": self.given[start : self.place]}

    def reset(self) -> None: ...

    def put(self, tensor: Tensor, values: np.ndarray) -> None: ...

    def invoke(self) -> None:
        self.place += 1

    def get(self, tensor: Tensor) -> np.ndarray:
        return self.given[self.place - 1 : self.place]


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize(("task", "labels", "said"), CASES)
def test_desk_and_device_give_the_same_figures(
    task: str, labels: str, said: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    y, shape = LABELS[labels]
    rng = np.random.default_rng(3)
    x = rng.normal(size=(SAMPLES, *INPUT)).astype(np.float32)
    logits = rng.normal(size=(SAMPLES, *shape))
    several = shape[-1] > 1
    probabilities = softmax(logits) if several else 1 / (1 + np.exp(-logits))
    outputs = (logits if kind == "logits" else probabilities).astype(np.float32)
    signature = Signature((TensorSpec("x", INPUT, "float32"),), (TensorSpec("out", shape, "float32"),))
    data = load_data({"test": (x, y)}, task=task, **said).bind(signature)
    here = evaluate(Replay(outputs, x).predict, data.need_test(), data.tasks, batch_size=20).score

    data.write_for_runner(tmp_path / "test-samples.npz", None)
    arrays = open_npz(tmp_path / "test-samples.npz")
    model: Any = Replay(outputs, x)
    feed = Feed(model.inputs, arrays)
    found = scoring.score(model, feed, arrays, limit=None, predictions=False, folder=None, alive=lambda text: None)
    (counted,) = found["outputs"].values()
    there = read_score(counted)

    assert (there.task, there.samples, there.main) == (task, here.samples, here.main)
    assert {name: figure.value for name, figure in there.figures.items()} == {
        name: figure.value for name, figure in here.figures.items()
    }
    assert there.per_class == here.per_class
    assert found["warnings"] == []


@pytest.mark.parametrize("told_by", ["the model's mask", "weights of steps", "both"])
def test_steps_that_are_padding_are_so_at_the_desk_and_on_the_device(told_by: str, tmp_path: Path) -> None:
    y, (steps, classes) = RNG.integers(0, 5, (SAMPLES, 6)), (6, 5)
    lengths, ends = RNG.integers(1, 7, (2, SAMPLES, 1))
    x = np.where(np.arange(steps) < lengths, RNG.integers(1, 9, y.shape), 0).astype(np.int32)
    weights = np.where(np.arange(steps) < ends, 0.5, 0)
    outputs = softmax(np.random.default_rng(3).normal(size=(SAMPLES, steps, classes))).astype(np.float32)
    masks, weighted = told_by != "weights of steps", told_by != "the model's mask"
    traits = OutputTraits(mask=StepMask("x", 0.0) if masks else None)
    signature = Signature(
        (TensorSpec("x", (steps,), "int32"),), (TensorSpec("out", (steps, classes), "float32", traits),)
    )
    data = load_data({"test": (x, y, weights) if weighted else (x, y)}).bind(signature)
    counted = (x > 0 if masks else True) & (weights > 0 if weighted else np.full(y.shape, True))
    here = evaluate(Replay(outputs, x).predict, data.need_test(), data.tasks, batch_size=20).score
    assert here.figures["step_accuracy"].value == pytest.approx((outputs.argmax(-1) == y)[counted].mean())

    data.write_for_runner(tmp_path / "test-samples.npz", None)
    arrays, model = open_npz(tmp_path / "test-samples.npz"), Replay(outputs, x)
    assert np.array_equal(arrays["y"], np.where(counted, y, -1))
    found = scoring.score(
        model,  # type: ignore[arg-type]
        Feed(model.inputs, arrays),
        arrays,
        limit=None,
        predictions=False,
        folder=None,
        alive=lambda text: None,
    )
    there = read_score(next(iter(found["outputs"].values())))
    assert {name: figure.value for name, figure in there.figures.items()} == {
        name: figure.value for name, figure in here.figures.items()
    }


@pytest.mark.parametrize(
    ("labels", "task", "told"),
    [
        ("yes or no", Binary(0.25), {"threshold": 0.25}),
        ("steps with padding", Tokens().as_scored(SCORE), {"perplexity": False}),
        ("steps with padding", Tokens(perplexity=True), {"perplexity": True}),
    ],
)
def test_what_the_device_is_told_of_a_task_the_desk_reads_again(
    labels: str, task: Task, told: dict[str, Any], tmp_path: Path
) -> None:
    y, shape = LABELS[labels]
    signature = Signature((TensorSpec("x", INPUT, "float32"),), (TensorSpec("out", shape, "float32"),))
    data = load_data({"test": (np.zeros((SAMPLES, *INPUT), np.float32), y)}).bind(signature)
    data.with_tasks({"out": task}).write_for_runner(tmp_path / "test-samples.npz", None)
    again = load_data(tmp_path / "test-samples.npz").bind(signature, holdout=None)
    assert again.tasks["out"].options() == told
    assert again.describe()["task_options"] == {"out": told}


@pytest.mark.parametrize("rubbish", [None, "0.5", True, float("nan"), [1], {}])
def test_what_a_file_tells_wrongly_of_a_task_changes_nothing(rubbish: Any) -> None:
    assert Binary().as_told({"threshold": rubbish}).options() == {}
    assert Tokens().as_told({"perplexity": 1 if rubbish is True else rubbish}).options() == {}
