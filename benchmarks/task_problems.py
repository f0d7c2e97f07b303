"""Small real problems, one for each task: a network, its data, and how it is trained in float.

Pictures come from Fashion-MNIST (a folder with its four ``idx`` files); where a task wants more than one garment, or
pixels, scenes of 48 x 48 are composed of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.qat_networks import CLASSES, fashion

Data = dict[str, np.ndarray]
SIDE, GARMENT = 48, 28
VOID = 255
GROUPS = np.array([1, 2, 1, 1, 1, 3, 1, 3, 4, 3])
"""Of Fashion-MNIST's classes: 1 tops and dresses, 2 trousers, 3 shoes, 4 bags; 0 is background."""


@dataclass(frozen=True)
class Problem:
    """What one line of the table is made from.

    Attributes:
        model: a Keras 3 model, not trained.
        loss: a Keras loss, by name or as an object.
        data: ``x_train``, ``y_train``, ``x_test``, ``y_test``; labels may be missing where the task needs none.
        epochs: passes of the float training.
        rate: Adam's learning rate in it.
        about: the data in a few words.
        flags: what ``tfcompress export`` is told besides model and data.
        training: what it is told besides where it trains.
    """

    model: Any
    loss: Any
    data: Data
    epochs: int
    rate: float
    about: str
    flags: tuple[str, ...] = ()
    training: tuple[str, ...] = ()


def _scenes(pictures: np.ndarray, labels: np.ndarray, count: int, most: int, seed: int) -> tuple[Any, ...]:
    """Return scenes (count, 48, 48, 1) uint8, tags (count, 10) and class maps (count, 48, 48).

    One to *most* garments lie anywhere on a background of coarse grey noise, a later one over an earlier. What is
    between a garment and the background, dark pixels of its edge, is void.
    """
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 90, (count, 6, 6)).repeat(8, axis=1).repeat(8, axis=2)
    scenes = np.clip(coarse + rng.integers(-12, 13, (count, SIDE, SIDE)), 0, 255).astype(np.uint8)
    tags, maps = np.zeros((count, CLASSES), np.uint8), np.zeros((count, SIDE, SIDE), np.uint8)
    for scene, row, classes in zip(scenes, tags, maps, strict=True):
        for chosen in rng.integers(0, len(pictures), rng.integers(1, most + 1)):
            top, left = rng.integers(0, SIDE - GARMENT + 1, 2)
            part = np.s_[top : top + GARMENT, left : left + GARMENT]
            picture = pictures[chosen]
            scene[part] = np.where(picture > 0, picture, scene[part])
            edge = np.where(picture > 0, VOID, classes[part])
            classes[part] = np.where(picture > 40, GROUPS[labels[chosen]], edge)
            row[labels[chosen]] = 1
    return scenes[..., None], tags, maps


def _composed(folder: Path, counts: tuple[int, int], most: int) -> dict[str, tuple[Any, ...]]:
    data, found = fashion(folder), {}
    for seed, (split, count) in enumerate(zip(("train", "test"), counts, strict=True)):
        pictures = np.rint(data[f"x_{split}"][..., 0] * 255).astype(np.uint8)
        found[split] = _scenes(pictures, data[f"y_{split}"], count, most, seed)
    return found


def _normal(x: Any, filters: int, strides: int = 1) -> Any:
    import keras

    x = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))


def _pictures_to(outputs: int, activation: str | None, side: int) -> Any:
    """Build a small convolutional net from pictures in 0..255 to *outputs* values."""
    import keras

    inputs = keras.Input((side, side, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32, 48):
        x = _normal(x, filters, 2)
    x = keras.layers.GlobalAveragePooling2D()(_normal(x, 64))
    return keras.Model(inputs, keras.layers.Dense(outputs, activation=activation)(x))


def _unet(classes: int, side: int) -> Any:
    """Build a U-Net (Ronneberger et al. 2015) of three levels, logits for each pixel."""
    import keras

    layers = keras.layers
    inputs = keras.Input((side, side, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    passed = []
    for filters in (12, 24):
        x = _normal(x, filters)
        passed.append(x)
        x = layers.MaxPooling2D()(x)
    x = _normal(_normal(x, 48), 48)
    for filters, earlier in zip((24, 12), reversed(passed), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D()(x), earlier])
        x = _normal(x, filters)
    return keras.Model(inputs, layers.Conv2D(classes, 1)(x))


def classification(folder: Path) -> Problem:
    """Soft labels: two garments mixed by a share, which is their label (Zhang et al. 2018, arXiv:1710.09412)."""
    data, found = fashion(folder), {}
    for seed, (split, count) in enumerate((("train", 12_000), ("test", 3_000))):
        rng = np.random.default_rng(seed)
        x, y = data[f"x_{split}"], np.eye(CLASSES, dtype=np.float32)[data[f"y_{split}"]]
        first, second = rng.integers(0, len(x), (2, count))
        share = rng.uniform(0.6, 1, count).astype(np.float32)
        parts = share[:, None, None, None]
        found[f"x_{split}"] = np.rint(255 * (parts * x[first] + (1 - parts) * x[second])).astype(np.uint8)
        found[f"y_{split}"] = share[:, None] * y[first] + (1 - share[:, None]) * y[second]
    model = _pictures_to(CLASSES, "softmax", GARMENT)
    return Problem(model, "categorical_crossentropy", found, 4, 3e-3, "two garments mixed, soft labels")


def multi_label(folder: Path) -> Problem:
    """Which of ten kinds of garments lie in a scene of one to three."""
    data: Data = {}
    for split, (scenes, tags, _) in _composed(folder, (8_000, 2_000), 3).items():
        data |= {f"x_{split}": scenes, f"y_{split}": tags}
    model = _pictures_to(CLASSES, "sigmoid", SIDE)
    return Problem(model, "binary_crossentropy", data, 6, 3e-3, "scenes of one to three garments, ten tags")


def binary(folder: Path) -> Problem:
    """Whether a garment is a shirt, one in ten."""
    data = fashion(folder)
    found: Data = {}
    for split, count in (("train", 12_000), ("test", 4_000)):
        found[f"x_{split}"] = np.rint(data[f"x_{split}"][:count] * 255).astype(np.uint8)
        found[f"y_{split}"] = (data[f"y_{split}"][:count] == 6).astype(np.uint8)
    model = _pictures_to(1, "sigmoid", GARMENT)
    return Problem(model, "binary_crossentropy", found, 4, 3e-3, "a shirt or another garment (one in ten is)")


def regression(folder: Path) -> Problem:
    """Where the middle of a garment lies in a scene, and how bright it is."""
    data: Data = {}
    for split, (scenes, _, maps) in _composed(folder, (8_000, 2_000), 1).items():
        there = (maps > 0).astype(np.float64)
        places = np.arange(SIDE)
        area = there.sum(axis=(1, 2))
        rows, columns = (there.sum(axis=axis) @ places / area for axis in (2, 1))
        shade = (there * scenes[..., 0]).sum(axis=(1, 2)) / area / 5
        data |= {f"x_{split}": scenes, f"y_{split}": np.stack([rows, columns, shade], 1).astype(np.float32)}
    model = _pictures_to(3, None, SIDE)
    return Problem(model, "huber", data, 6, 3e-3, "middle (pixels) and brightness of a garment")


def segmentation(folder: Path) -> Problem:
    """Background and four groups of garments, pixel by pixel; edges are void."""
    import keras

    data: Data = {}
    for split, (scenes, _, maps) in _composed(folder, (3_000, 600), 2).items():
        data |= {f"x_{split}": scenes, f"y_{split}": maps}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
    about = "scenes of one or two garments, five classes, void edges"
    return Problem(_unet(5, SIDE), loss, data, 4, 3e-3, about, training=("--limit", "1000"))


PROBLEMS: dict[str, Callable[[Path], Problem]] = {
    "classification": classification,
    "multi-label": multi_label,
    "binary": binary,
    "regression": regression,
    "segmentation": segmentation,
}
"""By task, one line each; a function gets the folder that the task's data lies in."""
