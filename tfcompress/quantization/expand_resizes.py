"""Enlarging by repetition as the one op that the runtime has for it.

Keras repeats rows and columns by broadcasting, which becomes TILE between two RESHAPEs; an int8 TILE of rank 6 is
refused by the runtime's reference kernels, and by older runtimes. To repeat is to resize to the nearest neighbour.
"""

from __future__ import annotations

from typing import Any

import keras

from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers


def upsampling(layer: Any, expand: Expand) -> Apply | None:
    """Expand UpSampling2D by repetition, where the size of its input is fixed."""
    if layer.interpolation != "nearest" or layer.data_format != "channels_last":
        return None
    parts = Sublayers(layer, expand)

    def apply(x: Any) -> Any:
        return layer(x) if None in x.shape[1:3] else _repeated(parts, x, layer.size)

    return apply


def upsampling_of_sequences(layer: Any, expand: Expand) -> Apply | None:
    """Expand UpSampling1D, where the length of its input is fixed: as an image of one row."""
    parts = Sublayers(layer, expand)

    def apply(x: Any) -> Any:
        if None in x.shape[1:]:
            return layer(x)
        image = parts.layer(keras.layers.Reshape, "image", target_shape=(1, *x.shape[1:]))(x)
        long = _repeated(parts, image, (1, layer.size))
        return parts.layer(keras.layers.Reshape, "back", target_shape=long.shape[2:])(long)

    return apply


def _repeated(parts: Sublayers, x: Any, times: tuple[int, int]) -> Any:
    size = tuple(count * extent for count, extent in zip(times, x.shape[1:3], strict=True))
    return parts.op("nearest", keras.ops.image.resize, x, size, interpolation="nearest")
