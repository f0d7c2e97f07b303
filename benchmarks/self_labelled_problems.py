"""Small real problems of the other tasks: what happens at each step, the picture again, who is like whom.

Sessions with a smartwatch are those of the package seglearn; pictures are Fashion-MNIST's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.qat_networks import fashion
from benchmarks.task_problems import Data, Problem

STEPS, STEPS_HZ, RATE_HZ = 64, 12, 50
"""Steps of a session, about how many there are a second, and how often the watch measures."""
NORMAL, CODE = 8, 24
"""The class of pictures that an autoencoder sees, bags, and the values it has for one."""
UNSEEN = 7
"""Classes from this one on are strangers: an embedding is tested by them alone."""
TEMPERATURE = 0.1


def _sessions(recorded: dict[str, Any], people: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a watch saw of people who go from one exercise to the next, and which exercise each step is of.

    Pieces of recordings of one person and one arm stand one after the other, as the recordings hold one exercise each;
    what is left at the end is padding.

    Args:
        recorded: the package's data set: of each recording ``X`` (samples, 6), ``y``, ``subject`` and ``side``.
        people: whose recordings.
        count: how many sessions.
        seed: draws them.

    Returns:
        float32, (count, steps, 6), and int32, (count, steps), with -1 where there is padding.
    """
    rng = np.random.default_rng(seed)
    x, y = np.zeros((count, STEPS, 6), np.float32), np.full((count, STEPS), -1, np.int32)
    arms = np.stack([recorded["subject"], recorded["side"]], axis=1).astype(int)
    own = np.flatnonzero(np.isin(arms[:, 0], people))
    for steps, labels in zip(x, y, strict=True):
        arm = np.flatnonzero((arms == arms[rng.choice(own)]).all(axis=1))
        place, end = 0, int(rng.integers(STEPS // 2, STEPS + 1))
        while place < end:
            chosen = rng.choice(arm)
            series = recorded["X"][chosen][:: RATE_HZ // STEPS_HZ]
            length = min(int(rng.integers(10, 40)), end - place)
            start = rng.integers(0, len(series) - length)
            steps[place : place + length] = series[start : start + length]
            labels[place : place + length] = recorded["y"][chosen]
            place += length
    return x, y


def tokens(folder: Path) -> Problem:
    """Build a net that tells at each step of a session which exercise it is of.

    The data is seglearn's (1.2.5, on PyPI): ``watch_dataset.npy``, copied out of the installed package into *folder*.
    Burns et al. 2018, arXiv:1802.01489.
    """
    import keras

    recorded = np.load(folder / "watch_dataset.npy", allow_pickle=True).item()  # a dict: the package writes it so
    layers, data = keras.layers, Data()
    people = np.unique(recorded["subject"])
    for seed, (split, whose, count) in enumerate((("train", people[:-3], 4_000), ("test", people[-3:], 800))):
        data[f"x_{split}"], data[f"y_{split}"] = _sessions(recorded, whose, count, seed)
    scale = layers.Normalization()
    scale.adapt(data["x_train"])
    inputs = keras.Input((STEPS, 6))
    x = scale(inputs)
    for dilation in (1, 2, 4):
        x = layers.Conv1D(48, 3, padding="same", dilation_rate=dilation, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(len(recorded["y_labels"]))(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    about = "which of seven shoulder exercises each step of a session with a watch is of, three other people to test"
    return Problem(model, loss, data, 5, 2e-3, about)


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
"""By task; a function gets the folder that the pictures, and seglearn's recordings, lie in."""
