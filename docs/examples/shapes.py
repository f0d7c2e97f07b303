"""Make a small detector and pictures for it: ``python shapes.py`` writes ``shapes.keras`` and ``shapes.npz``."""

from __future__ import annotations

from typing import Any

import numpy as np
from detector import SHAPES

SIDE, MOST_OBJECTS = 32, 3


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures with full and hollow squares on a noisy ground.

    Returns:
        Pictures, float32, (count, side, side, 1), in 0..1, and labels, float32, (count, objects, 5), as
        ``detector.py`` has them.
    """
    rng = np.random.default_rng(seed)
    images = rng.uniform(0.0, 0.3, (count, SIDE, SIDE, 1)).astype(np.float32)
    labels = np.full((count, MOST_OBJECTS, 5), -1, np.float32)
    for image, rows in zip(images, labels, strict=True):
        taken = np.zeros((SIDE, SIDE), bool)
        for place in range(rng.integers(1, MOST_OBJECTS + 1)):
            size = int(rng.integers(6, 14))
            top, left = (int(corner) for corner in rng.integers(0, SIDE - size + 1, 2))
            bottom, right = top + size, left + size
            if taken[top:bottom, left:right].any():
                continue
            taken[top:bottom, left:right] = True
            hollow = int(rng.integers(2))
            image[top:bottom, left:right] += 0.7
            if hollow:
                image[top + 2 : bottom - 2, left + 2 : right - 2] -= 0.7
            rows[place] = [hollow, *(np.array([top, left, bottom, right]) / SIDE)]
    return images, labels


def model() -> Any:
    """Return a net of three convolutions that halve the picture twice, and an untrained head."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = inputs = keras.Input((SIDE, SIDE, 1), name="picture")
    for filters, strides in ((16, 2), (32, 2), (32, 1)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    values = 5 + SHAPES.class_count
    x = layers.Conv2D(len(SHAPES.sizes) * values, 3, padding="same")(x)
    return keras.Model(inputs, layers.Reshape((-1, values), name="boxes")(x))


def train_(net: Any, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """Train a net in place."""
    from detector import detection_loss

    net.compile("adam", detection_loss)
    net.optimizer.learning_rate = 3e-3
    net.fit(images, SHAPES.targets({}, labels), batch_size=32, epochs=epochs, verbose=0)


if __name__ == "__main__":
    (images, labels), (more, known) = pictures(2000, 0), pictures(500, 1)
    net = model()
    train_(net, images, labels, epochs=20)
    net.save("shapes.keras")
    np.savez("shapes.npz", x_train=images, y_train=labels, x_test=more, y_test=known)
