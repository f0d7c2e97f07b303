"""Which way of scoring fits an output and its labels: the command line reads this table, so it imports no numpy."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from edge_runner.ndarray import Array


@dataclass(frozen=True)
class Scoring:
    """How a task is scored.

    Attributes:
        maker: ``module:function`` that gets labels, the output and the task's options, and returns a
            :class:`Labelled`.
        needs_labels: whether there is nothing to score without them; else the function may get None.
    """

    maker: str
    needs_labels: bool = True


SCORERS: Mapping[str, Scoring] = {
    "classification": Scoring("edge_runner.fitting:classification"),
    "binary": Scoring("edge_runner.fitting:binary"),
    "multi-label": Scoring("edge_runner.fitting:multi_label"),
    "regression": Scoring("edge_runner.fitting:regression"),
    "segmentation": Scoring("edge_runner.fitting:segmentation"),
    "tokens": Scoring("edge_runner.fitting:tokens"),
    "autoencoder": Scoring("edge_runner.fitting:autoencoder", needs_labels=False),
    "embedding": Scoring("edge_runner.fitting:embedding"),
}
"""By task, one line each."""

TASKS = ("auto", *SCORERS)
"""What ``--task`` takes."""


class OutputScorer(Protocol):
    """Adds batches up."""

    @property
    def predictions(self) -> list[int] | None:
        """The class of each sample; None where there is none."""

    @property
    def right(self) -> str | None:
        """Which samples were right, see :func:`edge_runner.scorers.bits`; None where they are not right or wrong."""

    def add(self, labels: Any, outputs: Array) -> None:
        """Take one batch: its labels (None where the task needs none and has none) and its real-valued outputs."""

    def result(self) -> dict[str, Any]:
        """Return the figures of all batches by name, ``task`` and ``samples`` among them."""


@dataclass(frozen=True)
class Labelled:
    """A scorer and the labels that it takes.

    Attributes:
        scorer: what scores.
        labels: (samples, ...), in the form that the scorer takes; they may lie on the disk; None where there are none.
    """

    scorer: OutputScorer
    labels: Array | None

    def take(self, start: int, outputs: Array) -> None:
        """Score the real-valued *outputs* (samples, ...) of the samples from *start* on."""
        labels = None if self.labels is None else self.labels[start : start + len(outputs)]
        self.scorer.add(labels, outputs)


@dataclass(frozen=True)
class Output:
    """An output to be scored.

    Attributes:
        shape: of one sample.
        class_numbers: whether it holds whole numbers that are not quantized reals: classes chosen inside the model.
        where: how messages call its labels.
        input_shape: of one sample of the model's only input; None when it has several.
        sample: returns the real-valued input of a sample by its number.
    """

    shape: tuple[int, ...]
    class_numbers: bool = False
    where: str = "labels"
    input_shape: tuple[int, ...] | None = None
    sample: Callable[[int], Array] | None = None

    @property
    def size(self) -> int:
        """How many values a sample has."""
        return math.prod(self.shape)


def scorer(
    labels: Array | None, output: Output, task: str = "auto", options: Mapping[str, Any] | None = None
) -> Labelled:
    """Choose how to score.

    Args:
        labels: (samples,) or (samples, 1) class numbers, (samples, classes) one-hot, real values of the output's shape,
            0 or 1 a sample for an autoencoder, or (samples, height, width) class numbers for a segmentation; None for a
            task that needs none.
        output: what is scored.
        task: one of :data:`TASKS`; ``auto`` takes what labels and output look like.
        options: what the task was given where the data was written (:meth:`tfcompress.tasks.task.Task.options`).

    Raises:
        ArrayError: labels that do not fit, or a class number that the model has no output for.
    """
    if task == "auto":
        task = importlib.import_module("edge_runner.fitting").looks_like(labels, output)
    if labels is None and SCORERS[task].needs_labels:
        from edge_runner.arrays import ArrayError

        msg = f"task {task} needs labels, and there are none for this output"
        raise ArrayError(msg)
    module, _, function = SCORERS[task].maker.partition(":")
    made: Labelled = getattr(importlib.import_module(module), function)(labels, output, options or {})
    return made
