"""Networks for :mod:`benchmarks.best_int8` and :mod:`benchmarks.families`, trained in float on real data.

    python -m benchmarks.best_networks watch watch_dataset.npy FOLDER
    python -m benchmarks.best_networks transformer watch_dataset.npy FOLDER
    python -m benchmarks.best_networks mobile cifar10.npz FOLDER [--epochs 8]

``watch`` is a DS-CNN for the movements of seglearn's watch data set (seven exercises of the shoulder, ten people; its
wheel on PyPI holds the file), ``transformer`` two blocks of attention for the same, and ``mobile`` six depthwise blocks
with ReLU6 for CIFAR-10. FOLDER gets NAME.keras and NAME.npz; a network that is there is not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WINDOW, STRIDE = 128, 32
"""Moments of a sample (at 50 a second), and from one sample to the next."""
TRAINED = 0.7
"""Part of each recording, from its beginning, that is trained on; the rest is the test."""
FARTHEST = 8.0
"""Standard deviations that a movement is cut off at."""
BATCH = 128
EPOCHS = {"watch": 5, "transformer": 8, "mobile": 8}


def main(given: Sequence[str] | None = None) -> None:
    """Train one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(EPOCHS), help="which network")
    parser.add_argument("source", type=Path, help="watch_dataset.npy, or an .npz with CIFAR-10")
    parser.add_argument("folder", type=Path, help="where the network and its data go")
    parser.add_argument("--epochs", type=int, help="passes over the training data")
    options = parser.parse_args(given)
    path = options.folder / f"{options.name}.keras"
    if path.exists():
        print(f"{path} is there")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    data = (images if options.name == "mobile" else movements)(options.source)
    np.savez(options.folder / f"{options.name}.npz", **data)  # type: ignore[arg-type]  # names for options
    print(path, trained(options.name, data, options.epochs or EPOCHS[options.name], path))


def trained(name: str, data: dict[str, np.ndarray], epochs: int, path: Path) -> float:
    """Train a network in float, write it, and return its accuracy on the test."""
    import keras

    keras.utils.set_random_seed(0)
    model = {"watch": movement_network, "transformer": transformer_network, "mobile": mobile_network}[name]()
    scale = np.float32(1 / 255 if name == "mobile" else 1.0)
    steps = epochs * (len(data["x_train"]) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.AdamW(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x_train, x_test = (data[key].astype(np.float32) * scale for key in ("x_train", "x_test"))
    turning = name == "mobile"
    for epoch in range(epochs):
        seen = flipped(x_train, epoch) if turning else x_train
        model.fit(seen, data["y_train"], batch_size=BATCH, epochs=1, verbose=2)
    model.save(path)
    return float(model.evaluate(x_test, data["y_test"], verbose=0)[1])


def flipped(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Return pictures, half of them seen in a mirror."""
    turned = np.random.default_rng(seed).uniform(size=len(pictures)) < 0.5
    return np.where(turned[:, np.newaxis, np.newaxis, np.newaxis], pictures[:, :, ::-1], pictures)


def movements(source: Path) -> dict[str, np.ndarray]:
    """Return windows of movements, (samples, 128, 1, 6), in standard deviations of the training part."""
    record = np.load(source, allow_pickle=True).item()  # seglearn's own file is a pickled dictionary
    parts: dict[str, list[Any]] = {"x_train": [], "y_train": [], "x_test": [], "y_test": []}
    for series, label in zip(record["X"], record["y"], strict=True):
        end = int(TRAINED * len(series))
        for split, part in (("train", series[:end]), ("test", series[end:])):
            for start in range(0, len(part) - WINDOW + 1, STRIDE):
                parts[f"x_{split}"].append(part[start : start + WINDOW])
                parts[f"y_{split}"].append(int(label))
    x_train = np.stack(parts["x_train"])
    mean, deviation = x_train.mean(axis=(0, 1)), x_train.std(axis=(0, 1))

    def scaled(values: list[Any]) -> np.ndarray:
        cut = np.clip((np.stack(values) - mean) / deviation, -FARTHEST, FARTHEST)
        return np.asarray(cut[:, :, np.newaxis], np.float32)

    return {
        "x_train": scaled(parts["x_train"]),
        "y_train": np.array(parts["y_train"]),
        "x_test": scaled(parts["x_test"]),
        "y_test": np.array(parts["y_test"]),
    }


def images(source: Path) -> dict[str, np.ndarray]:
    """Return CIFAR-10 as it is in an .npz."""
    arrays = np.load(source)
    return {key: arrays[key].reshape(-1) if key[0] == "y" else arrays[key] for key in arrays.files if key[1] == "_"}


def _normal(tensor: Any, activation: Any) -> Any:
    from keras import layers

    return activation()(layers.BatchNormalization(momentum=0.9)(tensor))  # few steps have to suffice


def movement_network() -> Any:
    """Return a DS-CNN: a convolution over time, and four depthwise blocks."""
    import keras

    layers = keras.layers
    given = keras.Input((WINDOW, 1, 6), name="movement")
    tensor = layers.Conv2D(48, (9, 1), strides=(2, 1), padding="same", use_bias=False)(given)
    tensor = _normal(tensor, layers.ReLU)
    for _ in range(4):
        tensor = _normal(layers.DepthwiseConv2D((5, 1), padding="same", use_bias=False)(tensor), layers.ReLU)
        tensor = _normal(layers.Conv2D(48, 1, use_bias=False)(tensor), layers.ReLU)
    tensor = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(tensor))
    return keras.Model(given, layers.Dense(7, activation="softmax", name="scores")(tensor), name="watch")


def transformer_network() -> Any:
    """Return two blocks of attention, each with its layer normalized before, over 16 patches of a movement."""
    import keras

    layers = keras.layers
    given = keras.Input((WINDOW, 1, 6), name="movement")
    tensor = layers.Dense(64, name="patches")(layers.Reshape((16, -1))(given))
    tensor = layers.Conv1D(64, 3, padding="same", name="neighbours")(tensor)  # what tells where in time a patch is
    for number in (1, 2):
        normal = layers.LayerNormalization(name=f"normal{number}a")(tensor)
        tensor = layers.Add()([tensor, layers.MultiHeadAttention(4, 16, name=f"attention{number}")(normal, normal)])
        normal = layers.LayerNormalization(name=f"normal{number}b")(tensor)
        wide = layers.Dense(128, activation="gelu", name=f"wide{number}")(normal)
        tensor = layers.Add()([tensor, layers.Dense(64, name=f"narrow{number}")(layers.Dropout(0.1)(wide))])
    tensor = layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="normal")(tensor))
    return keras.Model(given, layers.Dense(7, activation="softmax", name="scores")(tensor), name="transformer")


def mobile_network() -> Any:
    """Return six depthwise blocks with ReLU6, after MobileNet v1 (Howard et al. 2017, arXiv:1704.04861)."""
    import keras

    layers = keras.layers
    given = keras.Input((32, 32, 3), name="image")

    def relu6() -> Any:
        return layers.ReLU(6.0)

    tensor = _normal(layers.Conv2D(24, 3, strides=2, padding="same", use_bias=False)(given), relu6)
    for channels, stride in ((32, 1), (48, 1), (64, 2), (64, 1), (96, 2), (128, 1)):
        deep = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(tensor)
        tensor = _normal(layers.Conv2D(channels, 1, use_bias=False)(_normal(deep, relu6)), relu6)
    tensor = layers.GlobalAveragePooling2D()(tensor)
    return keras.Model(given, layers.Dense(10, activation="softmax", name="scores")(tensor), name="mobile")


if __name__ == "__main__":
    main()
