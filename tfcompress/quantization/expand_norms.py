"""Normalizations and scalings rewritten into means, products and depthwise 1x1 convolutions."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers, as_image, per_channel


def layer_normalization(layer: Any, expand: Expand) -> Apply | None:
    """Expand LayerNormalization (Ba et al. 2016, equation 4); not its deprecated ``rms_scaling``, which is no RMS."""
    rank = len(layer.get_build_config()["input_shape"])
    axes = _positive(layer.axis, rank)
    elsewhere = axes != [rank - 1] and (layer.gamma is not None or layer.beta is not None)
    if elsewhere or layer.rms_scaling:
        return None
    parts = Sublayers(layer, expand)
    normal = _standardized(parts, axes, layer.epsilon, centred=True)
    affine = _affine(parts, layer.gamma, layer.beta)
    return lambda x: affine(normal(x))


def rms_normalization(layer: Any, expand: Expand) -> Apply | None:
    """Expand RMSNormalization (Zhang & Sennrich 2019, equation 4)."""
    rank = len(layer.get_build_config()["input_shape"])
    if _positive(layer.axis, rank) != [rank - 1]:
        return None
    parts = Sublayers(layer, expand)
    normal = _standardized(parts, [rank - 1], layer.epsilon, centred=False)
    affine = _affine(parts, layer.scale, None)
    return lambda x: affine(normal(x))


def unit_normalization(layer: Any, expand: Expand) -> Apply | None:
    """Expand UnitNormalization: ``x / max(|x|, 1e-12)``."""
    parts = Sublayers(layer, expand)
    return unit_length(parts, layer.axis)


def unit_length(parts: Sublayers, axis: Any) -> Apply:
    """Return a function that scales a tensor to length 1 along *axis*.

    It goes by the mean of the squares: XNNPACK's int8 SUM and the reference kernel's differ (LiteRT 2.3).
    """
    square = parts.layer(keras.layers.Multiply, "square")
    product = parts.layer(keras.layers.Multiply, "multiply")

    def apply(x: Any) -> Any:
        axes = axis if isinstance(axis, list | tuple) else [axis]
        count = math.prod(x.shape[a] for a in axes)
        mean = parts.op("mean", keras.ops.mean, square([x, x]), axis=axis, keepdims=True)
        inverse = parts.op("rsqrt", keras.ops.rsqrt, parts.op("epsilon", keras.ops.add, mean, 1e-24 / count))
        return product([x, parts.op("scale", keras.ops.multiply, inverse, 1 / math.sqrt(count))])

    return apply


def group_normalization(layer: Any, expand: Expand) -> Apply | None:
    """Expand GroupNormalization (Wu & He 2018, equations 1-2) over the last axis."""
    shape = layer.get_build_config()["input_shape"]
    rank, channels, groups = len(shape), shape[-1], layer.groups
    if layer.axis not in (-1, rank - 1):
        return None
    parts = Sublayers(layer, expand)
    grouped = parts.layer(keras.layers.Reshape, "groups", target_shape=(-1, groups, channels // groups))
    normal = _standardized(parts, [1, 3], layer.epsilon, centred=True)
    affine = _affine(parts, layer.gamma, layer.beta)

    def apply(x: Any) -> Any:
        back = parts.layer(keras.layers.Reshape, "ungrouped", target_shape=tuple(s or -1 for s in x.shape[1:]))
        return affine(back(normal(grouped(x))))

    return apply


def standalone_batch_normalization(layer: Any, expand: Expand) -> Apply | None:
    """Put a depthwise 1x1 convolution of ones before a BatchNormalization that follows no convolution.

    The two fold into one depthwise convolution like any other pair, and training statistics stay as they are.
    """
    shape = layer.get_build_config()["input_shape"]
    if layer.axis not in (-1, len(shape) - 1):
        return None
    parts = Sublayers(layer, expand)
    kernel = np.ones((1, 1, shape[-1], 1), "float32")
    options: dict[str, Any] = {"kernel_size": 1, "use_bias": False}
    made = keras.layers.DepthwiseConv2D
    ones: Any = parts.weighted(made, "identity", (None, None, None, shape[-1]), [kernel], **options)
    ones.trainable = False
    if len(shape) != 4:
        layer = _for_images(layer, shape[-1])
    return lambda x: as_image(parts, "identity", x, lambda image: layer(ones(image)))


def _for_images(layer: Any, channels: int) -> Any:
    """Return a copy of a BatchNormalization that takes images."""
    copy = type(layer).from_config({**layer.get_config(), "axis": -1})
    copy.build((None, None, None, channels))
    copy.set_weights(layer.get_weights())
    copy.trainable = layer.trainable
    return copy


def rescaling(layer: Any, expand: Expand) -> Apply | None:
    """Expand Rescaling: ``x * scale + offset``."""
    parts = Sublayers(layer, expand)

    def apply(x: Any) -> Any:
        offset = None if not np.any(layer.offset) else layer.offset
        return per_channel(parts, "scale", layer.scale, offset, x.shape[-1], trainable=False)(_real(parts, x))

    return apply


def normalization(layer: Any, expand: Expand) -> Apply | None:
    """Expand Normalization over the last axis (or over all): ``(x - mean) / sqrt(variance)``, or back."""
    shape = layer.get_build_config()["input_shape"]
    if layer.axis not in ((), (len(shape) - 1,), (-1,)):
        return None
    mean = keras.ops.convert_to_numpy(layer.mean).astype("float64")
    deviation = np.maximum(np.sqrt(keras.ops.convert_to_numpy(layer.variance).astype("float64")), 1e-7)
    scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    parts = Sublayers(layer, expand)
    affine = per_channel(parts, "scale", scale, offset, shape[-1], trainable=False)
    return lambda x: affine(_real(parts, x))


def layer_scale(layer: Any, expand: Expand) -> Apply | None:
    """Expand ConvNeXt's LayerScale (Touvron et al. 2021, equation 4): a factor a channel."""
    return per_channel(Sublayers(layer, expand), "scale", layer.gamma, None, layer.gamma.shape[0])


def _affine(parts: Sublayers, scale: Any | None, offset: Any | None) -> Apply:
    if scale is None and offset is None:
        return lambda x: x
    scale = keras.ops.ones_like(offset) if scale is None else scale
    return per_channel(parts, "affine", scale, offset, scale.shape[0])


def _standardized(parts: Sublayers, axes: list[int], epsilon: float, *, centred: bool) -> Apply:
    """Return a function that gives variance 1 (and mean 0, where *centred*) over *axes*."""
    subtract = parts.layer(keras.layers.Subtract, "centre")
    square = parts.layer(keras.layers.Multiply, "square")
    product = parts.layer(keras.layers.Multiply, "multiply")

    def apply(x: Any) -> Any:
        if centred:
            x = subtract([x, parts.op("mean", keras.ops.mean, x, axis=axes, keepdims=True)])
        variance = parts.op("variance", keras.ops.mean, square([x, x]), axis=axes, keepdims=True)
        inverse = parts.op("rsqrt", keras.ops.rsqrt, parts.op("epsilon", keras.ops.add, variance, epsilon))
        return product([x, inverse])

    return apply


def _real(parts: Sublayers, x: Any) -> Any:
    """Cast integers, which both scalings take, to floats."""
    return x if "float" in x.dtype else parts.op("cast", keras.ops.cast, x, keras.config.floatx())


def _positive(axis: Any, rank: int) -> list[int]:
    axes = axis if isinstance(axis, list | tuple) else [axis]
    return sorted(a % rank for a in axes)
