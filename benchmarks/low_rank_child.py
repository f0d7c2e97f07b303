"""One measurement of :mod:`benchmarks.low_rank`, in a process of its own: prints one line of JSON.

python -m benchmarks.low_rank_child float autoencoder FASHION CIFAR FOLDER EPOCHS LIMIT
python -m benchmarks.low_rank_child factors vgg FASHION CIFAR FOLDER TARGET METHOD OF LIMIT TESTS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.qat_networks import fashion

Arrays = dict[str, np.ndarray]

ROWS, COLUMNS = slice(4, 24), 32
"""Of a picture of 28 x 28: twenty rows, with two black columns on either side, are 640 numbers."""

BAG = 8
"""The class of Fashion-MNIST that the autoencoder has not seen: what it is to tell from the others."""

SAMPLES = 2000
RATE = 1e-3


def autoencoder(folder: Path) -> tuple[Any, Arrays, str]:
    """Return the dense autoencoder of MLPerf Tiny's shape, its data and its loss; bags are for the test only."""
    import keras

    found = fashion(folder)

    def numbers(pictures: np.ndarray) -> np.ndarray:
        return np.pad(pictures[:, ROWS, :, 0], ((0, 0), (0, 0), (2, COLUMNS - 30))).reshape(len(pictures), -1)

    data = {f"x_{split}": numbers(found[f"x_{split}"]) for split in ("train", "test")}
    data["x_train"] = data["x_train"][found["y_train"] != BAG]
    data["y_test"] = (found["y_test"] == BAG).astype(np.int64)
    layers = keras.layers
    x = given = keras.Input((640,), name="picture")
    for width in (*[128] * 4, 8, *[128] * 4):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(given, layers.Dense(640, name="again")(x), name="autoencoder"), data, "mse"


def vgg(path: Path) -> tuple[Any, Arrays, str]:
    """Return a network of VGG's kind for CIFAR-10, its data, and its loss."""
    import keras

    with np.load(path) as found:
        data = {name: found[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    for split in ("train", "test"):
        data[f"x_{split}"] = data[f"x_{split}"].astype(np.float32) / np.float32(255)
        data[f"y_{split}"] = data[f"y_{split}"].reshape(-1).astype(np.int64)
    layers = keras.layers
    x = given = keras.Input((32, 32, 3), name="image")
    for width in (16, 32, 64):
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    scores = layers.Dense(10, activation="softmax", name="scores")(x)
    return keras.Model(given, scores, name="vgg"), data, "sparse_categorical_crossentropy"


def _problem(name: str, folder: str, cifar: str) -> tuple[Any, Arrays, str]:
    return autoencoder(Path(folder)) if name == "autoencoder" else vgg(Path(cifar))


def train_float(name: str, folder: str, cifar: str, output: str, epochs: str, limit: str) -> dict[str, Any]:
    """Train a network in float and keep it."""
    import keras

    keras.utils.set_random_seed(0)
    model, data, loss = _problem(name, folder, cifar)
    x, count = data["x_train"][: int(limit) or None], int(epochs)
    steps = count * -(-len(x) // 128)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2 * RATE, steps)), loss)
    history = model.fit(x, data.get("y_train", x)[: len(x)], batch_size=128, epochs=count, verbose=0)
    path = Path(output) / f"{name}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return {"file": str(path), "loss": history.history["loss"][-1]}


def factors(
    name: str, folder: str, cifar: str, output: str, target: str, method: str, of: str, limit: str, tests: str
) -> dict[str, Any]:
    """Take a trained network apart: what is left, and what it costs at once and after an epoch of training.

    Args:
        name: ``autoencoder`` or ``vgg``.
        folder: of Fashion-MNIST.
        cifar: CIFAR-10's ``.npz``.
        output: where the trained network lies.
        target: fraction that is to be left.
        method: of the stage.
        of: what is counted.
        limit: how many training samples the epoch has; 0: it is left out.
        tests: how many test samples are looked at; 0: all.
    """
    import tfcompress as tfc
    from tfcompress.devices.latency import latency_ratio
    from tfcompress.low_rank.rank_choice import model_cost
    from tfcompress.models.samples import Samples
    from tfcompress.stages.rewriting import RewritingContext, apply_rewriting

    model: Any = tfc.load_model(Path(output) / f"{name}.keras").keras3
    _, data, _ = _problem(name, folder, cifar)
    data |= {key: values[: int(tests) or None] for key, values in data.items() if key.endswith("test")}
    stage = tfc.LowRank(target=float(target), method=method, of=of)  # type: ignore[arg-type]  # words of a command line
    drawn = np.random.default_rng(0).permutation(len(data["x_train"]))[:SAMPLES]
    samples = Samples({model.inputs[0].name: data["x_train"][drawn]})
    made = apply_rewriting(model, stage, RewritingContext(samples=samples, latency_ratio=latency_ratio))
    by_weights = apply_rewriting(model, stage, RewritingContext(latency_ratio=latency_ratio)).model
    figures: dict[str, Any] = {
        "before": vars(model_cost(model)),
        "after": vars(model_cost(made.model)),
        "notes": made.notes,
        "whole": figure(model, data),
        "at once": figure(made.model, data),
        "by weights": figure(by_weights, data),
        "ratio": latency_ratio(model, made.model),
    }
    if int(limit):
        train = tfc.Train(epochs=1, learning_rate=RATE / 2, decay="cosine", batch_size=128, limit=int(limit))
        recipe = tfc.Recipe(stages=(stage,), train=train)
        path = Path(output) / f"{name}.npz"
        np.savez(path, **data)  # type: ignore[arg-type]  # numpy's stub takes names for options
        result = tfc.compress(model, recipe, tfc.load_data(str(path)))
        assert result.model is not None
        figures["tuned"] = figure(result.model, data)
        figures["bytes"] = result.report.result.size_bytes
    return figures


def figure(model: Any, data: Arrays) -> float:
    """Return the accuracy of a classifier; of an autoencoder the area under the ROC of telling what it has not seen."""
    x, y = data["x_test"], data["y_test"]
    outputs = model.predict(x, batch_size=256, verbose=0)
    if outputs.shape != x.shape:
        return float((outputs.argmax(1) == y).mean())
    errors = ((outputs - x) ** 2).mean(1)
    ranks = np.empty(len(errors))
    ranks[np.argsort(errors)] = np.arange(1, len(errors) + 1)
    strange = int(y.sum())
    return float((ranks[y == 1].sum() - strange * (strange + 1) / 2) / (strange * (len(y) - strange)))


WORK: dict[str, Callable[..., dict[str, Any]]] = {"float": train_float, "factors": factors}


if __name__ == "__main__":
    print(json.dumps(WORK[sys.argv[1]](*sys.argv[2:])))
