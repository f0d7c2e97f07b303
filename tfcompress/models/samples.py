"""Arrays by input name: whether they are what a model takes, and those that are looked at before a training begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfcompress.errors import DataError
from tfcompress.models.specs import TensorSpec
from tfcompress.tasks.task import Task


@dataclass(frozen=True)
class Aim:
    """What an output is compared with.

    Attributes:
        loss: a Keras 3 loss.
        targets: what it takes, shape (samples, ...).
    """

    loss: Callable[[Any, Any], Any]
    targets: np.ndarray


@dataclass(frozen=True)
class Samples:
    """Training data for what looks at some before the training begins: activation ranges, criteria by gradient.

    Attributes:
        inputs: an array of shape (samples, ...) for each of the model's inputs by name, preprocessed.
        labels: what goes with them: one array, one for each output by name, or None where there are none.
        tasks: what the labels of each output are, by name, in whose one form they are; or a task that needs none. Of an
            output that is not here, the labels decide.
        aims: gives what each output in turn is trained by, None for one that is not; None: the labels decide.
    """

    inputs: Mapping[str, np.ndarray]
    labels: Any = None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    aims: Callable[[], Sequence[Aim | None]] | None = None

    def first(self, count: int) -> Samples:
        """Return the first of them; their aims stay whole."""
        labels = self.labels
        if isinstance(labels, Mapping):
            labels = {name: values[:count] for name, values in labels.items()}
        elif labels is not None:
            labels = labels[:count]
        return replace(self, inputs={name: values[:count] for name, values in self.inputs.items()}, labels=labels)


def by_input_name(
    arrays: Mapping[str, np.ndarray] | np.ndarray, specs: Sequence[TensorSpec], *, what: str = "inputs"
) -> dict[str, np.ndarray]:
    """Check that arrays are what goes into a model, and give them in its order.

    Args:
        arrays: one of shape (samples, *spec.shape) for each input by name; or a single one, for a model of one input.
        specs: the model's inputs.
        what: a word for them in messages, e.g. "samples".

    Returns:
        The arrays by name, not cast and not copied: they may be larger than the memory.

    Raises:
        DataError: names, shapes or kinds of numbers that are not the model's, different numbers of samples, or none.
    """
    names = [spec.name for spec in specs]
    given = arrays if isinstance(arrays, Mapping) else {names[0]: arrays}
    if set(given) != set(names):
        msg = f"{what} must be named {', '.join(names)}, got {', '.join(given) or 'none'}"
        raise DataError(msg)
    found = {spec.name: _fitting(np.asarray(given[spec.name]), spec) for spec in specs}
    counts = {name: len(values) for name, values in found.items()}
    if len(set(counts.values())) != 1:
        msg = f"{what} must hold the same number of samples, got {counts}"
        raise DataError(msg)
    if not counts[names[0]]:
        msg = f"{what} must hold at least one sample, got none"
        raise DataError(msg)
    return found


def _fitting(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    fits = array.ndim == len(spec.shape) + 1 and all(
        size in (None, got) for size, got in zip(spec.shape, array.shape[1:], strict=True)
    )
    if not fits:
        shape = ", ".join(["samples", *("any" if size is None else str(size) for size in spec.shape)])
        msg = f"input {spec.name!r} must have the shape ({shape}), got {array.shape}"
        raise DataError(msg)
    if np.issubdtype(array.dtype, np.floating) and spec.dtype.startswith(("int", "uint")):
        msg = f"input {spec.name!r} must hold whole numbers ({spec.dtype}), got {array.dtype}"
        raise DataError(msg)
    return array
