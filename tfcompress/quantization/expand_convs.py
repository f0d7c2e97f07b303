"""Separable convolutions and generalized matrix products rewritten into the runtime's own."""

from __future__ import annotations

import math
from typing import Any

import keras

from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers
from tfcompress.quantization.expand_norms import unit_length


def separable(layer: Any, expand: Expand) -> Apply | None:
    """Expand SeparableConv1D and 2D into a depthwise and a pointwise convolution and the activation."""
    if layer.data_format != "channels_last":
        return None
    flat = layer.rank == 1
    parts = Sublayers(layer, expand)
    channels, spaces = layer.depthwise_kernel.shape[-2], (None,) * layer.rank
    depthwise = parts.weighted(
        keras.layers.DepthwiseConv1D if flat else keras.layers.DepthwiseConv2D,
        "depthwise",
        (None, *spaces, channels),
        [layer.depthwise_kernel],
        kernel_size=layer.kernel_size,
        strides=layer.strides[0] if flat else layer.strides,
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        depthwise_regularizer=layer.depthwise_regularizer,
        depthwise_constraint=layer.depthwise_constraint,
    )
    pointwise = parts.weighted(
        keras.layers.Conv1D if flat else keras.layers.Conv2D,
        "pointwise",
        (None, *spaces, channels * layer.depth_multiplier),
        [layer.pointwise_kernel, *([layer.bias] if layer.use_bias else [])],
        filters=layer.filters,
        kernel_size=1,
        use_bias=layer.use_bias,
        activation=layer.activation,
        kernel_regularizer=layer.pointwise_regularizer,
        kernel_constraint=layer.pointwise_constraint,
        bias_regularizer=layer.bias_regularizer,
        bias_constraint=layer.bias_constraint,
    )
    return lambda x: pointwise(depthwise(x))


def einsum_dense(layer: Any, expand: Expand) -> Apply | None:
    """Expand EinsumDense where it is a Dense layer over reshaped axes: ``…ab,ab…->…``."""
    split = _axes(layer.equation)
    rank = len(layer.get_build_config()["input_shape"])
    if split is None or (layer.bias is not None and len(layer.bias.shape) != len(layer.kernel.shape) - split):
        return None
    kernel_shape = tuple(layer.kernel.shape)
    parts = Sublayers(layer, expand)
    project = dense(parts, "dense", layer.kernel, layer.bias, split, layer.activation)

    def apply(x: Any) -> Any:
        kept = tuple(x.shape[1 : rank - split])
        return shaped(parts, "split", project(x), (*kept, *kernel_shape[split:]))

    return apply


def dense(parts: Sublayers, part: str, kernel: Any, bias: Any | None, contracted: int, activation: Any = None) -> Apply:
    """Return a Dense layer over the last *contracted* axes of a tensor.

    Args:
        parts: of the layer that this belongs to.
        part: what to call it.
        kernel: of shape (*contracted axes, *new axes); the new ones come out as one axis.
        bias: of the shape of the new axes, or None.
        contracted: number of axes that are summed over.
        activation: applied to the result.
    """
    shape = tuple(kernel.shape)
    inner, units = math.prod(shape[:contracted]), math.prod(shape[contracted:])
    values = [keras.ops.reshape(kernel, (inner, units))]
    values += [] if bias is None else [keras.ops.reshape(bias, (units,))]
    options = {"units": units, "use_bias": bias is not None, "activation": activation}
    project = parts.weighted(keras.layers.Dense, part, (None, inner), values, **options)
    if contracted == 1:
        return project
    return lambda x: project(shaped(parts, f"{part}_merge", x, (*x.shape[1 : len(x.shape) - contracted], inner)))


def shaped(parts: Sublayers, part: str, x: Any, shape: tuple[int | None, ...]) -> Any:
    """Reshape *x* to (batch, *shape*), of which one size may be unknown, unless that is its shape already."""
    if tuple(x.shape[1:]) == shape:
        return x
    target = tuple(-1 if size is None else size for size in shape)
    return parts.layer(keras.layers.Reshape, part, target_shape=target)(x)


def _axes(equation: str) -> int | None:
    """Return how many trailing axes of the input an einsum *equation* sums over; None: it is not of that kind."""
    inputs, output = equation.replace(" ", "").replace("...", "").split("->")
    x, kernel = inputs.split(",")
    count = sum(label not in output for label in x)
    if count == 0 or x[-count:] != kernel[:count] or output != x[:-count] + kernel[count:] or len(kernel) == count:
        return None
    return count


def dot(layer: Any, expand: Expand) -> Apply | None:
    """Expand Dot of tensors of rank 2 or 3 into a batched matrix product."""
    first, second = (len(shape) for shape in _shapes(layer))
    axes = (layer.axes, layer.axes) if isinstance(layer.axes, int) else tuple(layer.axes)
    a, b = axes[0] % first, axes[1] % second
    if max(first, second) > 3:
        return None
    parts = Sublayers(layer, expand)
    lengths = [unit_length(parts, a), unit_length(parts, b)] if layer.normalize else None

    def apply(inputs: Any) -> Any:
        x, y = inputs if lengths is None else (unit(t) for unit, t in zip(lengths, inputs, strict=True))
        x = _matrix(parts, "first", x, last=a, row=True)
        y = _matrix(parts, "second", y, last=b, row=False)
        product = parts.op("matmul", keras.ops.matmul, x, y)
        free = [t.shape[axis] for t, axis, rank in ((x, 1, first), (y, 2, second)) if rank == 3]
        return shaped(parts, "shape", product, tuple(free) or (1,))

    return apply


def _matrix(parts: Sublayers, part: str, x: Any, *, last: int, row: bool) -> Any:
    """Give *x* rank 3, with the axis that is summed over last (first, for the other factor)."""
    if len(x.shape) == 2:
        size = x.shape[1]
        return shaped(parts, part, x, (1, size) if row else (size, 1))
    wanted = 2 if row else 1
    return x if last == wanted else parts.layer(keras.layers.Permute, part, dims=(2, 1))(x)


def _shapes(layer: Any) -> list[Any]:
    return list(layer.get_build_config()["input_shape"])
