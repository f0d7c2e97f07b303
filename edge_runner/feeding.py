"""From the arrays of a data file to what the model's inputs want, sample by sample.

Data of the input's own dtype goes in as it is; everything else holds real values, quantized with the input's own
scale and zero point, ``stored = round(real / scale) + zero_point``, and cut to the dtype's range (Jacob et al. 2018,
arXiv:1712.05877, equation 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edge_runner.arrays import ArrayError, release
from edge_runner.interpreter import Model, Tensor
from edge_runner.ndarray import Array

CHECKED_SAMPLES = 256
CHECKED_BYTES = 1 << 24
SATURATED_LIMIT = 0.2
UNUSED_LIMIT = 0.05
"""Data that spans less than this fraction of what an input can represent was probably scaled otherwise in training."""


def quantize_array(real: Array, tensor: Tensor) -> Array:
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
            raise ArrayError(msg)
        self.size = next(iter(sizes.values()))
        if not self.size:
            msg = "data holds no samples"
            raise ArrayError(msg)
        self.ranges: dict[str, dict[str, Any]] = {}

    def fit(self, model: Model) -> None:
        """Resize inputs whose open extents the samples decide, and allocate; refuse samples that cannot fit."""
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
                raise ArrayError(msg)
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

    def real(self, tensor: Tensor, index: int) -> Array:
        """Return sample *index* of *tensor* as real values, whether the data holds them stored or real."""
        sample = np.asarray(self.arrays[tensor.name][index])
        return dequantize(sample, tensor) if sample.dtype == tensor.dtype else sample

    def release(self) -> None:
        """Give back the memory of what was read so far."""
        for array in self.arrays.values():
            release(array)

    def check(self, inputs: Sequence[Tensor], expects: Mapping[str, Sequence[Any]] | None = None) -> list[str]:
        """Look at up to 256 samples, evenly spread, fill ``ranges`` and return warnings about them.

        ``ranges`` says for each input ``data_low``, ``data_high``, ``model_low``, ``model_high`` (real values) and
        ``saturated``, the fraction of the data beyond what the model can represent or was made for. What is not known
        is None.

        Args:
            inputs: the model's.
            expects: by the index of an input that is not quantized, as text: the least and largest real value that it
                is made for, and how the file says so.

        Raises:
            DataError: NaN or infinity among them.
        """
        warnings = []
        for tensor in inputs:
            expected = _expected(tensor, (expects or {}).get(str(tensor.index)))
            seen = self._seen(tensor, expected)
            self.ranges[tensor.name] = seen
            warnings.extend(_range_warning(tensor, seen, expected))
        self.release()
        return warnings

    def _seen(self, tensor: Tensor, expected: _Expected | None) -> dict[str, Any]:
        array = self.arrays[tensor.name]
        each = max(1, array[:1].nbytes)
        count = max(1, min(self.size, CHECKED_SAMPLES, CHECKED_BYTES // each))
        low, high, outside, total = np.inf, -np.inf, 0, 0
        for place in np.unique(np.linspace(0, self.size - 1, count).astype(int)):
            values = self.real(tensor, int(place))
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                msg = f"data for input {tensor.name!r} must be finite, got NaN or infinity; clean the data"
                raise ArrayError(msg)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            total += values.size
            if expected is not None:
                ends = expected.low - expected.step / 2, expected.high + expected.step / 2
                outside += int(np.count_nonzero((values < ends[0]) | (values > ends[1])))
        return {
            "data_low": low,
            "data_high": high,
            "model_low": expected.low if expected else None,
            "model_high": expected.high if expected else None,
            "saturated": outside / total if expected else None,
        }


class _Expected(NamedTuple):
    """What an input can represent or is made for, the width of one step, and how that is known."""

    low: float
    high: float
    step: float
    why: str


def _expected(tensor: Tensor, told: Sequence[Any] | None) -> _Expected | None:
    if tensor.scale is not None and tensor.zero_point is not None:
        limits = np.iinfo(tensor.dtype)
        low, high = ((limit - tensor.zero_point) * tensor.scale for limit in (limits.min, limits.max))
        return _Expected(low, high, tensor.scale, "")
    if told is None or tensor.dtype.kind != "f":
        return None
    low, high, why = told
    return _Expected(low, high, (high - low) / 255, f" ({why})")


def as_stored(values: Array, tensor: Tensor) -> Array:
    """Return *values* in the dtype that *tensor* stores; see the module's docstring."""
    if values.dtype == tensor.dtype:
        return np.ascontiguousarray(values)
    return quantize_array(values, tensor)


def labels_for(name: str, outputs: int, data: Mapping[str, Array]) -> Array | None:
    """Return the labels of output *name* (``y.NAME``, or ``y`` when it is the only one), or None."""
    try:
        return _find("y", name, outputs, data)
    except ArrayError:
        return None


def _find(prefix: str, name: str, count: int, data: Mapping[str, Array]) -> Array:
    """Return the array for *name*, one of *count* inputs (or outputs) of the model."""
    keys = [f"{prefix}.{name}", f"{prefix}_test.{name}"] + ([prefix, f"{prefix}_test"] if count == 1 else [])
    for key in keys:
        if key in data:
            array = data[key]
            if array.ndim == 0 or array.dtype.kind not in "fiub":
                msg = f"data member {key!r} must be numbers, samples first, got {array.dtype} of shape {array.shape}"
                raise ArrayError(msg)
            return array
    msg = f"data must hold {' or '.join(map(repr, keys))}, got {', '.join(sorted(data)) or 'nothing'}"
    raise ArrayError(msg)


def _range_warning(tensor: Tensor, seen: Mapping[str, Any], expected: _Expected | None) -> list[str]:
    """Compare the data with what the input can represent."""
    if expected is None:
        return []
    least, most = seen["data_low"], seen["data_high"]
    ranges = (
        f"your data for input {tensor.name!r} is {_short(least)}..{_short(most)} and the model expects "
        f"{_short(expected.low)}..{_short(expected.high)}{expected.why}"
    )
    if seen["saturated"] > SATURATED_LIMIT:
        return [f"{ranges}: {seen['saturated']:.0%} of the values saturate; scale the data as in training"]
    if most - least < UNUSED_LIMIT * (expected.high - expected.low):
        return [f"{ranges}: it uses less than {UNUSED_LIMIT:.0%} of that; scale the data as in training"]
    return []


def _short(value: float) -> str:
    """Return three digits of a number, without an exponent up to a million."""
    return f"{float(f'{value:.3g}'):g}"
