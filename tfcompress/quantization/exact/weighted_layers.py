"""Layers with a kernel, and the normalization after them, in whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfcompress.models.layer_copies import layer_copy
from tfcompress.quantization.baking import CHANNEL_AXES
from tfcompress.quantization.exact import arithmetic
from tfcompress.quantization.exact.call import Emulated, Exact
from tfcompress.quantization.exact.values import Bounds, Sums
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant

RELU: Bounds = (0.0, None)
RELU6: Bounds = (0.0, 6.0)
_WHOLE_FLOAT32 = 2**24  # below it every sum of whole numbers is exact
_WIDEST = 255.0  # a number without its zero point


@dataclass(frozen=True)
class _Kernel:
    """A kernel in whole numbers.

    Attributes:
        numbers: of the kernel's shape.
        largest: largest magnitude of each channel, float32, shape (channels,).
        most: largest sum of the magnitudes of a channel's numbers.
    """

    numbers: np.ndarray
    largest: np.ndarray
    most: float

    @classmethod
    def of(cls, kernel: np.ndarray, axes: tuple[int, ...], levels: int) -> _Kernel:
        """Take the final values of a kernel, whose *axes* are channels, apart."""
        others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
        largest = np.abs(kernel).max(axis=others, keepdims=True)
        numbers = np.rint(kernel / (np.where(largest > 0.0, largest, 1.0).astype(np.float64) / levels))
        return cls(numbers, largest.reshape(-1), float(np.abs(numbers).sum(axis=others).max()))


def transformed(call: Emulated) -> list[Exact] | None:
    """Compute a layer whose kernel is fake quantized, up to its scales."""
    wrapper, layer, held = call.layer, call.layer.layer, call.held
    axes = CHANNEL_AXES.get(type(layer).__name__)
    transform = wrapper.transforms.get("kernel", [None])[-1]
    if axes is None or held is None or not isinstance(transform, WeightFakeQuant):
        return None
    levels = int(transform.largest)
    if wrapper.name not in call.kept:
        call.kept[wrapper.name] = _Kernel.of(wrapper.final("kernel"), axes, levels)
    kernel: _Kernel = call.kept[wrapper.name]
    made = Sums(
        sums=_summed(call, held.centred, kernel),
        source=held.grid,
        largest=kernel.largest,
        levels=levels,
        bias=np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(kernel.largest.shape, np.float32),
        bias_source=call.ranges[wrapper.input_range].step if wrapper.input_range in call.ranges else None,
        dense=type(layer).__name__ == "Dense" and transform.bits == 8,  # one of 4 bits goes as a convolution
    )
    bounds = bounds_of(layer.activation)
    if bounds is not None and made.overflows:
        return None
    return [made if bounds is None else arithmetic.weighted(made).bounded(bounds)]


def _summed(call: Emulated, centred: np.ndarray, kernel: _Kernel) -> np.ndarray:
    """Return the sums of products of whole numbers, which floating-point numbers hold exactly up to a bound."""
    layer = call.layer.layer
    dtype = "float32" if kernel.most * _WIDEST < _WHOLE_FLOAT32 else "float64"
    if (layer.name, dtype) not in call.kept:
        plain = layer_copy(layer, f"{layer.name}_whole", use_bias=False, activation="linear", dtype=dtype)
        plain.kernel.assign(kernel.numbers)
        call.kept[layer.name, dtype] = plain
    plain = call.kept[layer.name, dtype]
    return np.asarray(np.rint(np.asarray(call.on([centred.astype(dtype)], plain))), np.int64)


def bounds_of(activation: Any) -> Bounds | None:
    """Return the bounds of an activation that an op does itself; None: it is none of those."""
    return {"relu": RELU, "relu6": RELU6}.get(getattr(activation, "__name__", ""))


def normalized(call: Emulated) -> list[Exact] | None:
    """Fold a BatchNormalization into sums; ``gamma (x - mean) / sqrt(variance + epsilon) + beta``."""
    layer, sums = call.layer, call.given[0]
    if not isinstance(sums, Sums):
        return None
    mean, factor = np.asarray(layer.moving_mean, np.float64), layer.factor
    beta = np.asarray(layer.beta, np.float64) if layer.center else 0.0
    bias = (beta + (sums.bias.astype(np.float64) - mean) * factor).astype(np.float32)
    largest = (sums.largest * np.abs(factor)).astype(np.float32)
    return [replace(sums, sums=sums.sums * np.where(factor < 0, -1, 1), largest=largest, bias=bias)]
