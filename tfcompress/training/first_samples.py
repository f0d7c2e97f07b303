"""Training samples for what looks at some before the training begins, and what their outputs are compared with.

An output without labels trains against the float model's own, from which that model has no distance, and so no gradient
to go by. For classes its answers stand in: the class with the highest score, yes or no. Numbers and directions are
compared with what is drawn around them: the mean square of such gradients is the Fisher information of a model that is
off by normal noise, the Gauss-Newton form of the second derivative (Martens 2020, arXiv:1412.1193, section 5).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.models.samples import Aim, Samples
from tfcompress.tasks.task import Task
from tfcompress.tasks.task_table import TASKS
from tfcompress.training.objectives import TEMPERATURE, distance, kind_of_output, objectives, spread_of
from tfcompress.training.targets import own_tasks, taught_outputs

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.train_settings import Train

FEW = 32
"""Samples by which probabilities are told from logits."""

_ANSWERED_BY: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "softmax": ("SparseCategoricalCrossentropy", False),
        "logits": ("SparseCategoricalCrossentropy", True),
        "sigmoid": ("BinaryCrossentropy", False),
        "binary logits": ("BinaryCrossentropy", True),
    }
)
"""Keras's loss of the answers that outputs give, by what they are, and whether it is told that they are logits."""

_TASKS_OF_NUMBERS: Mapping[str, Task] = MappingProxyType(
    {task.teaching: task for task in TASKS.values() if task.any_numbers or task.teaching == "directions"}
)
"""What scores outputs that have no labels by how near they stay to the float model's, by what they are."""


def training_samples(data: BoundData, teacher: Any, train: Train, count: int, learner: Any = None) -> Samples:
    """Return training samples for what looks at some before the training begins.

    Their labels are those of the training split, and where an output has none there, the float model's own: its answers
    for classes, else what it gives.

    Args:
        data: the bound data.
        teacher: the float model.
        train: its seed draws the samples; it says losses by name, where it does.
        count: how many samples, at most.
        learner: what is trained; None: the float model.
    """
    from tfcompress.models.signature import call

    split = data.need_train()
    inputs, labels = next(split.batches(count, seed=train.seed, limit=count))
    taught = taught_outputs(data)
    names, main = [spec.name for spec in data.signature.outputs], data.dataset.labelling.main_output
    names.sort(key=lambda name: name != main)
    own = call(teacher, inputs) if taught else {}
    kinds = {name: kind_of_output(data, teacher, name, own[name]) for name in taught}
    given = labels if isinstance(labels, Mapping) else {} if labels is None else {names[0]: labels}
    answers = {name: _answers(kinds[name], own[name]) for name in taught}
    found = {name: given.get(name, answers.get(name)) for name in names if name in given or name in answers}

    def aims() -> Sequence[Aim | None]:
        some = call(learner or teacher, {name: values[:FEW] for name, values in inputs.items()})
        return _aims(data, teacher, train, Samples(inputs, given), {**some, **own}, kinds)

    return Samples(
        inputs,
        (found or None) if len(names) > 1 else next(iter(found.values()), None),
        {**_of_numbers(kinds), **split.adapter.tasks},
        functools.cache(aims),
    )


def own_answers(data: BoundData, teacher: Any, inputs: Mapping[str, np.ndarray]) -> Samples:
    """Return samples whose labels are what a model itself gives for them, of all its outputs of floats.

    Args:
        data: the bound data.
        teacher: the model.
        inputs: arrays of shape (samples, ...) by name.
    """
    from tfcompress.models.signature import call

    names = [spec.name for spec in data.signature.outputs if "float" in spec.dtype]
    own = call(teacher, inputs)
    kinds = {name: kind_of_output(data, teacher, name, own[name]) for name in names}
    labels = {name: _answers(kind, own[name]) for name, kind in kinds.items()}
    return Samples(
        inputs,
        labels if len(data.signature.outputs) > 1 else next(iter(labels.values()), None),
        _of_numbers(kinds),
        functools.cache(lambda: _own_aims(data, own, kinds)),
    )


def _of_numbers(kinds: Mapping[str, str]) -> dict[str, Task]:
    """Return what scores outputs that are no classes, by name, by how near they stay to the float model's."""
    return {name: _TASKS_OF_NUMBERS[kind] for name, kind in kinds.items() if kind in _TASKS_OF_NUMBERS}


def _own_aims(data: BoundData, own: Mapping[str, np.ndarray], kinds: Mapping[str, str]) -> Sequence[Aim | None]:
    import keras

    drawn, aims = np.random.default_rng(0), []
    for spec in data.signature.outputs:
        kind = kinds.get(spec.name)
        loss = None if kind is None else distance(kind, own[spec.name], keras, TEMPERATURE)
        aims.append(None if kind is None else _taught(kind, own[spec.name], loss, drawn))
    return aims


def _answers(kind: str, outputs: np.ndarray) -> np.ndarray:
    """Return what a model's own outputs say in the place of labels, by what they are."""
    if kind in ("softmax", "logits"):
        classes: np.ndarray = outputs.argmax(axis=-1).astype(np.int32)
        return classes
    threshold = {"sigmoid": 0.5, "binary logits": 0.0}.get(kind)
    return outputs if threshold is None else (outputs > threshold).astype(np.float32)


def _aims(
    data: BoundData,
    teacher: Any,
    train: Train,
    samples: Samples,
    own: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
) -> Sequence[Aim | None]:
    """Return what trains each output on samples with labels by name, in the model's order."""
    import keras

    found, tasks = objectives(data, train, own, teacher, keras, TEMPERATURE), own_tasks(data)
    drawn = np.random.default_rng(train.seed)
    aims: list[Aim | None] = []
    for spec in data.signature.outputs:
        if spec.name in kinds:
            aims.append(_taught(kinds[spec.name], own[spec.name], found[spec.name].loss, drawn))
        elif spec.name in found:
            labels = samples.labels.get(spec.name)
            aims.append(Aim(found[spec.name].loss, tasks[spec.name].targets(samples.inputs, labels)))
        else:
            aims.append(None)
    return aims


def _taught(kind: str, own: np.ndarray, loss: Any, drawn: np.random.Generator) -> Aim:
    """Return what an output is trained by that learns from the float model's own; *loss* is the distance from them."""
    import keras

    if kind in _ANSWERED_BY:
        name, from_logits = _ANSWERED_BY[kind]
        return Aim(getattr(keras.losses, name)(from_logits=from_logits), _answers(kind, own))
    noise = drawn.standard_normal(own.shape, np.float32)
    if kind == "numbers":
        return Aim(loss, own + noise * math.sqrt(spread_of(own)))
    lengths = np.maximum(np.linalg.norm(own, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    return Aim(loss, own / lengths + noise / math.sqrt(own.shape[-1]))
