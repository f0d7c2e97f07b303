"""Train the outside teacher of the long distillations: a ResNet-20 for CIFAR-10.

    python -m benchmarks.teacher cifar10.npz FOLDER [--epochs 60]

It takes pictures from 0 to 255, as MLPerf Tiny's ResNet8 does. An epoch costs minutes of two cores; what was trained is
kept in FOLDER after each, and the same command goes on from there. FOLDER gets ``teacher.keras``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.best_networks import flipped, images

BATCH = 128
FARTHEST_SHIFT = 4
"""Pixels that a picture is moved by at most, as He et al. do (2015, arXiv:1512.03385, section 4.2)."""


def main(given: Sequence[str] | None = None) -> None:
    """Train the network, or go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="an .npz with CIFAR-10")
    parser.add_argument("folder", type=Path, help="where the network goes")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training data")
    options = parser.parse_args(given)
    path = options.folder / "teacher.keras"
    if path.exists():
        print(f"{path} is there")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    data = images(options.source)
    print(path, trained(data, options.epochs, options.folder / "state", path))


def trained(data: dict[str, np.ndarray], epochs: int, state: Path, path: Path) -> float:
    """Train the network in float, write it, and return its accuracy on the test."""
    import keras

    keras.utils.set_random_seed(0)
    model = residual_network(np.mean(data["x_train"], axis=(0, 1, 2)), np.var(data["x_train"], axis=(0, 1, 2)))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, epochs * (len(data["x_train"]) // BATCH), warmup_target=0.1, warmup_steps=len(data["x_train"]) // BATCH
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    begun = keras.callbacks.BackupAndRestore(str(state))
    model.fit(
        shown(data["x_train"], data["y_train"]),
        steps_per_epoch=len(data["x_train"]) // BATCH,
        epochs=epochs,
        validation_data=(data["x_test"].astype(np.float32), data["y_test"]),
        callbacks=[begun],
        verbose=2,
    )
    model.save(path)
    return float(model.evaluate(data["x_test"].astype(np.float32), data["y_test"], verbose=0)[1])


def shown(pictures: np.ndarray, labels: np.ndarray) -> Any:
    """Yield batches without end; every pass in another order, mirrored by half, and moved a little."""
    seed = np.random.SeedSequence().entropy  # a run that goes on sees other pictures than the one before it
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(len(pictures))
        seen = shifted(flipped(pictures, int(generator.integers(2**31))), generator)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            yield seen[chosen].astype(np.float32), labels[chosen]


def shifted(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return pictures, each moved by up to :data:`FARTHEST_SHIFT` pixels and filled with zeros."""
    height, width = pictures.shape[1:3]
    border = ((0, 0), (FARTHEST_SHIFT, FARTHEST_SHIFT), (FARTHEST_SHIFT, FARTHEST_SHIFT), (0, 0))
    framed = np.pad(pictures, border)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (height, width), axis=(1, 2))
    top, left = generator.integers(0, 2 * FARTHEST_SHIFT + 1, (2, len(pictures)))
    return np.moveaxis(windows[np.arange(len(pictures)), top, left], 1, -1)


def residual_network(mean: np.ndarray, variance: np.ndarray) -> Any:
    """Return a ResNet-20 for pictures of 32 x 32, with projections where the width changes (arXiv:1512.03385)."""
    import keras

    layers = keras.layers
    given = keras.Input((32, 32, 3), name="image")

    def convolution(tensor: Any, channels: int, size: int, stride: int) -> Any:
        wide = layers.Conv2D(
            channels, size, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        return layers.BatchNormalization(momentum=0.9)(wide(tensor))

    tensor = layers.Normalization(mean=mean, variance=variance)(given)
    tensor = layers.ReLU()(convolution(tensor, 16, 3, 1))
    for channels, strides in ((16, (1, 1, 1)), (32, (2, 1, 1)), (64, (2, 1, 1))):
        for stride in strides:
            inner = layers.ReLU()(convolution(tensor, channels, 3, stride))
            inner = convolution(inner, channels, 3, 1)
            past = convolution(tensor, channels, 1, stride) if tensor.shape[-1] != channels else tensor
            tensor = layers.ReLU()(layers.Add()([inner, past]))
    tensor = layers.GlobalAveragePooling2D()(tensor)
    return keras.Model(given, layers.Dense(10, activation="softmax", name="scores")(tensor), name="resnet20")


if __name__ == "__main__":
    main()
