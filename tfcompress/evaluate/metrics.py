"""The figures that the user asked for beside the task's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tfcompress.errors import DataError, UsageError
from tfcompress.models.keras_metric import KerasMetric
from tfcompress.tasks.metric import Metric
from tfcompress.tasks.score import Figure
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task

if TYPE_CHECKING:
    from tfcompress.tasks.task import Scorer


class _Running(Protocol):
    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None: ...

    def value(self) -> float: ...


class MeasuredScorer:
    """A task's scorer, and metrics beside it.

    Args:
        task: of the output.
        metrics: figures beside the task's own.
        main: the figure that is compared; None: the task's.
        where: the output's name.
    """

    def __init__(self, task: Task, metrics: Sequence[Metric], main: str | None, where: str) -> None:
        self._task, self._metrics, self._main, self._where = task, metrics, main, where
        self._scorer: Scorer = task.scorer()
        self._running: list[_Running] = [
            KerasMetric(metric.name) if metric.function is None else _Collected(metric) for metric in metrics
        ]

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        """Take one batch; see :class:`tfcompress.tasks.task.Scorer`.

        Metrics of outputs without labels compare with what training would.

        Raises:
            DataError: outputs that a metric cannot take.
        """
        self._scorer.add(outputs, labels, inputs)
        if not self._metrics:
            return
        truth = self._task.targets(inputs, labels) if labels is None else labels
        for metric, running in zip(self._metrics, self._running, strict=True):
            if metric.wants in ("probabilities", "classes") and not ((outputs >= 0) & (outputs <= 1)).all():
                msg = f"--metric {metric.name} takes probabilities, and output {self._where!r} gives values beyond 0..1"
                raise DataError(msg)
            values = outputs.reshape(truth.shape) if metric.wants in ("values", "probabilities") else outputs
            running.add(values, truth)

    def evaluation(self) -> Evaluation:
        """Return all figures; of a main one that is not the task's, no outcomes are known."""
        found = self._scorer.evaluation()
        figures = dict(found.score.figures)
        for metric, running in zip(self._metrics, self._running, strict=True):
            figures[metric.name] = Figure(running.value(), unit=metric.kind.unit, better=metric.kind.better)
        score = dataclasses.replace(found.score, figures=figures)
        if self._main is None or self._main == score.main:
            return dataclasses.replace(found, score=score)
        if self._main not in figures:
            msg = f"--main-metric must be a figure that was measured ({', '.join(figures)}), got {self._main!r}"
            raise UsageError(msg)
        return Evaluation(dataclasses.replace(score, main=self._main, chance=None), None)


class _Collected:
    """What a user's function gets: everything at once."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._outputs: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        self._outputs.append(np.array(outputs))
        self._labels.append(np.array(labels))

    def value(self) -> float:
        function = self._metric.function
        try:
            return float(function(np.concatenate(self._outputs), np.concatenate(self._labels)))  # type: ignore[misc]  # not of Keras
        except Exception as error:  # the user's code may fail in any way
            msg = f"--metric {self._metric.name} failed: {type(error).__name__}: {error}"
            raise UsageError(msg) from error
