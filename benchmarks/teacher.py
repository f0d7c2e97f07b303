"""Train the outside teacher of the long distillations, a small convolutional network for CIFAR-10.

    python -m benchmarks.teacher cifar10.npz FOLDER [--epochs 20]

It takes pictures from 0 to 255, as MLPerf Tiny's ResNet8 does. An epoch costs a minute or two of two cores; what was
trained is kept in FOLDER after each, and the same command goes on from there. FOLDER gets ``teacher.keras``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.best_networks import flipped, images

BATCH = 250
WIDTHS = (32, 128, 128)
"""Channels of its three blocks."""
FARTHEST_SHIFT = 2
"""Pixels that a picture is moved by at most (Jordan 2024, arXiv:2404.00498, section 3.1)."""
HIGHEST_RATE = 0.2


def main(given: Sequence[str] | None = None) -> None:
    """Train the network, or go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="an .npz with CIFAR-10")
    parser.add_argument("folder", type=Path, help="where the network goes")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training data")
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
    model = whitened_network(data["x_train"])
    steps = epochs * (len(data["x_train"]) // BATCH)
    rising = steps // 5
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - rising, warmup_target=HIGHEST_RATE, warmup_steps=rising)
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
        shuffle=False,  # the batches are shuffled
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


def whitened_network(pictures: np.ndarray) -> Any:
    """Return a small network for pictures of 32 x 32 that learns within few epochs (Jordan 2024, arXiv:2404.00498).

    Its first layer is fixed: the principal directions of patches of 2 x 2, and their opposites. Three blocks of two
    convolutions follow, pooled after the first of them, so that most of the work is done on small maps.
    """
    import keras

    layers = keras.layers
    mean, deviation = (count(pictures, axis=(0, 1, 2), dtype=np.float64) for count in (np.mean, np.std))
    given = keras.Input((32, 32, 3), name="image")
    tensor = layers.Normalization(mean=mean, variance=deviation**2)(given)
    directions = whitening((pictures[:5000] - mean) / deviation)
    first = layers.Conv2D(directions.shape[-1], 2, name="whitening")
    tensor = first(tensor)
    first.set_weights([directions, np.zeros(directions.shape[-1])])
    first.trainable = False
    for channels in WIDTHS:
        for place in range(2):
            tensor = layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(tensor)
            tensor = layers.MaxPooling2D(2)(tensor) if place == 0 else tensor
            tensor = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(tensor))
    logits = layers.Dense(10, use_bias=False)(layers.GlobalMaxPooling2D()(tensor))
    scores = layers.Softmax(name="scores")(
        layers.Rescaling(1 / 9)(logits)
    )  # small ones bear a high rate from the start
    return keras.Model(given, scores, name="whitened")


def whitening(pictures: np.ndarray) -> np.ndarray:
    """Return a kernel of shape (2, 2, 3, 24) that gives patches of pictures in uncorrelated numbers of variance 1."""
    patches = np.lib.stride_tricks.sliding_window_view(pictures, (2, 2), axis=(1, 2))
    rows = np.moveaxis(patches, 3, -1).reshape(-1, 12)  # (row, column, channel), as kernels have it
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    scaled = (vectors / np.sqrt(values + 5e-4)).reshape(2, 2, 3, 12)
    return np.concatenate([scaled, -scaled], axis=-1)


if __name__ == "__main__":
    main()
