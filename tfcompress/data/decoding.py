"""Encoded images to pixels, as Pillow and OpenCV decode them on a device."""

from __future__ import annotations

from typing import Any

NOTE = "JPEG images are decoded exactly (accurate integer DCT, smooth chroma), as Pillow and OpenCV do by default"
"""For the report."""


def decoded(content: Any, channels: int | None) -> Any:
    """Decode one image within TensorFlow.

    TensorFlow's default for JPEG is a fast DCT that is off by some steps of 255; ``INTEGER_ACCURATE`` is libjpeg's own
    default, and gives the same numbers as Pillow.

    Args:
        content: a scalar string tensor: PNG, JPEG, BMP, or the first frame of a GIF.
        channels: 1, 3 or 4; 0 or None: as in the file.

    Returns:
        A uint8 tensor (height, width, channels). A JPEG for 4 channels gets an alpha of 255.
    """
    import tensorflow as tf

    def jpeg() -> Any:
        opaque = channels == 4
        image = tf.io.decode_jpeg(
            content, 3 if opaque else channels or 0, fancy_upscaling=True, dct_method="INTEGER_ACCURATE"
        )
        return tf.pad(image, [[0, 0], [0, 0], [0, 1]], constant_values=255) if opaque else image

    def other() -> Any:
        return tf.io.decode_image(content, channels or 0, expand_animations=False)

    image = tf.cond(tf.io.is_jpeg(content), jpeg, other)
    image.set_shape((None, None, channels or None))
    return image
