"""Convolution and pooling of volumes, for which the runtime has no integer op, as those of images.

A volume of shape (depth, height, width, channels) is taken as *depth* images: they join the batch.
"""

from __future__ import annotations

import operator
from typing import Any

import keras

from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers


def convolution(layer: Any, expand: Expand) -> Apply | None:
    """Expand Conv3D: the slices that meet in one place along the depth are put one after the other in the channels.

    ``y[d] = sum_k conv2d(x[d + k], kernel[k]) = conv2d(concat_k(x[d + k]), concat_k(kernel[k]))``.
    """
    if convolution_obstacle(layer):
        return None
    parts = Sublayers(layer, expand)
    deep, high, wide, inputs, filters = layer.kernel.shape
    kernel = keras.ops.reshape(keras.ops.transpose(layer.kernel, (1, 2, 0, 3, 4)), (high, wide, deep * inputs, filters))
    flat = parts.weighted(
        keras.layers.Conv2D,
        "flat",
        (None, None, None, deep * inputs),
        [kernel, *([layer.bias] if layer.use_bias else [])],
        filters=filters,
        kernel_size=(high, wide),
        strides=layer.strides[1:],
        padding=layer.padding,
        dilation_rate=layer.dilation_rate[1:],
        use_bias=layer.use_bias,
        activation=layer.activation,
        kernel_regularizer=layer.kernel_regularizer,
        bias_regularizer=layer.bias_regularizer,
    )
    step, gap = layer.strides[0], layer.dilation_rate[0]

    def apply(x: Any) -> Any:
        x, count = _padded(parts, x, layer.padding, (deep - 1) * gap + 1, step)
        reach = (count - 1) * step + 1
        slices = [
            parts.op("slice", operator.getitem, x, (slice(None), slice(at, at + reach, step)))
            for at in range(0, deep * gap, gap)
        ]
        stacked = parts.layer(keras.layers.Concatenate, "stack")(slices) if deep > 1 else slices[0]
        return _images(parts, stacked, flat)

    return apply


def pooling(layer: Any, expand: Expand) -> Apply | None:
    """Expand MaxPooling3D and AveragePooling3D: over each image first, then over the depth."""
    if pooling_obstacle(layer):
        return None
    parts = Sublayers(layer, expand)
    largest = isinstance(layer, keras.layers.MaxPooling3D)
    kind = keras.layers.MaxPooling2D if largest else keras.layers.AveragePooling2D
    flat = parts.layer(kind, "flat", pool_size=layer.pool_size[1:], strides=layer.strides[1:], padding="valid")
    reduce = keras.ops.max if largest else keras.ops.mean
    deep = layer.pool_size[0]

    def apply(x: Any) -> Any:
        if None in x.shape[1:]:
            return layer(x)
        count = x.shape[1] // deep
        if x.shape[1] % deep:
            x = parts.op("crop", operator.getitem, x, (slice(None), slice(0, count * deep)))
        pooled = _images(parts, x, flat)
        shape = tuple(pooled.shape[2:])
        groups = parts.op("groups", keras.ops.reshape, pooled, (-1, deep, shape[0] * shape[1], shape[2]))
        return parts.op("volume", keras.ops.reshape, parts.op("depth", reduce, groups, axis=1), (-1, count, *shape))

    return apply


def pooling_obstacle(layer: Any) -> str:
    """Return why pooling of volumes stays as it is; empty: it is expanded where the size of its input is fixed."""
    if layer.data_format != "channels_last" or layer.padding != "valid" or layer.pool_size[0] != layer.strides[0]:
        return "its windows overlap along the depth, are padded, or the channels come first"
    return ""


def convolution_obstacle(layer: Any) -> str:
    """Return why Conv3D stays as it is; empty: it is expanded."""
    shape = layer.get_build_config()["input_shape"]
    if layer.data_format != "channels_last" or None in shape[1:]:
        return f"its inputs of shape {tuple(shape[1:])} have no fixed size, or their channels first"
    return f"it has {layer.groups} groups" if layer.groups != 1 else ""


def _padded(parts: Sublayers, x: Any, padding: str, window: int, step: int) -> tuple[Any, int]:
    """Pad *x* along the depth as *padding* says; returns it and how many windows fit."""
    size = x.shape[1]
    if padding == "valid":
        return x, (size - window) // step + 1
    count = -(-size // step)
    missing = max((count - 1) * step + window - size, 0)
    if not missing:
        return x, count
    sides = ((missing // 2, missing - missing // 2), (0, 0), (0, 0))
    return parts.layer(keras.layers.ZeroPadding3D, "pad", padding=sides)(x), count


def _images(parts: Sublayers, x: Any, function: Apply) -> Any:
    """Apply *function*, which takes images, to the slices of *x*, of shape (batch, depth, height, width, channels)."""
    joined = parts.op("images", keras.ops.reshape, x, (-1, *x.shape[2:]))
    out = function(joined)
    return parts.op("volumes", keras.ops.reshape, out, (-1, x.shape[1], *out.shape[1:]))
