"""Sums, products and means of several tensors as ops of two, which is what the int8 runtime has."""

from __future__ import annotations

from typing import Any

import keras

from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers


def of_more_than_two(layer: Any, expand: Expand) -> Apply | None:
    """Expand Add and Multiply of three tensors and more."""
    if not layer.built or len(layer.get_build_config()["input_shape"]) == 2:  # parts that are not built take two
        return None
    parts = Sublayers(layer, expand)
    return lambda inputs: _chained(parts, type(layer), inputs)


def average(layer: Any, expand: Expand) -> Apply:
    """Expand Average: the sum, and a factor."""
    parts = Sublayers(layer, expand)

    def apply(inputs: Any) -> Any:
        total = _chained(parts, keras.layers.Add, inputs)
        return parts.op("share", keras.ops.multiply, total, 1.0 / len(inputs))

    return apply


def _chained(parts: Sublayers, kind: Any, inputs: Any) -> Any:
    total = inputs[0]
    for other in inputs[1:]:
        total = parts.layer(kind, kind.__name__.lower())([total, other])
    return total
