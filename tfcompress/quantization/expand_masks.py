"""Padding marked by the values themselves (``Masking``), in ops that the int8 runtime has."""

from __future__ import annotations

from typing import Any

import keras

from tfcompress.errors import UnsupportedError
from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers


def masking(layer: Any, expand: Expand) -> Apply:
    """Expand Masking by zero into nothing: what it sets to zero is zero; the mask is an operation of its own.

    Raises:
        UnsupportedError: it masks by another value, which is no number of an 8-bit input: rounded, padding is lost.
    """
    if layer.mask_value:
        msg = (
            f"layer {layer.name!r} marks padding by the value {layer.mask_value:g}, which an 8-bit input rounds to "
            "another one; pad with zeros (mask_value=0) and train the model so, or quantize 'dynamic' or 'float16' "
            "without --qat"
        )
        raise UnsupportedError(msg)
    parts = Sublayers(layer, expand)
    return lambda x, **_: parts.layer(keras.layers.Activation, "unchanged", activation="linear")(x)


def not_equal(operation: Any, expand: Expand) -> Apply:
    """Expand ``x != 0`` of real numbers into where the larger of 0 and ``|x|`` is: TFLite compares no int8 numbers."""
    parts = Sublayers(keras.layers.Identity(name=operation.name), expand)

    def apply(x1: Any, x2: Any) -> Any:
        if not (keras.backend.is_keras_tensor(x1) and "float" in str(x1.dtype) and _is_zero(x2)):
            return operation(x1, x2)
        size = parts.op("size", keras.ops.absolute, x1)
        column = parts.op("column", keras.ops.expand_dims, size, -1)
        pair = parts.op("pair", keras.ops.pad, column, [(0, 0)] * len(x1.shape) + [(1, 0)])
        # the first of equal numbers is found: 0 where both are zero
        return parts.op("nonzero", keras.ops.not_equal, parts.op("place", keras.ops.argmax, pair, axis=-1), 0)

    return apply


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0
