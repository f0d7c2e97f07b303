"""The tasks there are: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import UsageError, nearest
from tfcompress.references import imported
from tfcompress.tasks.binary import Binary
from tfcompress.tasks.classification import Classification
from tfcompress.tasks.figures import FIGURES
from tfcompress.tasks.label_form import Shape
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.regression import Regression
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import Task, counted_score

if TYPE_CHECKING:
    import numpy as np

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (Classification(), Binary(), Regression())})
"""By name, in the order in which labels are tried."""


NO_SHAPES: Mapping[str, Shape] = MappingProxyType({})
"""Of inputs that are not known."""


def task_of(
    y: np.ndarray, shape: Shape, inputs: Mapping[str, Shape] = NO_SHAPES, labelling: Labelling = UNSAID
) -> Task | None:
    """Return the first task that labels fit, as the user wants it; None where they fit none.

    Args:
        y: some labels as stored, numbers, shape (samples, ...).
        shape: the output's, without the batch axis.
        inputs: the shapes of the model's inputs by name, without the batch axis.
        labelling: what the user said.
    """
    wanted = (task.configured(labelling) for task in TASKS.values() if task.suits(inputs, shape))
    return next((task for task in wanted if task.fits(y, shape)), None)


def said_task(labelling: Labelling, output: str) -> Task | None:
    """Return the task that the user said for an output, as the user wants it; None where none was said.

    Raises:
        UsageError: there is no such task; or what :meth:`Task.configured` raises.
    """
    name = labelling.task_for(output)
    return None if name is None else named_task(name).configured(labelling)


def named_task(name: str) -> Task:
    """Return a task of the table, or what ``module:object`` names: a task, or its class.

    Raises:
        UsageError: there is none, or it is no task.
    """
    if name in TASKS:
        return TASKS[name]
    if ":" not in name:
        msg = f"--task must be one of {', '.join(TASKS)}, or module:object, got {name!r}{nearest(name, TASKS)}"
        raise UsageError(msg)
    found = imported(name, "--task")
    task = found() if isinstance(found, type) and issubclass(found, Task) else found
    if not isinstance(task, Task):
        msg = f"--task {name!r} must be a tfcompress.tasks.task.Task (or its class), got {type(found).__name__}"
        raise UsageError(msg)
    return task


def said_without_labels(labelling: Labelling) -> bool:
    """Tell whether the user said a task that needs no labels, for any output."""
    return any(not named_task(name).needs_labels for name in labelling.by_output.values())


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
