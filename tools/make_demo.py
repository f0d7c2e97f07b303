"""Train the demo model on Fashion-MNIST and write what ``tfcompress/demo`` ships.

    python tools/make_demo.py /usr/share/datasets/fashion-mnist

The folder holds the four ``idx`` files as published (Debian: the package ``dataset-fashion-mnist``). Written are the
trained network twice, as Keras 2 ``fashion_cnn.h5`` and as Keras 3 ``fashion_cnn.keras`` with the same weights, and
``fashion.npz``, a seeded subset of the data with as many images of each class. The same seed, versions and processor
give the same weights.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
EPOCHS = 12
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
BATCH_NORM_MOMENTUM = 0.9
"""Lets the moving statistics follow within the few hundred steps of a demo's fine-tuning."""

SUBSET = {"train": 4000, "test": 2000}
"""Images of each split that are shipped; the rest is only needed to train the network in the first place."""

NEWS = ("optional", "input_axes", "output_axes", "renorm", "renorm_clipping", "renorm_momentum", "quantization_config")
"""Keys that tf_keras 2.21 and Keras 3.15 write, always with their defaults here, and that tf_keras 2.20 and Keras 3.12
refuse: the demo has to load with every version that tfcompress allows."""

LEAST_ACCURACY = 0.9
"""On the whole test split; a demo below it would say nothing about what compression costs."""


def read_idx(path: Path) -> np.ndarray:
    """Read one gzipped ``idx`` file of unsigned bytes (LeCun's format of MNIST).

    Returns:
        uint8 array of the shape that the file's head states.

    Raises:
        ValueError: the head is not that of an array of unsigned bytes.
    """
    content = gzip.decompress(path.read_bytes())
    zero, kind, axes = struct.unpack(">HBB", content[:4])
    if (zero, kind) != (0, 8):
        msg = f"{path} must be an idx file of unsigned bytes, got the head {content[:4]!r}"
        raise ValueError(msg)
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_fashion(folder: Path) -> dict[str, np.ndarray]:
    """Return ``x_train`` (60000, 28, 28, 1), ``y_train`` (60000,), ``x_test`` and ``y_test``, all uint8."""
    names = {"train": "train", "test": "t10k"}
    data = {}
    for split, name in names.items():
        data[f"x_{split}"] = read_idx(folder / f"{name}-images-idx3-ubyte.gz")[..., None]
        data[f"y_{split}"] = read_idx(folder / f"{name}-labels-idx1-ubyte.gz")
    return data


def choose(labels: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return the sorted places of *count* samples, as many of each class.

    Args:
        labels: (samples,), integers.
        count: a multiple of the number of classes.
        generator: where the choice comes from.
    """
    classes = np.unique(labels)
    each = count // len(classes)
    places = [generator.choice(np.flatnonzero(labels == label), each, replace=False) for label in classes]
    return np.sort(np.concatenate(places))


def subset(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the part of *data* that is shipped."""
    generator = np.random.default_rng(SEED)
    out = {}
    for split, count in SUBSET.items():
        chosen = choose(data[f"y_{split}"], count, generator)
        out[f"x_{split}"], out[f"y_{split}"] = data[f"x_{split}"][chosen], data[f"y_{split}"][chosen]
    return out


def build(keras: Any) -> Any:
    """Return the untrained network, made of the layers of the Keras that is given (``tf_keras`` or Keras 3).

    (28, 28, 1) in [0, 1] -> (10,) probabilities: a strided stem, one residual block and one strided convolution, each
    convolution with BatchNorm and ReLU.
    """
    layers = keras.layers

    def convolution(x: Any, filters: int, name: str, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn")(x)

    image = keras.Input((28, 28, 1), name="image")
    x = layers.ReLU(name="stem_relu")(convolution(image, 16, "stem"))
    trunk = layers.ReLU(name="down1_relu")(convolution(x, 32, "down1", strides=2))
    x = layers.ReLU(name="block_a_relu")(convolution(trunk, 32, "block_a"))
    x = layers.Add(name="block_add")([convolution(x, 32, "block_b"), trunk])
    x = layers.ReLU(name="block_relu")(x)
    x = layers.ReLU(name="down2_relu")(convolution(x, 64, "down2", strides=2))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="probabilities")(x), name="fashion_cnn")


def train(data: dict[str, np.ndarray], epochs: int) -> Any:
    """Train the network with ``tf_keras`` on images half of which are mirrored, the learning rate falling to zero.

    Returns:
        The trained ``tf_keras`` model.
    """
    import tensorflow as tf
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    count = len(data["y_train"])

    def vary(image: Any, label: Any) -> tuple[Any, Any]:
        return tf.image.random_flip_left_right(tf.cast(image, tf.float32) / 255), label

    source = tf.data.Dataset.from_tensor_slices((data["x_train"], data["y_train"]))
    source = source.shuffle(count, seed=SEED).map(vary).batch(BATCH_SIZE, drop_remainder=True).prefetch(2)
    model = build(tf_keras)
    steps = epochs * (count // BATCH_SIZE)
    rate = tf_keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(source, epochs=epochs, verbose=2)
    return model


def accuracy(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of *images* (samples, 28, 28, 1), uint8, whose most probable class is their label."""
    scores = model.predict(images.astype(np.float32) / 255, batch_size=500, verbose=0)
    return float(np.mean(scores.argmax(1) == labels))


def twin(model: Any, images: np.ndarray) -> Any:
    """Return the Keras 3 network with the weights of the ``tf_keras`` *model*.

    Raises:
        ValueError: the two differ on *images* (samples, 28, 28, 1), uint8.
    """
    import keras

    other = build(keras)
    other.set_weights(model.get_weights())
    inputs = images.astype(np.float32) / 255
    difference = float(np.abs(other.predict(inputs, verbose=0) - model.predict(inputs, verbose=0)).max())
    if difference > 1e-5:
        msg = f"the Keras 2 and the Keras 3 network must agree within 1e-5, got {difference:g}"
        raise ValueError(msg)
    return other


def without_news(config: Any) -> Any:
    """Return a model's *config* without the keys that hold defaults and that older versions of Keras do not know."""
    if isinstance(config, dict):
        return {key: without_news(value) for key, value in config.items() if key not in NEWS}
    return [without_news(value) for value in config] if isinstance(config, list) else config


def save_keras2(model: Any, path: Path) -> None:
    """Write the ``tf_keras`` *model* as ``.h5``."""
    import h5py

    model.save(path, include_optimizer=False)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(without_news(json.loads(file.attrs["model_config"])))


def save_keras3(model: Any, path: Path) -> None:
    """Write the Keras 3 *model* as ``.keras``."""
    model.save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["config.json"] = json.dumps(without_news(json.loads(members["config.json"]))).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)


def main() -> None:
    """Read, train, check and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the four .gz files")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "tfcompress" / "demo")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"passes over the 60,000 images (default {EPOCHS})")
    options = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    data = read_fashion(options.folder)
    model = train(data, options.epochs)
    reached = accuracy(model, data["x_test"], data["y_test"])
    small = subset(data)
    print(f"{model.count_params():,} parameters, {reached:.2%} of the {len(data['y_test']):,} test images")
    print(f"{accuracy(model, small['x_test'], small['y_test']):.2%} of the {SUBSET['test']:,} that are shipped")
    if reached < LEAST_ACCURACY:
        msg = f"accuracy must be at least {LEAST_ACCURACY:.0%}, got {reached:.2%}; train longer"
        raise SystemExit(msg)
    options.output.mkdir(parents=True, exist_ok=True)
    save_keras2(model, options.output / "fashion_cnn.h5")
    save_keras3(twin(model, small["x_test"][:500]), options.output / "fashion_cnn.keras")
    x_train, y_train, x_test, y_test = (small[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    np.savez_compressed(options.output / "fashion.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    main()
