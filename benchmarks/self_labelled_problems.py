"""Small real problems whose labels lie in the data itself: the next character, the picture again, who is like whom.

Text is that of Python's own standard library, as it is installed; pictures are Fashion-MNIST's.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.qat_networks import fashion
from benchmarks.task_problems import Data, Problem

STEPS, FIRST, LAST = 64, 32, 126
"""Characters a sequence, and which have a number of their own; every other is number 0."""
NORMAL, CODE = 8, 24
"""The class of pictures that an autoencoder sees, bags, and the values it has for one."""
UNSEEN = 7
"""Classes from this one on are strangers: an embedding is tested by them alone."""
TEMPERATURE = 0.1


def _characters(part: int, parts: int, count: int) -> np.ndarray:
    """Return *count* stretches of source text by number, int32, (count, steps + 1); of every *parts*-th module."""
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = "".join(path.read_text("utf-8") for place, path in enumerate(modules) if place % parts == part)
    codes = np.frombuffer(text.encode("latin-1", "replace"), np.uint8).astype(np.int32)
    numbers = np.where((codes >= FIRST) & (codes <= LAST), codes - FIRST + 1, 0)
    starts = np.random.default_rng(part).integers(0, len(numbers) - STEPS, count)
    stretches: np.ndarray = numbers[starts[:, None] + np.arange(STEPS + 1)]
    return stretches


def tokens(folder: Path) -> Problem:
    """Build a net that predicts the next character at each of 64, from those up to it."""
    import keras

    layers, data = keras.layers, Data()
    for split, part, count in (("train", 0, 4_000), ("test", 1, 800)):
        numbers = _characters(part, 2, count)
        data |= {f"x_{split}": numbers[:, :-1], f"y_{split}": numbers[:, 1:]}
    inputs = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(LAST - FIRST + 2, 32)(inputs)
    for dilation in (1, 2, 4):
        x = layers.Conv1D(64, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(LAST - FIRST + 2)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Problem(model, loss, data, 5, 5e-3, "the next character of Python's standard library, other modules to test")


def autoencoder(folder: Path) -> Problem:
    """Build a net that has seen bags alone, and is to tell other things from them."""
    import keras

    data, layers = fashion(folder), keras.layers
    x, y, kinds = data["x_train"], data["y_train"], data["y_test"]
    chosen = np.r_[np.flatnonzero(kinds == NORMAL), np.flatnonzero(kinds != NORMAL)[:1000]]
    found = {
        "x_train": x[y == NORMAL].astype(np.float32),
        "x_test": data["x_test"][chosen].astype(np.float32),
        "y_test": (kinds[chosen] != NORMAL).astype(np.uint8),
    }
    inputs = keras.Input((28, 28, 1))
    z = inputs
    for filters in (16, 32):
        z = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(z)
    z = layers.Dense(CODE)(layers.Flatten()(z))
    z = layers.Reshape((7, 7, 16))(layers.Dense(7 * 7 * 16, activation="relu")(z))
    for filters in (32, 16):
        z = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.UpSampling2D()(z))
    model = keras.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(z))
    return Problem(model, "mse", found, 6, 3e-3, "bags are normal, nine other things in the test are not")


def alike(identities: Any, vectors: Any) -> Any:
    """Return how little each vector is like others of its identity, rather than of another.

    Khosla et al. 2020, arXiv:2004.11362, equation 2, with vectors of length 1 and the temperature 0.1.

    Args:
        identities: whole numbers, shape (samples, 1) or (samples,).
        vectors: of any length, shape (samples, values).
    """
    import tensorflow as tf

    unit = tf.math.l2_normalize(vectors, axis=1)
    numbers = tf.reshape(tf.cast(identities, tf.int32), [-1])
    others = 1.0 - tf.eye(tf.shape(numbers)[0])
    same = tf.cast(numbers[:, None] == numbers[None], tf.float32) * others
    cosines = tf.matmul(unit, unit, transpose_b=True) / TEMPERATURE
    log_share = cosines - tf.reduce_logsumexp(cosines - 1e9 * (1.0 - others), axis=1, keepdims=True)
    return -tf.math.divide_no_nan(tf.reduce_sum(same * log_share, axis=1), tf.reduce_sum(same, axis=1))


def embedding(folder: Path) -> Problem:
    """Build a net whose vectors are near for garments of one class; it is tested by classes that it never saw."""
    import keras

    data, layers = fashion(folder), keras.layers
    found: Data = {}
    for split, count in (("train", 8_000), ("test", 2_000)):
        known = data[f"y_{split}"] < UNSEEN
        chosen = np.flatnonzero(known if split == "train" else ~known)[:count]
        found[f"x_{split}"] = np.rint(255 * data[f"x_{split}"][chosen]).astype(np.uint8)
        found[f"y_{split}"] = data[f"y_{split}"][chosen].astype(np.int32)
    inputs = keras.Input((28, 28, 1))
    z = layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32, 64):
        z = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(z)
        z = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(z))
    model = keras.Model(inputs, layers.Dense(32)(layers.Flatten()(z)))
    about = "garments of seven classes to train, of three others to test"
    return Problem(model, alike, found, 3, 2e-3, about, ("--task", "embedding"))


PROBLEMS: dict[str, Callable[[Path], Problem]] = {
    "tokens": tokens,
    "autoencoder": autoencoder,
    "embedding": embedding,
}
"""By task; a function gets the folder that the pictures lie in."""
