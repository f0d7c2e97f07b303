"""Which of a model's layers are computed exactly, and how; what is not listed is computed in float and rounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfcompress.models.call_template import SLOT, Template
from tfcompress.quantization import rules
from tfcompress.quantization.exact import arithmetic
from tfcompress.quantization.exact.call import Emulated, Exact, Maker
from tfcompress.quantization.exact.values import LARGEST, Bounds, Grid, Held, Sums, Waiting
from tfcompress.quantization.exact.weighted_layers import RELU, RELU6, bounds_of, normalized, transformed


def _rectified(call: Emulated) -> list[Exact] | None:
    layer, bounds = call.layer, RELU
    if type(layer).__name__ == "ReLU":
        if layer.negative_slope or layer.threshold or layer.max_value not in (None, 6.0):
            return None
        bounds = RELU if layer.max_value is None else RELU6
    return _bounded(call.given[0], bounds)


def _bounded(given: Exact, bounds: Bounds) -> list[Exact] | None:
    if isinstance(given, Held) and given.dense and given.numbers.ndim > 2:
        return None  # the converter may have moved a reshape in between, or not
    if isinstance(given, Held):
        given = given.dense or arithmetic.rectified(given)
    if isinstance(given, Sums):
        if given.overflows:
            return None
        given = arithmetic.weighted(given)
    return [given.bounded(bounds)]


def _activated(call: Emulated) -> list[Exact] | None:
    name = getattr(call.layer.activation, "__name__", "")
    bounds = bounds_of(call.layer.activation)
    if bounds is not None:
        return _bounded(call.given[0], bounds)
    if name == "linear":
        return [call.given[0]]
    if call.held is None:
        return None
    if name == "softmax":
        return [arithmetic.softmax(call.held)]
    if name == "hard_silu":
        return [arithmetic.hard_swish(call.held)]
    table = _FUNCTIONS.get(name) or (call.layer if name == "gelu" else None)
    return None if table is None else [_looked_up(call.held, table)]


def _looked_up(held: Held, function: Callable[[Any], Any]) -> Waiting:
    return arithmetic.looked_up(held, lambda reals: np.asarray(function(reals), np.float32))


def _tabled(call: Emulated) -> list[Exact] | None:
    return None if call.held is None else [_looked_up(call.held, call.layer)]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    one = np.float32(1.0)
    return np.asarray(one / (one + np.exp(-x)))


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": _sigmoid, "tanh": np.tanh, "exponential": np.exp}


def _softmax(call: Emulated) -> list[Exact] | None:
    axis = getattr(call.layer, "axis", -1)
    if call.held is None or axis not in (-1, call.held.numbers.ndim - 1):
        return None
    return [arithmetic.softmax(call.held)]


def _sides(call: Emulated) -> tuple[Held, Held] | None:
    """Return the two sides of an op, of which one may be a constant; None: they are not known."""
    slots = [{SLOT: place} for place in range(len(call.given))]
    given = [leaf for leaf in _arguments(call.template, slots) if leaf is not None]
    if len(given) != 2:
        return None
    sides = [call.given[leaf[SLOT]] if isinstance(leaf, dict) else _constant(leaf) for leaf in given]
    return (sides[0], sides[1]) if isinstance(sides[0], Held) and isinstance(sides[1], Held) else None


def _arguments(template: Template, slots: list[Any]) -> list[Any]:
    """Return a call's arguments in order, with *slots* for its tensors."""
    args, kwargs = template.fill([_Slot(slot) for slot in slots])
    leaves = keras.tree.flatten((args, list(kwargs.values())))
    return [leaf.slot if isinstance(leaf, _Slot) else leaf for leaf in leaves]


@dataclass(frozen=True)
class _Slot:
    slot: dict[str, int]


def _constant(value: Any) -> Held:
    """Return a constant as the converter holds it: on the grid of its own range."""
    values = np.asarray(value, np.float32)
    grid = Grid.of(min(float(values.min()), 0.0), max(float(values.max()), 0.0))
    return Held(grid.numbers(values), grid)


def _added(call: Emulated) -> list[Exact] | None:
    sides = _sides(call)
    return None if sides is None else [arithmetic.added(*sides)]


def _subtracted(call: Emulated) -> list[Exact] | None:
    sides = _sides(call)
    return None if sides is None else [arithmetic.added(*sides, sign=-1)]


def _multiplied(call: Emulated) -> list[Exact] | None:
    sides = _sides(call)
    return None if sides is None else [arithmetic.multiplied(*sides)]


def _mean(call: Emulated) -> list[Exact] | None:
    layer, held = call.layer, call.held
    if held is None or layer.data_format == "channels_first":
        return None
    axes = tuple(range(1, held.numbers.ndim - 1))
    return [arithmetic.averaged(held, axes, keep=layer.keepdims)]


def _averaged(call: Emulated) -> list[Exact] | None:
    """Do the operation ``keras.ops.mean``."""
    held, axes = call.held, getattr(call.layer, "axis", None)
    if held is None or axes is None:
        return None
    rank = held.numbers.ndim
    every = tuple(sorted(axis % rank for axis in ([axes] if isinstance(axes, int) else axes)))
    return [arithmetic.averaged(held, every, keep=bool(call.layer.keepdims))]


def _multiplied_matrices(call: Emulated) -> list[Exact] | None:
    sides = [side for side in call.given if isinstance(side, Held)]
    if len(sides) != 2 or len(call.given) != 2:
        return None
    sums = call.on([side.centred.astype(np.float64) for side in sides], keras.ops.matmul)
    return [arithmetic.multiplied_matrices(np.asarray(sums).astype(np.int64), sides[0].grid, sides[1].grid)]


def _parametric(call: Emulated) -> list[Exact] | None:
    slopes = np.asarray(call.layer.alpha, np.float32)
    grid = Grid(float(np.abs(slopes).max()) / LARGEST or 1.0, 0)  # like a kernel's, but of one scale
    return None if call.held is None else [arithmetic.leaky(call.held, Held(grid.numbers(slopes), grid))]


def _inverse_rooted(call: Emulated) -> list[Exact] | None:
    return None if call.held is None else [arithmetic.inverse_rooted(call.held)]


def _magnitude(call: Emulated) -> list[Exact] | None:
    return None if call.held is None else [arithmetic.magnitude(call.held)]


def _leaky(call: Emulated) -> list[Exact] | None:
    return None if call.held is None else [arithmetic.leaky_by(call.held, float(call.layer.negative_slope))]


def _pooled(call: Emulated) -> list[Exact] | None:
    layer, held = call.layer, call.held
    if held is None or layer.data_format == "channels_first":
        return None
    numbers = held.numbers.astype(np.float64)
    ones = np.ones((1, *numbers.shape[1:-1], 1))
    size = int(np.prod(layer.pool_size))

    def summed(values: np.ndarray) -> np.ndarray:
        """Sum the windows; Keras gives means over what lies inside, so pad by hand to have a known count."""
        return np.asarray(np.rint(np.asarray(_same_padded(layer, values)) * size), np.int64)

    return [arithmetic.pooled(summed(numbers), summed(ones), held.grid)]


def _same_padded(layer: Any, values: np.ndarray) -> Any:
    sizes, strides = layer.pool_size, layer.strides
    if layer.padding == "same":
        pads = [(0, 0)]
        for extent, size, stride in zip(values.shape[1:-1], sizes, strides, strict=True):
            total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
            pads.append((total // 2, total - total // 2))
        values = np.pad(values, [*pads, (0, 0)])
    return keras.ops.average_pool(values, sizes, strides, "valid", "channels_last")


def _moved(call: Emulated) -> list[Exact] | None:
    """Apply to numbers what moves values, or drops some, and leaves the grid as it is."""
    first = call.given[0]
    if not isinstance(first, Held) or _has_real_numbers(call.template) or getattr(call.layer, "constant_values", None):
        return None  # a pad of another value than zero
    held = [side for side in call.given if isinstance(side, Held) and side.grid == first.grid]
    if len(held) != len(call.given):
        return None
    outputs = keras.tree.flatten(call.on([side.centred.astype(np.float32) for side in held], call.layer))
    return [Held(np.asarray(output).astype(np.int64) + first.grid.zero_point, first.grid) for output in outputs]


def _chosen(call: Emulated) -> list[Exact] | None:
    """Choose by a condition between two tensors on one grid."""
    held = [side for side in call.given if isinstance(side, Held)]
    if len(call.conditions) != 1 or len(held) != 2 or held[0].grid != held[1].grid:
        return None
    return [Held(np.where(call.conditions[0], held[0].numbers, held[1].numbers), held[0].grid)]


def _found(call: Emulated) -> list[None] | None:
    """Give places of the largest or least values, which are the same among real values as among their numbers."""
    return None if call.held is None else [None]


def _topped(call: Emulated) -> list[Exact | None] | None:
    """Give the largest values, and their places."""
    moved = _moved(call)
    return None if moved is None else [moved[0], None]


def _resized(call: Emulated) -> list[Exact] | None:
    layer, held = call.layer, call.held
    if layer.data_format == "channels_first" or getattr(layer, "fill_value", 0):
        return None
    if layer.interpolation == "nearest":
        return _moved(call)
    cut = getattr(layer, "crop_to_aspect_ratio", False) or getattr(layer, "pad_to_aspect_ratio", False)
    smooth = getattr(layer, "antialias", False)
    if held is None or held.numbers.ndim != 4 or layer.interpolation != "bilinear" or cut or smooth:
        return None
    _, high, wide, _ = layer.compute_output_spec(keras.KerasTensor(held.numbers.shape)).shape
    return [arithmetic.interpolated(held, (high, wide))]


def _has_real_numbers(template: Template) -> bool:
    leaves = _arguments(template, [None] * 64)
    return any(isinstance(leaf, float | np.ndarray) or hasattr(leaf, "numpy") for leaf in leaves)


def _passed(call: Emulated) -> list[Exact] | None:
    return [call.given[0]]


_NOISE = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout")

EXACT: dict[str, Maker] = {
    "TransformedLayer": transformed,
    "FreezableBatchNormalization": normalized,
    "ReLU": _rectified,
    "Relu": _rectified,
    "Activation": _activated,
    "Softmax": _softmax,
    "Add": _added,
    "Subtract": _subtracted,
    "Multiply": _multiplied,
    "Mean": _averaged,
    "Matmul": _multiplied_matrices,
    "PReLU": _parametric,
    "LeakyReLU": _leaky,
    "Rsqrt": _inverse_rooted,
    "Where": _chosen,
    "TopK": _topped,
    **dict.fromkeys(("Argmax", "Argmin"), _found),
    **dict.fromkeys(("Absolute", "Abs"), _magnitude),
    **dict.fromkeys(("UpSampling2D", "Resizing", "Resize"), _resized),
    **dict.fromkeys(("Exp", "Log", "Gelu"), _tabled),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _mean),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), _pooled),
    **dict.fromkeys(("Identity", "AlphaDropout", *_NOISE, *rules.AUGMENTING), _passed),
    **dict.fromkeys(
        (
            *("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Maximum", "Minimum"),
            *("Max", "Min", "MaxPool"),
            *("Concatenate", "Stack", "Split", "Unstack", "RepeatVector", "Repeat", "Tile"),
            *("ZeroPadding1D", "ZeroPadding2D", "Pad", "Cropping1D", "Cropping2D", "GetItem", "Slice", "Take"),
            *("Reshape", "Flatten", "Permute", "Transpose", "Squeeze", "ExpandDims", "Moveaxis", "Swapaxes"),
            *("BroadcastTo", "Flip", "Roll"),
        ),
        _moved,
    ),
}
"""Class of a layer or operation -> what computes it exactly, or None where this call of it cannot be."""
