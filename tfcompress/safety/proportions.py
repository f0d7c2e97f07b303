"""Whether the sizes that a configuration claims are in proportion to the weights that its file holds.

A line of text can ask for any amount of memory. Each unit or filter of a layer is an extent of one of its weights at
least, and those are in the file.

Light: the child that looks into a file imports this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

WEIGHT_EXTENTS = frozenset(
    {"units", "filters", "input_dim", "output_dim", "key_dim", "value_dim", "num_heads", "depth_multiplier", "rank"}
)
"""Entries of a layer that are an extent of one of its weights."""

FREE_EXTENT = 1 << 20
"""An extent up to this is never out of proportion: a model that was never built holds no weights."""

SHAPES = frozenset(
    {
        *("batch_input_shape", "batch_shape", "shape", "target_shape", "input_shape", "build_input_shape"),
        *("n", "size", "padding", "cropping", "num_tokens", "max_tokens", "num_bins", "height", "width"),
        *("kernel_size", "pool_size", "strides", "dilation_rate", "output_sequence_length"),
    }
)
"""Entries that are extents of tensors."""

MOST_AXES = 64
"""More than any tensor of NumPy's or TensorFlow's has."""

LARGEST_TENSOR = 1 << 31
"""Numbers in a tensor of one sample: 8 GiB in float32, which nothing at the edge has."""


MOST_ENDS = 10_000
"""Inputs or outputs of a model; nothing that is shipped has a thousandth of them."""


def find_excess(config: Any, weights: int) -> str:
    """Say which size in a model's configuration is out of proportion; empty: none is.

    Args:
        config: what ``model_config`` or ``config.json`` holds.
        weights: how many numbers the file holds as weights.
    """
    for layer, entry, value in _entries(config):
        if entry in WEIGHT_EXTENTS and isinstance(value, int | float) and value > max(weights, FREE_EXTENT):
            return f"its layer {layer!r} says {entry}={value:,}, but the file holds {weights:,} weights in all"
        if entry in ("input_layers", "output_layers") and isinstance(value, list) and len(value) > MOST_ENDS:
            return (
                f"its model {layer!r} says that it has {len(value):,} {entry.split('_')[0]}s, more than {MOST_ENDS:,}"
            )
        if entry in SHAPES and _extent(value) > LARGEST_TENSOR:
            return f"its layer {layer!r} says {entry}={value}, a tensor of over {LARGEST_TENSOR:,} numbers"
    return ""


def _entries(config: Any) -> Iterator[tuple[str, str, Any]]:
    """Give every entry of every layer's configuration, with the layer's name."""
    stack: list[tuple[Any, str]] = [(config, "")]
    while stack:
        value, layer = stack.pop()
        if isinstance(value, Mapping):
            name = value.get("name")
            layer = name if isinstance(name, str) else layer
            for key, item in value.items():
                yield layer, key, item
                stack.append((item, layer))
        elif isinstance(value, list):
            stack.extend((item, layer) for item in value)


def _extent(value: Any) -> float:
    """Return the product of the numbers in a shape, or the largest of several; unknown extents count as 1."""
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            return max(map(_extent, value))
        return math.prod(max(1.0, _extent(item)) for item in value) if len(value) <= MOST_AXES else math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1.0
    return abs(float(value)) if abs(value) < 1 << 62 else math.inf
