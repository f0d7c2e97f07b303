"""What the labels mean: decided once, from every split together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data.adapt import Adapter
from tfcompress.data.labels import LabelCoder, check_numbers, infer_labels
from tfcompress.data.raw import Labels
from tfcompress.errors import DataError, UsageError, nearest
from tfcompress.tasks import task_table
from tfcompress.tasks.label_form import Shape
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.metric import KERAS_METRICS, Metric, metric_of
from tfcompress.tasks.task import Task

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.models.specs import Signature, TensorSpec


def coders_for(
    peeks: Mapping[str, tuple[Adapter, Labels]], labelling: Labelling = UNSAID
) -> dict[str, dict[str, LabelCoder]]:
    """Tell what the labels of each output mean, from samples of all splits.

    Splits may hold them in different forms (class numbers here, one-hot there), never for different tasks. Samples
    without a label (NaN) say nothing; they are refused where they are read.

    Args:
        peeks: by split, its adapter (without coders) and some of its labels, or None.
        labelling: what the user said about tasks.

    Returns:
        By split and output name.

    Raises:
        DataError: labels that fit no task, not the one that was said, or another one in each split.
        UsageError: a task that there is not, or for an output that there is not.
    """
    found: dict[str, dict[str, LabelCoder]] = {name: {} for name in peeks}
    for output in _outputs(peeks):
        parts = {
            name: (adapter.by_output(y)[output.name], adapter.labels_where(output.name, y))
            for name, (adapter, y) in peeks.items()
            if y is not None and output.name in adapter.by_output(y)
        }
        for name, coder in _coders(parts, output, _inputs(peeks), labelling).items():
            found[name][output.name] = coder
    return found


def _outputs(peeks: Mapping[str, tuple[Adapter, Labels]]) -> tuple[TensorSpec, ...]:
    return next(iter(peeks.values()))[0].signature.outputs if peeks else ()


def _inputs(peeks: Mapping[str, tuple[Adapter, Labels]]) -> tuple[TensorSpec, ...]:
    return next(iter(peeks.values()))[0].signature.inputs


def _coders(
    parts: Mapping[str, tuple[np.ndarray, str]],
    output: TensorSpec,
    inputs: tuple[TensorSpec, ...],
    labelling: Labelling,
) -> dict[str, LabelCoder]:
    """Return the coder of each split's labels, given ``(labels, where)`` by split."""
    coders: dict[str, LabelCoder] = {}
    for name, (y, where) in parts.items():
        check_numbers(y, where)
        alike = [other for other, _ in parts.values() if other.shape[1:] == y.shape[1:] and other.dtype.kind in "biuf"]
        some = _labelled(np.concatenate(alike))
        coders[name] = infer_labels(some, output, where, inputs=inputs, labelling=labelling)
    tasks = {coder.task.name for coder in coders.values()}
    if len(tasks) > 1:
        told = ", ".join(f"{coder.where} would be {coder.task.name}" for coder in coders.values())
        msg = f"data: the labels of output {output.name!r} must mean the same in every split: {told}"
        raise DataError(msg)
    return coders


def _labelled(y: np.ndarray) -> np.ndarray:
    """Return the samples that have a label; all of them where none has."""
    if y.dtype.kind != "f":
        return y
    good = ~np.isnan(y).reshape(len(y), -1).any(axis=1)
    return y[good] if good.any() else y


def unlabelled_tasks(
    labelling: Labelling, signature: Signature, coders: Mapping[str, Mapping[str, LabelCoder]]
) -> dict[str, Task]:
    """Return the task of each output that may come without labels, by name: a task that needs none.

    Args:
        labelling: what the user said.
        signature: the model's.
        coders: by split and output; labels of one split decide what an output is in all.
    """
    told = {name: coder.task for split in coders.values() for name, coder in split.items()}
    shapes = {spec.name: spec.shape for spec in signature.inputs}
    found = {
        spec.name: task_table.said_task(labelling, spec.name)
        or told.get(spec.name)
        or task_table.unlabelled_task(shapes, spec.shape, labelling, spec.traits)
        for spec in signature.outputs
    }
    return {name: task for name, task in found.items() if task is not None and not task.needs_labels}


def unlabelled_choices(labelling: Labelling, data: BoundData) -> list[str]:
    """Return a line for each output without labels whose task was inferred from the model alone, or may be given.

    Args:
        labelling: what the user said.
        data: bound.
    """
    shapes = {spec.name: spec.shape for spec in data.signature.inputs}
    lines = []
    for spec in data.signature.outputs:
        if spec.name in data.coders or labelling.task_for(spec.name) is not None:
            continue
        task = data.tasks.get(spec.name)
        if task is not None:
            why = task.told_by(shapes, spec.shape, spec.traits)
            lines.append(f"output {spec.name!r} is of task {task.name}, by {why}; choose otherwise by --task")
            continue
        for name, why in task_table.possible_tasks(shapes, spec.shape).items():
            lines.append(f"output {spec.name!r} has no labels; if it is of task {name} ({why}), say --task {name}")
    return lines


def check_labelling(labelling: Labelling, signature: Signature) -> None:
    """Refuse what was said about outputs that there are not.

    Raises:
        UsageError: naming the outputs.
    """
    outputs = [spec.name for spec in signature.outputs]
    for flag, name in labelling.outputs:
        if name not in outputs:
            listed = ", ".join(outputs)
            msg = f"{flag} must name one of the model's outputs ({listed}), got {name!r}{nearest(name, outputs)}"
            raise UsageError(msg)


def metrics_of(labelling: Labelling, data: BoundData) -> dict[str, list[Metric]]:
    """Return the figures besides its task's own of each scored output: those that the user said, else the model's.

    Of those that the model was compiled with, those count that can compare its outputs with the labels.
    """
    found = {}
    for output in data.tasks:
        found[output] = [metric_of(said) for said in labelling.metrics_for(output)]
        labels, spec = _label_shape(data, output), _spec(data, output)
        if labelling.metrics or labels is None:
            continue
        compiled = [KERAS_METRICS[name] for name in spec.traits.metrics]
        found[output] = [each for each in compiled if each.suits(labels, spec.shape, spec.traits.activation)]
    return found


def check_figures(labelling: Labelling, data: BoundData) -> None:
    """Refuse settings that no task heeds, metrics that cannot compare, and a main metric or output that is not scored.

    Raises:
        UsageError: naming the flag.
        DataError: a metric that cannot compare outputs and labels of these shapes.
    """
    if labelling == UNSAID:
        return
    task_table.check_heeded(labelling, data.tasks.values())
    if labelling.main_output is not None and labelling.main_output not in data.tasks:
        msg = f"--main-output {labelling.main_output!r} has no labels, and no task that needs none: it is not scored"
        raise UsageError(msg)
    metrics = data.metrics
    for output, task in data.tasks.items():
        labels = _label_shape(data, output)
        for metric in metrics[output]:
            if labels is not None:
                metric.check_shapes(labels, _spec(data, output).shape, output)
        if labelling.main_metric is None or output != next(iter(data.tasks)):
            continue
        known = [*task.figures, *(metric.name for metric in metrics[output])]
        if labelling.main_metric not in known:
            msg = (
                f"--main-metric must be one of {', '.join(known)} for output {output!r} ({task.name}), got "
                f"{labelling.main_metric!r}{nearest(labelling.main_metric, known)}"
            )
            raise UsageError(msg)


def _spec(data: BoundData, output: str) -> TensorSpec:
    return next(spec for spec in data.signature.outputs if spec.name == output)


def _label_shape(data: BoundData, output: str) -> Shape | None:
    """Return the shape of one sample's encoded labels; None where the output has none."""
    for split in data.splits.values():
        if output in split.adapter.coders:
            piece = next(split.pieces(1))
            encoded = split.adapter.labels(piece.y, piece.rows)
            part = encoded[output] if isinstance(encoded, dict) else encoded
            return None if part is None else part.shape[1:]
    return None
