"""From the arrays of a data file to what the model's inputs want, sample by sample.

Data of the input's own dtype goes in as it is; everything else holds real values, quantized with the input's own
scale and zero point, ``stored = round(real / scale) + zero_point``, and cut to the dtype's range (Jacob et al. 2018,
arXiv:1712.05877, equation 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edge_runner.arrays import Array, DataError
from edge_runner.interpreter import Model, Tensor

CHECKED_SAMPLES = 256
SATURATED_LIMIT = 0.2
UNUSED_LIMIT = 0.05
"""Data that spans less than this fraction of what an input can represent was probably scaled otherwise in training."""


def quantize(real: Array, tensor: Tensor) -> Array:
    """Return *real* as *tensor* stores it; real values of any shape, rounded half to even."""
    if tensor.scale is None or tensor.zero_point is None:
        plain: Array = real.astype(tensor.dtype)
        return plain
    limits = np.iinfo(tensor.dtype)
    with np.errstate(over="ignore"):  # an overflow is infinity, which is cut like any value beyond the range
        stored = np.round(np.asarray(real, np.float32) / np.float32(tensor.scale)) + tensor.zero_point
    cut: Array = np.clip(stored, limits.min, limits.max).astype(tensor.dtype)
    return cut


def dequantize(stored: Array, tensor: Tensor) -> Array:
    """Return what *tensor* stores as real values: float32 for a quantized tensor, unchanged otherwise."""
    if tensor.scale is None or tensor.zero_point is None:
        return stored
    return (stored.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


class Feed:
    """Samples for every input of a model.

    Args:
        inputs: the model's.
        data: arrays by key: ``x.NAME``, or ``x`` for a model of one input; ``x_test`` stands in for ``x``.

    Raises:
        DataError: an input without data, unequal counts, a shape or dtype that does not fit, or values not finite.
    """

    def __init__(self, inputs: Sequence[Tensor], data: Mapping[str, Array]) -> None:
        self.arrays = {tensor.name: _find("x", tensor.name, len(inputs), data) for tensor in inputs}
        sizes = {name: len(array) for name, array in self.arrays.items()}
        if len(set(sizes.values())) != 1:
            msg = f"data: every input must have equally many samples, got {sizes}"
            raise DataError(msg)
        self.size = next(iter(sizes.values()))
        if not self.size:
            msg = "data holds no samples"
            raise DataError(msg)

    def fit(self, model: Model) -> None:
        """Resize inputs whose open extents the samples settle, and allocate; refuse samples that cannot fit."""
        resized = False
        for tensor in model.inputs:
            sample = self.arrays[tensor.name].shape[1:]
            wanted = tuple(
                sample[place - 1] if place in tensor.free and place else n for place, n in enumerate(tensor.shape)
            )
            if len(sample) + 1 != len(tensor.shape) or wanted[1:] != sample:
                msg = (
                    f"data for input {tensor.name!r} must have samples of shape {tensor.shape[1:]}, got {sample}; "
                    "write it as the model was trained, batch first"
                )
                raise DataError(msg)
            if wanted != tensor.shape:
                model.resize(tensor, wanted)
                resized = True
        if resized:
            model.allocate()

    def batch(self, tensor: Tensor, start: int) -> Array:
        """Return stored values of *tensor*'s shape from sample *start* on, the last sample repeated beyond the end."""
        array = self.arrays[tensor.name]
        count = tensor.shape[0]
        taken = np.asarray(array[start : start + count])
        if len(taken) < count:
            taken = np.concatenate([taken, np.repeat(taken[-1:], count - len(taken), axis=0)])
        return as_stored(taken, tensor)

    def check(self, inputs: Sequence[Tensor]) -> list[str]:
        """Look at up to 256 samples, evenly spread, and return warnings about their range.

        Raises:
            DataError: NaN or infinity among them.
        """
        places = np.unique(np.linspace(0, self.size - 1, min(self.size, CHECKED_SAMPLES)).astype(int))
        warnings = []
        for tensor in inputs:
            values = np.asarray(self.arrays[tensor.name][places])
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                msg = f"data for input {tensor.name!r} must be finite, got NaN or infinity; clean the data"
                raise DataError(msg)
            warnings.extend(_range_warning(values, tensor))
        return warnings


def as_stored(values: Array, tensor: Tensor) -> Array:
    """Return *values* in the dtype that *tensor* stores; see the module's docstring."""
    if values.dtype == tensor.dtype:
        return np.ascontiguousarray(values)
    return quantize(values, tensor)


def labels_for(name: str, outputs: int, data: Mapping[str, Array]) -> Array | None:
    """Return the labels of output *name* (``y.NAME``, or ``y`` when it is the only one), or None."""
    try:
        return _find("y", name, outputs, data)
    except DataError:
        return None


def made_up(tensor: Tensor, seed: int) -> Array:
    """Return one batch for timing without data: uniform random values, zeros for indices (which have limits)."""
    random = np.random.default_rng(seed)
    if tensor.dtype.kind == "f":
        return random.random(tensor.shape).astype(tensor.dtype)
    if tensor.scale is not None:
        limits = np.iinfo(tensor.dtype)
        return random.integers(limits.min, limits.max, tensor.shape, dtype=tensor.dtype, endpoint=True)
    return np.zeros(tensor.shape, tensor.dtype)


def _find(prefix: str, name: str, count: int, data: Mapping[str, Array]) -> Array:
    """Return the array for *name*, one of *count* inputs (or outputs) of the model."""
    keys = [f"{prefix}.{name}", f"{prefix}_test.{name}"] + ([prefix, f"{prefix}_test"] if count == 1 else [])
    for key in keys:
        if key in data:
            array = data[key]
            if array.ndim == 0 or array.dtype.kind not in "fiub":
                msg = f"data member {key!r} must be numbers, samples first, got {array.dtype} of shape {array.shape}"
                raise DataError(msg)
            return array
    msg = f"data must hold {' or '.join(map(repr, keys))}, got {', '.join(sorted(data)) or 'nothing'}"
    raise DataError(msg)


def _range_warning(values: Array, tensor: Tensor) -> list[str]:
    """Compare real values with what a quantized input can represent."""
    if tensor.scale is None or tensor.zero_point is None or values.dtype == tensor.dtype:
        return []
    limits = np.iinfo(tensor.dtype)
    low, high = ((limit - tensor.zero_point) * tensor.scale for limit in (limits.min, limits.max))
    least, most = float(values.min()), float(values.max())
    ranges = (
        f"your data for input {tensor.name!r} is {least:.3g}..{most:.3g} and the model expects {low:.3g}..{high:.3g}"
    )
    half = tensor.scale / 2
    saturated = float(np.mean((values < low - half) | (values > high + half)))
    if saturated > SATURATED_LIMIT:
        return [f"{ranges}: {saturated:.0%} of the values saturate; scale the data as in training"]
    if most - least < UNUSED_LIMIT * (high - low):
        return [f"{ranges}: it uses less than {UNUSED_LIMIT:.0%} of that; scale the data as in training"]
    return []
