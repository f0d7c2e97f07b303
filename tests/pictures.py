"""Folders of small pictures in two classes, dark and bright, and networks that tell them apart at any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def write_pictures(folder: Path, counts: dict[str, int], side: int = 16, seed: int = 0) -> Path:
    """Write PNG files into ``SPLIT/CLASS/NUMBER.png``, so many a class, and return the folder."""
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        for name, level in (("bright", 150), ("dark", 100)):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(level, 40, (side, side, 3)).clip(0, 255).astype(np.uint8)
                (place / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return folder


def network(side: int = 16, *, pooling: str = "global") -> Any:
    """Return a network whose weights suit every size of pictures, but for one with *pooling* ``flatten``.

    It knows the classes of :func:`write_pictures` by the mean of the picture.
    """
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    given = keras.Input((side, side, 3), name="image")
    x = layers.Rescaling(1 / 125.0, offset=-1.0, name="scaled")(given)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    if pooling == "global":
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        x = layers.AveragePooling2D(side // 2, name="pool")(x) if pooling == "window" else x
        x = layers.Flatten(name="flat")(x)
    model = keras.Model(given, layers.Dense(2, "softmax", name="out")(x))
    if pooling != "flatten":
        kernel = np.zeros((3, 3, 3, 4), np.float32)
        kernel[..., 0], kernel[..., 1] = 1 / 27, -1 / 27
        model.get_layer("conv").set_weights([kernel])
        model.get_layer("out").set_weights(
            [np.array([[9, -9], [-9, 9], [0, 0], [0, 0]], np.float32), np.zeros(2, np.float32)]
        )
    return model
