"""From samples as stored to samples as the model takes them: names, preprocessing, shapes, dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data.arrays import WEIGHTS
from tfcompress.data.labels import LabelCoder
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.raw import Labels, RawInputs, SampleWeights
from tfcompress.errors import DataError
from tfcompress.tasks.label_form import shapes_match
from tfcompress.tasks.task import Task

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature, TensorSpec


NO_TASKS: Mapping[str, Task] = MappingProxyType({})
"""Every output needs labels."""


@dataclass(frozen=True)
class Adapter:
    """Turns one split's stored samples into what the model takes.

    Preprocessing is applied to every input that the model takes as float, and to the only input of a model that has
    one.

    Attributes:
        signature: the model's.
        preprocessing: applied first.
        x_name: what messages call the inputs.
        y_name: what messages call the labels.
        coders: how labels become their one form, by output name; empty where there are no labels.
        unlabelled: the task of each output that is scored without labels, by name.
    """

    signature: Signature
    preprocessing: Preprocessing
    x_name: str
    y_name: str
    coders: Mapping[str, LabelCoder]
    unlabelled: Mapping[str, Task] = field(default_factory=dict)

    def inputs(self, stored: RawInputs) -> dict[str, np.ndarray]:
        """Return one batch by input name, preprocessed, in the model's shapes and dtypes.

        Raises:
            DataError: an input is missing, or has another shape, or values that the model's dtype cannot hold.
        """
        found = self._by_input(stored)
        return {spec.name: self._input(found[spec.name], spec) for spec in self.signature.inputs}

    def labels(self, stored: Labels, rows: np.ndarray) -> Labels:
        """Return one batch of labels: an array for a model with one output, else by output name; None without labels.

        Raises:
            DataError: what :meth:`LabelCoder.encode` refuses.
        """
        if stored is None:
            return None
        named = self.by_output(stored)
        for name, y in named.items():
            _check_labelled(y, rows, self.labels_where(name, stored))
        encoded = {name: self.coders[name].encode(y, rows) for name, y in named.items()}
        return encoded if len(self.signature.outputs) > 1 else next(iter(encoded.values()))

    def weights(self, stored: SampleWeights, rows: np.ndarray) -> SampleWeights:
        """Return one batch of sample weights, float32: as the labels an array, or by output name; None without.

        Raises:
            DataError: weights below 0, not finite, or that are no numbers.
        """
        if stored is None:
            return None
        if isinstance(stored, np.ndarray):
            weights = self._weights(stored, rows)
            outputs = [spec.name for spec in self.signature.outputs]
            return dict.fromkeys(outputs, weights) if len(outputs) > 1 else weights
        named = {name: self._weights(part, rows) for name, part in self.by_output(stored).items()}
        return named if len(self.signature.outputs) > 1 else next(iter(named.values()))

    def _weights(self, stored: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if stored.dtype.kind not in "biuf":
            msg = f"data: {self.weights_name} must be numbers, got dtype {stored.dtype}"
            raise DataError(msg)
        weights = stored.astype(np.float32)
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)).reshape(len(weights), -1).all(axis=1))
        if len(bad):
            value = weights[bad[0]].reshape(-1)[0]
            msg = f"data: {self.weights_name} must be finite and not below 0, sample {rows[bad[0]]:,} has {value:g}"
            raise DataError(msg)
        return weights[:, 0] if weights.ndim == 2 and weights.shape[1] == 1 else weights

    @property
    def weights_name(self) -> str:
        """What messages call the sample weights."""
        return f"{WEIGHTS}{self.x_name.removeprefix('x')}"

    def idle_weights(self) -> DataError:
        """Return the error for weights that are all 0."""
        return DataError(f"data: {self.weights_name} is 0 for every sample, so that nothing is learnt; leave it out")

    def adapted(
        self, x: RawInputs, y: Labels, weights: SampleWeights, rows: np.ndarray
    ) -> tuple[dict[str, np.ndarray], Any, Any]:
        """Return inputs, labels and weights of one batch as the model takes them.

        Raises:
            DataError: what :meth:`inputs`, :meth:`labels` and :meth:`weights` raise.
        """
        inputs, labels, weighed = self.inputs(x), self.labels(y, rows), self.weights(weights, rows)
        if not any(coder.task.pads for coder in self.coders.values()) or labels is None:
            return inputs, labels, weighed
        if isinstance(labels, dict):
            of = weighed if isinstance(weighed, dict) else {}
            padded: Any = {name: self._padded(name, y, inputs, of.get(name)) for name, y in labels.items()}
            return inputs, padded, weighed
        return inputs, self._padded(next(iter(self.coders)), labels, inputs, weighed), weighed

    def _padded(self, name: str, y: np.ndarray, inputs: dict[str, np.ndarray], weights: SampleWeights) -> np.ndarray:
        """Return encoded labels of an output with padding where the model masks steps, or they have no weight."""
        task, spec = self.coders[name].task, next(spec for spec in self.signature.outputs if spec.name == name)
        masked = None if spec.traits.mask is None else spec.traits.mask.masked(inputs)
        each = isinstance(weights, np.ndarray) and weights.ndim > 1 and weights.size == y.size
        idle = np.reshape(weights == 0, y.shape) if each else None
        for padding in (masked, idle):
            if padding is not None and padding.shape == y.shape:
                y = task.padded(y, padding)
        return y

    def with_coders(self, coders: Mapping[str, LabelCoder], unlabelled: Mapping[str, Task] = NO_TASKS) -> Adapter:
        """Return the same for labels coded like this, and outputs that need none."""
        rest = {name: task for name, task in unlabelled.items() if name not in coders}
        return replace(self, coders=coders, unlabelled=rest)

    def with_tasks(self, tasks: Mapping[str, Task]) -> Adapter:
        """Return the same with other tasks for some outputs, by name; labels stay coded as they are."""
        coders = {name: replace(coder, task=tasks.get(name, coder.task)) for name, coder in self.coders.items()}
        unlabelled = {name: tasks.get(name, task) for name, task in self.unlabelled.items()}
        return replace(self, coders=coders, unlabelled=unlabelled)

    def labels_where(self, name: str, stored: Labels) -> str:
        """What messages call the labels of output *name*."""
        return f"{self.y_name}.{name}" if isinstance(stored, dict) else self.y_name

    def notes(self, stored: RawInputs) -> list[str]:
        """Say what is done to samples like *stored* beyond preprocessing: an axis added, an input ignored."""
        notes = []
        for spec in self.signature.inputs:
            given = self._by_input(stored)[spec.name].ndim - 1
            if not self.preprocessing.function and given == len(spec.shape) - 1:
                notes.append(f"{self.where(spec.name)}: an axis of 1 channel was added")
        known = {spec.name for spec in self.signature.inputs}
        extra = [] if len(known) == len(stored) == 1 else [name for name in stored if name not in known]
        return notes + [f"{self.x_name}.{name}: not an input of the model, ignored" for name in extra]

    def _by_input(self, stored: RawInputs) -> RawInputs:
        names = [spec.name for spec in self.signature.inputs]
        if len(names) == 1 and len(stored) == 1:
            return {names[0]: next(iter(stored.values()))}
        missing = [name for name in names if name not in stored]
        if missing:
            given = ", ".join(name for name in stored if name) or f"one unnamed array, {self.x_name}"
            msg = (
                f"data: the model's inputs are {', '.join(names)}; the data has {given}; "
                f"give {', '.join(f'{self.x_name}.{name}' for name in missing)}"
            )
            raise DataError(msg)
        return stored

    def by_output(self, stored: np.ndarray | dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return labels by output name.

        Raises:
            DataError: labels without names for several outputs, or for none of them.
        """
        names = [spec.name for spec in self.signature.outputs]
        if isinstance(stored, np.ndarray):
            if len(names) == 1:
                return {names[0]: stored}
            wanted = ", ".join(f"{self.y_name}.{name}" for name in names)
            msg = f"data: the model has {len(names)} outputs, so labels need their names: give {wanted} (any of them)"
            raise DataError(msg)
        if len(names) == len(stored) == 1:
            return {names[0]: next(iter(stored.values()))}
        unknown = [name for name in stored if name not in names]
        if unknown:
            msg = f"data: {self.y_name}.{unknown[0]} is no output of the model; its outputs are {', '.join(names)}"
            raise DataError(msg)
        return stored

    def where(self, name: str) -> str:
        """What messages call the array that feeds input *name*."""
        return self.x_name if len(self.signature.inputs) == 1 else f"{self.x_name}.{name}"

    def _input(self, x: np.ndarray, spec: TensorSpec) -> np.ndarray:
        wanted = np.dtype(spec.dtype)
        changed = self.preprocessing.active and (wanted.kind == "f" or len(self.signature.inputs) == 1)
        stored_shape = x.shape[1:]
        if changed:
            x = self.preprocessing.apply(x)
        if shapes_match((*x.shape[1:], 1), spec.shape):
            x = x[..., np.newaxis]
        if not shapes_match(x.shape[1:], spec.shape):
            raise self._shape_error(stored_shape, x.shape[1:], spec)
        return self._cast(x, wanted, spec, changed=changed)

    def _cast(self, x: np.ndarray, wanted: np.dtype, spec: TensorSpec, *, changed: bool) -> np.ndarray:
        if x.dtype == wanted:
            return x
        if x.dtype.kind not in "biuf" or wanted.kind not in "biuf":
            msg = (
                f"data: {self.where(spec.name)} has dtype {x.dtype}, the model's input {spec.name!r} wants {spec.dtype}"
            )
            raise DataError(msg)
        with np.errstate(over="ignore", invalid="ignore"):  # reported below, or by lint
            cast = x.astype(wanted)
        if wanted.kind in "iub" and not np.can_cast(x.dtype, wanted, "safe") and not np.array_equal(cast, x):
            bad = x[cast != x].reshape(-1)[0]
            without = ", without preprocessing" if changed else ""
            msg = (
                f"data: {self.where(spec.name)} holds {bad}, the model's input {spec.name!r} wants {spec.dtype}; "
                f"give whole numbers in its range{without}"
            )
            raise DataError(msg)
        return cast

    def _shape_error(self, stored: tuple[int, ...], got: tuple[int, ...], spec: TensorSpec) -> DataError:
        after = f" ({got} after preprocessing)" if got != stored else ""
        return DataError(
            f"data: {self.where(spec.name)} has shape {stored}{after} for each sample, "
            f"the model's input {spec.name!r} wants {spec.shape}; {_mend(got, spec.shape)}"
        )

    @property
    def tasks(self) -> dict[str, Task]:
        """The task of each output that has labels, or needs none."""
        return {**{name: coder.task for name, coder in self.coders.items()}, **self.unlabelled}


def _check_labelled(y: np.ndarray, rows: np.ndarray, where: str) -> None:
    """Refuse a sample without a label, which floats hold as NaN."""
    if y.dtype.kind != "f" or not len(y):
        return
    bad = np.flatnonzero(np.isnan(y).reshape(len(y), -1).any(axis=1))
    if len(bad):
        msg = f"data: {where} has no label (NaN) at sample {rows[bad[0]]:,}; label or drop such samples"
        raise DataError(msg)


def _mend(got: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    if len(got) == 3 and shapes_match((got[1], got[2], got[0]), wanted):
        return "the channels come first: transpose to (height, width, channels)"
    if len(wanted) == 3 and len(got) in (2, 3):
        grey = len(got) == 2 or got[-1] == 1
        if grey and wanted[-1] == 3:
            return "grey images for a colour model: resize them and repeat the channel three times"
        return "resize the images to the model's input"
    sizes = [size for size in wanted if size is not None]
    if len(sizes) == len(wanted) and np.prod(got, dtype=np.int64) == np.prod(sizes, dtype=np.int64):
        return f"as many values: reshape to {wanted}"
    return "reshape the data, or give a preprocessing function that does"
