"""The tasks there are: one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, UsageError, nearest
from tfcompress.references import imported
from tfcompress.tasks.autoencoder import Autoencoder
from tfcompress.tasks.binary import Binary
from tfcompress.tasks.classification import Classification
from tfcompress.tasks.embedding import Embedding
from tfcompress.tasks.figures import FIGURES
from tfcompress.tasks.label_form import Shape
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.metric import metric_of
from tfcompress.tasks.multi_label import MultiLabel
from tfcompress.tasks.regression import Regression
from tfcompress.tasks.score import Score
from tfcompress.tasks.segmentation import Segmentation
from tfcompress.tasks.task import Task, counted_score
from tfcompress.tasks.tokens import Tokens
from tfcompress.tasks.traits import NO_TRAITS, OutputTraits
from tfcompress.tasks.yes_no import in_unit_interval

if TYPE_CHECKING:
    import numpy as np

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            Autoencoder(),
            Tokens(),
            Segmentation(),
            Classification(),
            Binary(),
            MultiLabel(),
            Embedding(),
            Regression(),
        )
    }
)
"""By name, in the order in which labels are tried."""


NO_SHAPES: Mapping[str, Shape] = MappingProxyType({})
"""Of inputs that are not known."""


def task_of(
    y: np.ndarray,
    shape: Shape,
    inputs: Mapping[str, Shape] = NO_SHAPES,
    labelling: Labelling = UNSAID,
    traits: OutputTraits = NO_TRAITS,
) -> Task | None:
    """Return the task that labels and model suggest, as the user wants it; None where labels fit none.

    Of several that labels fit, it is the first whose outputs are such as the loss trains that the model was compiled
    with, and where that trains none of them, that of any numbers. Without a loss that tells, it is the first whose
    outputs may end in the activation that the model ends in; else the first.

    Args:
        y: some labels as stored, numbers, shape (samples, ...).
        shape: the output's, without the batch axis.
        inputs: the shapes of the model's inputs by name, without the batch axis.
        labelling: what the user said.
        traits: what the model says about the output.
    """
    fitting = fitting_tasks(y, shape, inputs, labelling)
    loss, activation = traits.telling_loss, traits.activation
    if loss is not None:
        trained = [task for task in fitting if task.compiled_with(loss)]
        trained += [task for task in fitting if task.any_numbers]
        if trained:
            return trained[0]
    return next((task for task in fitting if activation not in task.unlike), fitting[0] if fitting else None)


_INNER, _DIFFERENT = 0.1, 100
"""Part of the labels that lies between 0 and 1, and different numbers among them, that only a picture or signal has."""


def task_of_outputs(
    y: np.ndarray,
    shape: Shape,
    inputs: Mapping[str, Shape] = NO_SHAPES,
    labelling: Labelling = UNSAID,
    traits: OutputTraits = NO_TRAITS,
) -> Task | None:
    """Return the task that the model is for, where its loss or activation tells one and labels are none of that.

    Its :meth:`~tfcompress.tasks.task.Task.encode` says what is wrong with them. None where nothing is: the model tells
    nothing, a task takes the labels, no task is for labels of their shape, they lie in [0, 1] as the outputs of a
    sigmoid do that no cross-entropy trains, or the model reconstructs its input. See :func:`task_of` for the arguments.
    """
    import numpy as np

    loss = traits.answering_loss
    if loss is None or (traits.gives_shares and in_unit_interval(y)) or _reconstructs(y, shape, inputs):
        return None
    rows, refusing = np.arange(len(y)), []
    for task in TASKS.values():
        wanted = task.configured(labelling)
        if not (task.suits(inputs, shape) and wanted.takes(y, shape) and task.compiled_with(loss)):
            continue
        try:
            wanted.encode(y, rows, wanted.form(y, shape, ""))
        except DataError:
            refusing.append(wanted)
            continue
        return None
    return refusing[0] if refusing else None


def _reconstructs(y: np.ndarray, shape: Shape, inputs: Mapping[str, Shape]) -> bool:
    """Whether labels are what a model's only input may hold: numbers in [0, 1] of its shape, and no mask among them.

    A mask that was resized holds fractions, too, at its edges.
    """
    import numpy as np

    if list(inputs.values()) != [shape] or y.shape[1:] != shape or not in_unit_interval(y):
        return False
    inner = y[(y > 0) & (y < 1)]
    return inner.size > _INNER * y.size and np.unique(inner).size > _DIFFERENT


def fitting_tasks(
    y: np.ndarray, shape: Shape, inputs: Mapping[str, Shape] = NO_SHAPES, labelling: Labelling = UNSAID
) -> list[Task]:
    """Return all tasks that labels fit, in the order of the table; see :func:`task_of`."""
    wanted = (task.configured(labelling) for task in TASKS.values() if task.suits(inputs, shape))
    return [task for task in wanted if task.fits(y, shape)]


def unlabelled_task(
    inputs: Mapping[str, Shape], shape: Shape, labelling: Labelling = UNSAID, traits: OutputTraits = NO_TRAITS
) -> Task | None:
    """Return the task that the model alone suggests for an output that nobody labelled; see :func:`task_of`."""
    return next((t.configured(labelling) for t in TASKS.values() if t.told_by(inputs, shape, traits)), None)


def possible_tasks(inputs: Mapping[str, Shape], shape: Shape) -> dict[str, str]:
    """Return the tasks that an output without labels may be of, by name, each with why; see :meth:`Task.possible`."""
    return {name: why for name, task in TASKS.items() if (why := task.possible(inputs, shape))}


def said_task(labelling: Labelling, output: str) -> Task | None:
    """Return the task that the user said for an output, as the user wants it; None where none was said.

    Raises:
        UsageError: there is no such task; or what :meth:`Task.configured` raises.
    """
    said = labelling.task_for(output)
    if said is None:
        return None
    return named_task(said).configured(labelling).as_told(labelling.options_for(output))


def named_task(said: Any) -> Task:
    """Return a task of the table, or what ``module:object`` names: a task, or its class.

    Args:
        said: a name, or already a task or its class.

    Raises:
        UsageError: there is none, or it is no task.
    """
    if isinstance(said, str) and said in TASKS:
        return TASKS[said]
    if isinstance(said, str) and ":" not in said:
        msg = f"--task must be one of {', '.join(TASKS)}, or module:object, got {said!r}{nearest(said, TASKS)}"
        raise UsageError(msg)
    found = imported(said, "--task") if isinstance(said, str) else said
    task = found() if isinstance(found, type) and issubclass(found, Task) else found
    if not isinstance(task, Task):
        msg = f"--task {said!r} must be a tfcompress.tasks.task.Task (or its class), got {type(found).__name__}"
        raise UsageError(msg)
    return task


def check_said(labelling: Labelling) -> None:
    """Refuse what can be refused before a model or data is known: misspelt names, modules that are not there.

    Raises:
        UsageError: naming the flag.
    """
    tasks = [named_task(said) for said in labelling.by_output.values()]
    metrics = [metric_of(said) for said in labelling.every_metric]
    if "" in labelling.by_output:
        check_heeded(labelling, tasks)
    figures = {*FIGURES, *(name for task in (*tasks, *TASKS.values()) for name in task.figures)}
    known = sorted(figures | {metric.name for metric in metrics})
    main = labelling.main_metric
    if main is not None and main not in known:
        msg = f"--main-metric must be a figure of the task or a --metric, got {main!r}{nearest(main, known)}"
        raise UsageError(msg)


def check_heeded(labelling: Labelling, tasks: Iterable[Task]) -> None:
    """Refuse a setting that none of *tasks* heeds.

    Raises:
        UsageError: naming the flag, and the tasks that would.
    """
    chosen = list(tasks)
    for setting in ("ignore_label", "windows_of"):
        if getattr(labelling, setting) is None or any(setting in task.heeds for task in chosen):
            continue
        heeding = ", ".join(task.name for task in TASKS.values() if setting in task.heeds) or "no task of the table"
        names = ", ".join(task.name for task in chosen) or "no output with a task"
        msg = f"--{setting.replace('_', '-')} would do nothing for {names}: it is for {heeding}"
        raise UsageError(msg)


def allowed(shape: Shape, inputs: Mapping[str, Shape] = NO_SHAPES) -> str:
    """Return which labels an output of this shape takes beside such inputs, in words."""
    suiting = (task for task in TASKS.values() if task.suits(inputs, shape))
    return " or ".join(words for task in suiting if (words := task.allowed(shape)))


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


def read_scores(outputs: Mapping[str, Mapping[str, Any]], like: Score | None = None) -> Score | None:
    """Return as one score what edge_runner wrote of a model's outputs; None where it scored none.

    Args:
        outputs: by output, see :func:`read_score`.
        like: the score of the same file at the desk, which says which output and which figure is the main one; None:
            the first output, and its task's.
    """
    scores = {name: read_score(counted) for name, counted in outputs.items()}
    if like is not None:
        order = [name for name in like.outputs if name in scores]
        scores = {name: scores[name] for name in (*order, *(each for each in scores if each not in order))}
    if not scores:
        return None
    first = next(iter(scores.values()))
    main = first.main if like is None or like.main not in first.figures else like.main
    if main != first.main:
        first = replace(first, main=main, chance=None)
    return replace(first, outputs=scores) if len(scores) > 1 else first


def at_chance(score: Score) -> str | None:
    """Return in words the constant prediction that a score is no better than; None where it is better or not known."""
    task = TASKS.get(score.task)
    return task.constant if task is not None and task.beats_chance(score) is False else None
