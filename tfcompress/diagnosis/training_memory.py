"""What a model remembers of the samples that it was trained on, against those that it is given.

A Rescaling says which numbers it wants; a normalization keeps the mean and variance of what went into it in training.
Where the samples do not fit those, a few things that go wrong with images are tried: 255 times too much or too little,
the channels in reverse. What makes the samples fit is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfcompress.diagnosis.calibration_lint import reach, span
from tfcompress.diagnosis.exact_rewrites import acts_in_training_only, affine_of
from tfcompress.models.call_template import Template
from tfcompress.models.graph import Call, calls, is_graph
from tfcompress.models.keras_private import functional, origin
from tfcompress.models.layer_copies import is_symbolic
from tfcompress.reports.remark import Remark

FAR = 4.0
"""Distance of samples from training from which it is reported: as if every variance were 50 times off."""
DOUBTFUL, NEAR_AGAIN, BETTER = 0.5, 1.0, 4.0
"""Distance from which on changes are tried; how near, and how many times nearer, one must come to be named."""
_FLAT, _WIDE = 0.02, 20.0
"""Reach behind a Rescaling below and above which samples were scaled otherwise than it takes for granted."""

CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "255 times too large (mend --scale: 1/255)": lambda x: x / 255,
    "255 times too small (mend --scale)": lambda x: x * 255,
    "in the reverse order of channels (RGB or BGR)": lambda x: x[..., ::-1],
    "in 0 … 1 where -1 … 1 was trained on (--mean 0.5 --std 0.5)": lambda x: x * 2 - 1,
    "in -1 … 1 where 0 … 1 was trained on": lambda x: (x + 1) / 2,
}
"""What may be wrong with images -> what mends it."""


def lint_scaling(model: Any, inputs: Mapping[str, np.ndarray]) -> list[Remark]:
    """Compare samples with what a model remembers.

    Args:
        model: a functional or sequential Keras 3 model.
        inputs: arrays of shape (samples, ...) by input name.
    """
    rescaled = list(_rescaled(model, inputs))
    return rescaled or list(_normalized(model, inputs))


def _rescaled(model: Any, inputs: Mapping[str, np.ndarray]) -> Iterator[Remark]:
    names = {id(tensor): origin(tensor).name for tensor in model.inputs}
    for path, layer, name in _first_layers(model, names, ""):
        values = inputs[name]
        if type(layer) is not keras.layers.Rescaling or values.dtype.kind not in "fiu":
            continue
        factor = float(np.abs(np.asarray(layer.scale)).max())
        spread = reach(values) * factor
        if _FLAT < spread < _WIDE:
            continue
        what = (
            f"samples of {span(values)} go into {path}, a Rescaling by {factor:.4g}, and reach {spread:.3g} behind it"
        )
        mend = "they are scaled already: leave --scale away" if spread <= _FLAT else "scale them as in training"
        yield Remark("fault", f"input {name}", what, mend)


def _first_layers(model: Any, names: dict[int, str], prefix: str) -> Iterator[tuple[str, Any, str]]:
    """Give the layers that read an input as it is, or behind what acts in training only: path, layer, input."""
    for call in calls(model):
        tensors = _tensors(call)
        name = names.get(id(tensors[0])) if len(tensors) == 1 else None
        if name is None:
            continue
        if acts_in_training_only(call.layer):
            names[id(call.outputs[0])] = name
        elif isinstance(call.layer, keras.Model) and is_graph(call.layer):
            inside = {id(tensor): name for tensor in functional(call.layer).inputs}
            yield from _first_layers(call.layer, inside, f"{prefix}{call.layer.name}/")
        else:
            yield f"{prefix}{call.layer.name}", call.layer, name


@dataclass(frozen=True)
class _Memory:
    """A normalization: a model that gives what goes into it, and what went in in training."""

    path: str
    before: Any
    mean: np.ndarray
    variance: np.ndarray


def _normalized(model: Any, inputs: Mapping[str, np.ndarray]) -> Iterator[Remark]:
    memory = _first_memory(model)
    images = {name for name, values in inputs.items() if values.dtype.kind == "f"}
    if memory is None or not images:
        return
    here = _distance(memory, inputs)
    if here < DOUBTFUL:
        return
    tried = {
        said: _distance(memory, {name: _changed(change, values, name in images) for name, values in inputs.items()})
        for said, change in CHANGES.items()
    }
    best = min(tried, key=lambda said: tried[said])
    what = f"what the samples make of the input of {memory.path} is far from what it saw in training ({here:.1f})"
    where = "inputs " + ", ".join(sorted(inputs)) if len(inputs) > 1 else f"input {next(iter(inputs))}"
    if tried[best] < min(NEAR_AGAIN, here / BETTER):
        yield Remark(
            "fault", where, f"{what}; near ({tried[best]:.1f}) if they are {best}", "preprocess as in training"
        )
    elif here >= FAR:
        yield Remark("risk", where, what, "preprocess as in training, or give samples like those")


def _changed(change: Callable[[np.ndarray], np.ndarray], values: np.ndarray, image: bool) -> np.ndarray:
    return np.ascontiguousarray(change(values).astype(values.dtype)) if image else values


def _distance(memory: _Memory, inputs: Mapping[str, np.ndarray]) -> float:
    """Return how far samples are from training.

    That is the mean over channels of the shift of the mean, in standard deviations, and of the absolute logarithm of
    the ratio of the variances.
    """
    values = keras.ops.convert_to_numpy(memory.before(dict(inputs), training=False)).astype(np.float64)
    rows = values.reshape(-1, values.shape[-1])
    floor = 1e-3 * float(memory.variance.mean()) + 1e-12
    variance = memory.variance + floor
    shift = np.abs(rows.mean(axis=0) - memory.mean) / np.sqrt(variance)
    ratio = np.abs(np.log((rows.var(axis=0) + floor) / variance))
    return float(np.mean(np.minimum(shift, 1e3) + ratio))


def _first_memory(model: Any) -> _Memory | None:
    """Return the first normalization along the last axis, of the model itself; None: there is none."""
    for call in calls(model):
        layer = call.layer
        if type(layer) is keras.layers.BatchNormalization and affine_of(layer) is not None:
            mean, variance = (np.asarray(part, np.float64) for part in (layer.moving_mean, layer.moving_variance))
        elif type(layer) is keras.layers.Normalization and affine_of(layer) is not None:
            mean, variance = (np.asarray(part, np.float64).reshape(-1) for part in (layer.mean, layer.variance))
        else:
            continue
        if not mean.any() and (variance == 1).all():
            return None  # it was never trained
        inputs = {origin(tensor).name: tensor for tensor in model.inputs}
        return _Memory(layer.name, keras.Model(inputs, _tensors(call)[0]), mean, variance)
    return None


def _tensors(call: Call) -> list[Any]:
    return list(Template.of(call.args, call.kwargs, is_symbolic)[1])
