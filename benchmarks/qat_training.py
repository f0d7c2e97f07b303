"""Train one network, then make it int8 in several ways; prints one line of JSON.

python -m benchmarks.qat_training resnet8 cifar10.npz pretrainedResnet.h5
python -m benchmarks.qat_training {mobile,efficient} FOLDER     # of Fashion-MNIST's idx files
python -m benchmarks.qat_training {conv1d,lstm,gru,transformer} FOLDER     # of JapaneseVowels_TRAIN.ts and _TEST.ts

The float model is trained; then, with one and the same further budget, it is trained on in float (*tuned*), and by
quantization-aware training; PTQ comes from the float model before and needs none.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import plain
from benchmarks.qat_networks import CLASSES, fashion

Data = dict[str, np.ndarray]
CALIBRATION = 200


@dataclass(frozen=True)
class Budget:
    """How a network is trained.

    Attributes:
        epochs: passes of the first training; none for a network that comes trained.
        rate: Adam's learning rate in it.
        more_epochs: passes of the further training, in float and quantization-aware alike.
        more_rate: Adam's learning rate in that.
    """

    epochs: int
    rate: float
    more_epochs: int
    more_rate: float


def _excited(x: Any, name: str) -> Any:
    """Squeeze and excite (Hu et al. 2018, figure 3), the gate by hard-sigmoid or sigmoid."""
    import keras

    layers = keras.layers
    channels = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(channels // 4, 1, activation="relu" if name == "mobile" else "swish")(gate)
    gate = layers.Conv2D(channels, 1, activation="hard_sigmoid" if name == "mobile" else "sigmoid")(gate)
    return layers.Multiply()([x, gate])


def picture_network(name: str) -> Any:
    """Build inverted residual blocks like MobileNetV3's or EfficientNet's for pictures of 28 x 28."""
    import keras

    layers, curve = keras.layers, "hard_swish" if name == "mobile" else "swish"
    inputs = keras.Input((28, 28, 1))

    def normal(x: Any) -> Any:
        return layers.BatchNormalization(momentum=0.95)(x)

    x = layers.Activation(curve)(normal(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(inputs)))
    for filters, strides in ((16, 1), (24, 2), (24, 1), (32, 2)):
        wide = layers.Conv2D(3 * x.shape[-1], 1, use_bias=False)(x)
        wide = layers.Activation(curve)(normal(wide))
        wide = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(wide)
        wide = _excited(layers.Activation(curve)(normal(wide)), name)
        narrow = normal(layers.Conv2D(filters, 1, use_bias=False)(wide))
        x = layers.Add()([x, narrow]) if narrow.shape == x.shape else narrow
    x = layers.GlobalAveragePooling2D()(layers.Activation(curve)(normal(layers.Conv2D(96, 1, use_bias=False)(x))))
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(layers.Dropout(0.1)(x)))


def sequence_network(name: str, shape: tuple[int, int], classes: int) -> Any:
    """Build a small model of sequences of *shape* (steps, values)."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input(shape)
    if name == "conv1d":
        for filters in (32, 64):
            x = layers.Conv1D(filters, 5, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
            x = layers.MaxPooling1D(2)(x)
        x = layers.GlobalAveragePooling1D()(x)
    elif name in ("lstm", "gru"):
        x = layers.LSTM(32)(x) if name == "lstm" else layers.GRU(32)(x)
    else:
        x = _transformed(layers.Dense(32)(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def _transformed(x: Any) -> Any:
    """Two encoder blocks, normalized first (Xiong et al. 2020), and the mean over time."""
    import keras

    layers = keras.layers
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 16, dropout=0.1)(y, y)])
        y = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(32)(y)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


def vowels(folder: Path) -> Data:
    """Read JapaneseVowels (Kudo et al. 1999: nine speakers, 12 coefficients a step), padded by zeros to one length.

    Args:
        folder: where JapaneseVowels_TRAIN.ts and _TEST.ts lie: ``datasets/data/JapaneseVowels`` of the package aeon.
    """
    found = {}
    for split, end in (("train", "TRAIN"), ("test", "TEST")):
        lines = (folder / f"JapaneseVowels_{end}.ts").read_text().splitlines()
        rows = [line.split(":") for line in lines[lines.index("@data") + 1 :] if line.strip()]
        series = [np.array([[float(v) for v in axis.split(",")] for axis in row[:-1]]).T for row in rows]
        found[split] = series, [int(row[-1]) - 1 for row in rows]
    steps = max(len(x) for series, _ in found.values() for x in series)
    data: Data = {}
    for split, (series, labels) in found.items():
        padded = [np.pad(x, ((0, steps - len(x)), (0, 0))) for x in series]
        data[f"x_{split}"], data[f"y_{split}"] = np.array(padded, np.float32), np.array(labels, np.int64)
    return data


def fit(model: Any, data: Data, epochs: int, rate: float, callbacks: list[Any]) -> None:
    """Train a Keras 3 model in place, batch 64 (16 for few samples), seed 0."""
    import keras

    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    batch = 64 if len(data["x_train"]) > 1000 else 16
    model.fit(data["x_train"], data["y_train"], batch_size=batch, epochs=epochs, callbacks=callbacks, verbose=2)


def scored(content: bytes, data: Data) -> dict[str, Any]:
    """Return accuracy on the test split, and size."""
    return {"top1": plain.top1(content, data["x_test"], data["y_test"]), "size_bytes": len(content)}


def measured(model: Any, data: Data, budget: Budget) -> dict[str, Any]:
    """Train *model*, a Keras 3 one, and make it int8 in each way."""
    import keras

    import tfcompress as tfc

    if budget.epochs:
        fit(model, data, budget.epochs, budget.rate, [])
    chosen = np.random.default_rng(0).permutation(len(data["x_train"]))[:CALIBRATION]
    samples = data["x_train"][chosen]
    tuned = keras.models.clone_model(model)
    tuned.set_weights(model.get_weights())
    fit(tuned, data, budget.more_epochs, budget.more_rate, [])
    job = tfc.attach(model, tfc.QAT(engine="native"), samples=samples)
    fit(job.model, data, budget.more_epochs, budget.more_rate, list(job.callbacks))
    int8 = tfc.Export(quantize="int8")
    with tfc.Workbench(model, samples) as bench:
        files = {
            "float": bench.export(model),
            "tuned": bench.export(tuned),
            "ptq": bench.export(model, int8),
            "native": bench.export(job.finish(), int8),
        }
    figures = {side: scored(file.content, data) for side, file in files.items()}
    figures["ptq"]["rewritten"] = files["ptq"].route == "calibrated by our rules"
    return {**figures, "samples": len(data["x_test"]), "notes": list(job.notes)}


def resnet8(archive: Path, h5: Path) -> dict[str, Any]:
    """Fine-tune MLPerf Tiny's ResNet8 on 20,000 images of CIFAR-10, natively and with tfmot by hand."""
    import tfcompress as tfc

    with np.load(archive) as file:
        data = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    for split, count in (("train", 20_000), ("test", 10_000)):
        data[f"x_{split}"] = data[f"x_{split}"][:count].astype(np.float32)
        data[f"y_{split}"] = data[f"y_{split}"][:count].reshape(-1).astype(np.int64)
    budget = Budget(0, 0.0, 2, 1e-5)
    figures = measured(tfc.load_model(h5).keras3, data, budget)
    options = argparse.Namespace(model=h5, seed=0, learning_rate=1e-5, batch_size=64, epochs=2)
    return {**figures, "tfmot": scored(_tfmot(options, data), data)}


def _tfmot(options: argparse.Namespace, data: Data) -> bytes:
    import tensorflow_model_optimization as tfmot

    quantized = tfmot.quantization.keras.quantize_model(plain.load(options))
    plain.fit(quantized, data, options, [])
    return plain.convert(quantized, int8=True)


def pictures(name: str, folder: Path) -> dict[str, Any]:
    """Train on a fifth of Fashion-MNIST."""
    data = fashion(folder)
    data.update(x_train=data["x_train"][:12_000], y_train=data["y_train"][:12_000])
    return measured(picture_network(name), data, Budget(4, 3e-3, 1, 3e-4))


def sequences(name: str, folder: Path) -> dict[str, Any]:
    """Train on JapaneseVowels."""
    data = vowels(folder)
    shape, classes = data["x_train"].shape[1:], int(data["y_train"].max()) + 1
    return measured(sequence_network(name, shape, classes), data, Budget(40, 3e-3, 8, 3e-4))


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "resnet8": resnet8,
    **{name: functools.partial(pictures, name) for name in ("mobile", "efficient")},
    **{name: functools.partial(sequences, name) for name in ("conv1d", "lstm", "gru", "transformer")},
}


def main() -> None:
    """Do what the command line says."""
    import keras

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("paths", type=Path, nargs="+")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    with contextlib.redirect_stdout(sys.stderr):
        figures = TASKS[options.task](*options.paths)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
