"""Multiply-accumulates of one call of a layer, for one sample.

Counted are convolutions, dense layers, recurrent layers, attention and matrix products: what the literature counts.
Additions, activations, normalizations and look-ups count as nothing. Sizes come from the weights' shapes, so that
grouped, dilated and depthwise convolutions need no cases of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.models.keras_private import attention_projections

TensorShape = tuple[int | None, ...]


@dataclass(frozen=True)
class Shapes:
    """Shapes of a call's tensors, WITHOUT the batch axis.

    Attributes:
        inputs: of what goes in, in the order of the arguments.
        output: of the first tensor that comes out.
    """

    inputs: tuple[TensorShape, ...]
    output: TensorShape


def _product(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _times(*factors: int | None) -> int | None:
    return _product(factors)


def _size(weight: Any) -> int:
    return math.prod(int(size) for size in weight.shape)


def _spatial(layer: Any, shape: TensorShape) -> TensorShape:
    return shape[1:] if layer.data_format == "channels_first" else shape[:-1]


def _convolution(layer: Any, shapes: Shapes) -> int | None:
    """Every output position uses the whole kernel: positions x (window x channels in / groups x channels out)."""
    return _times(_product(_spatial(layer, shapes.output)), _size(layer.kernel))


def _transposed(layer: Any, shapes: Shapes) -> int | None:
    """Every input position uses the whole kernel."""
    return _times(_product(_spatial(layer, shapes.inputs[0])), _size(layer.kernel))


def _separable(layer: Any, shapes: Shapes) -> int | None:
    kernels = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
    return _times(_product(_spatial(layer, shapes.output)), kernels)


def _depthwise(layer: Any, shapes: Shapes) -> int | None:
    kernel = layer.kernel if hasattr(layer, "kernel") else layer.depthwise_kernel
    return _times(_product(_spatial(layer, shapes.output)), _size(kernel))


def _dense(layer: Any, shapes: Shapes) -> int | None:
    """Every vector along the last axis is multiplied by the kernel."""
    return _times(_product(shapes.output[:-1]), _size(layer.kernel))


def _einsum_dense(layer: Any, shapes: Shapes) -> int | None:
    """The product of the sizes of all letters but the batch's."""
    inputs, kernel = layer.equation.replace(" ", "").split("->")[0].split(",")
    if "..." in inputs:
        return _times(_product(shapes.inputs[0][: len(shapes.inputs[0]) - len(inputs) + 3]), _size(layer.kernel))
    sizes = dict(zip(inputs[1:], shapes.inputs[0], strict=True)) | dict(zip(kernel, layer.kernel.shape, strict=True))
    return _product(list(sizes.values()))


def _recurrent(layer: Any, shapes: Shapes) -> int | None:
    """Every step multiplies the input by the kernel and the state by the recurrent kernel."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    if not all(hasattr(cell, "kernel") and hasattr(cell, "recurrent_kernel") for cell in cells):
        return None
    step = sum(_size(cell.kernel) + _size(cell.recurrent_kernel) for cell in cells)
    return _times(shapes.inputs[0][0], step)


def _bidirectional(layer: Any, shapes: Shapes) -> int | None:
    directions = [_of_layer(inner, shapes) for inner in (layer.forward_layer, layer.backward_layer)]
    return None if None in directions else sum(n for n in directions if n is not None)


def _time_distributed(layer: Any, shapes: Shapes) -> int | None:
    step = Shapes((shapes.inputs[0][1:],), shapes.output[1:])
    return _times(shapes.inputs[0][0], _of_layer(layer.layer, step))


def _attention_over_heads(layer: Any, shapes: Shapes) -> int | None:
    """Projections of query, key and value, their products by heads, and the projection out (Vaswani et al. 2017)."""
    query, value = shapes.inputs[0], shapes.inputs[1]
    if len(query) != 2 or len(value) != 2:
        return None
    kernels = {name: tuple(dense.kernel.shape) for name, dense in attention_projections(layer).items()}
    _, heads, key_size = kernels["query"]
    at_queries = sum(math.prod(kernels[name]) for name in ("query", "gate", "output") if name in kernels)
    at_values = math.prod(kernels["key"]) + math.prod(kernels["value"])
    parts = (
        _times(query[0], at_queries),
        _times(value[0], at_values),
        _times(query[0], value[0], heads * (key_size + kernels["value"][2])),
    )
    return None if None in parts else sum(n for n in parts if n is not None)


def _attention(_: Any, shapes: Shapes) -> int | None:
    """Scores, then the weighted sum: both every query with every value."""
    query, value = shapes.inputs[0], shapes.inputs[1]
    key = shapes.inputs[2] if len(shapes.inputs) > 2 else value
    return _times(_product(query[:-1]), value[-2], (key[-1] or 0) + (value[-1] or 0))


def _matrix_product(shapes: Shapes) -> int | None:
    """Every number that comes out is a sum over the axis that the two matrices share."""
    (rows, columns), given = shapes.output[-2:], shapes.inputs[0]
    if given[-2] == rows:
        shared = given[-1]
    elif given[-1] == columns:  # the other one is a constant on the left
        shared = given[-2]
    else:  # given transposed
        shared = given[-2] if given[-1] == rows else given[-1]
    return _times(_product(shapes.output), shared)


def _nothing(_: Any, __: Shapes) -> int:
    return 0


RULES: Mapping[str, Callable[[Any, Shapes], int | None]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), _recurrent),
    **dict.fromkeys(("Embedding", "PReLU", "Normalization", "BatchNormalization", "LayerNormalization"), _nothing),
    **dict.fromkeys(("GroupNormalization", "RMSNormalization", "UnitNormalization", "LayerScale"), _nothing),
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    **dict.fromkeys(("MultiHeadAttention", "GroupedQueryAttention"), _attention_over_heads),
    "Attention": _attention,
}
"""Class of a layer -> how its multiply-accumulates are counted; others count as nothing if they have no weights."""

PRODUCTS = frozenset({"Matmul", "linalg.matmul"})
"""Operations that are matrix products."""
UNCOUNTED = frozenset({"Lambda", "AdditiveAttention", "Dot"})
"""Layers without weights that may multiply all the same."""
COSTLY_OPERATIONS = ("conv", "depthwise", "dot", "einsum", "linalg.", "separable", "signal.", "tensordot")
"""Beginnings of names of operations that multiply and are not counted."""


def macs_of_call(layer: Any, shapes: Shapes) -> int | None:
    """Count one call of a layer or operation of either Keras.

    Args:
        layer: who is called; a layer inside a training wrapper is to be given without it.
        shapes: what goes in and comes out, for one sample.

    Returns:
        Multiply-accumulates; None: not known how to count them, or a size is open.
    """
    operation = getattr(layer, "operation", layer)
    name = getattr(layer, "symbol", None) or type(operation).__name__
    if name in PRODUCTS:
        return _matrix_product(shapes)
    if hasattr(layer, "symbol") or not hasattr(operation, "weights"):
        return None if name.lower().removeprefix("nn.").startswith(COSTLY_OPERATIONS) else 0
    return _of_layer(layer, shapes)


def _of_layer(layer: Any, shapes: Shapes) -> int | None:
    kind = type(layer).__name__
    if kind in RULES:
        return RULES[kind](layer, shapes)
    return None if layer.weights or kind in UNCOUNTED else 0
