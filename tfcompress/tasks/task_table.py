"""The tasks there are: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.tasks.binary import Binary
from tfcompress.tasks.classification import Classification
from tfcompress.tasks.figures import FIGURES
from tfcompress.tasks.label_form import Shape
from tfcompress.tasks.regression import Regression
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import Task, counted_score

if TYPE_CHECKING:
    import numpy as np

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (Classification(), Binary(), Regression())})
"""By name, in the order in which labels are tried."""


def task_of(y: np.ndarray, shape: Shape) -> Task | None:
    """Return the first task that labels fit; None where they fit none.

    Args:
        y: some labels as stored, numbers, shape (samples, ...).
        shape: the output's, without the batch axis.
    """
    return next((task for task in TASKS.values() if task.fits(y, shape)), None)


def allowed(shape: Shape) -> str:
    """Return which labels an output of this shape takes, in words."""
    return " or ".join(words for task in TASKS.values() if (words := task.allowed(shape)))


def trained_by(loss: str) -> Task:
    """Return the task of an output that is trained by a Keras loss, given by its name."""
    plain = loss.lower().replace("_", "")
    return next(task for task in TASKS.values() if task.trained_by(plain))


def read_score(counted: Mapping[str, Any]) -> Score:
    """Return as a score what edge_runner (or a report before format 3) wrote of an output.

    Args:
        counted: see :func:`tfcompress.tasks.task.counted_score`. A task that is not in the table keeps its name, and
            its main figure is the first that was measured.
    """
    task = TASKS.get(counted["task"])
    if task is not None:
        return task.score(counted)
    measured = tuple(name for name in FIGURES if counted.get(name) is not None)
    return counted_score(counted, measured or tuple(FIGURES)[-1:])


def at_chance(score: Score) -> str | None:
    """Return in words the constant prediction that a score is no better than; None where it is better or not known."""
    task = TASKS.get(score.task)
    return task.constant if task is not None and task.beats_chance(score) is False else None
