"""What a training step with fake quantization costs, against the float model's; prints one line of JSON.

python -m benchmarks.qat_cost {resnet8,mobilenetv2}

All four models (float and quantized, Keras 3 and tf_keras) take turns, some steps each, in one process; ratios are
taken turn by turn, and their median is given. Memory is the largest resident set of a fresh process for each of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_hand import ROOT

SIDES = {"float": "native", "native": "native", "tf_keras": "tfmot", "tfmot": "tfmot"}
TURNS, STEPS, WARM_UP = 15, 4, 3
TITLES = {"resnet8": "ResNet8, batch 64", "mobilenetv2": "MobileNetV2 0.35, 96 px, batch 32"}


def build(library: Any, name: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a model of either Keras, and a batch of random inputs and labels."""
    rng = np.random.default_rng(0)
    if name == "mobilenetv2":
        model = library.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), alpha=0.35, classes=10)
        shape: tuple[int, ...] = (32, 96, 96, 3)
    else:
        model, shape = _resnet8(library), (64, 32, 32, 3)
    return model, rng.uniform(-1, 1, shape).astype(np.float32), rng.integers(0, 10, shape[0])


def _resnet8(library: Any) -> Any:
    """Build MLPerf Tiny's image classification network."""
    layers = library.layers
    inputs = library.Input((32, 32, 3))

    def convolved(x: Any, filters: int, size: int, strides: int) -> Any:
        return layers.Conv2D(filters, size, strides=strides, padding="same")(x)

    x = layers.Activation("relu")(layers.BatchNormalization()(convolved(inputs, 16, 3, 1)))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.Activation("relu")(layers.BatchNormalization()(convolved(x, filters, 3, strides)))
        y = layers.BatchNormalization()(convolved(y, filters, 3, 1))
        x = layers.Activation("relu")(layers.Add()([x if strides == 1 else convolved(x, filters, 1, strides), y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return library.Model(inputs, layers.Dense(10, activation="softmax")(x))


def compiled(name: str, side: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a model ready to train, and a batch."""
    if SIDES[side] == "native":
        import keras as library
    else:
        import tf_keras as library
    model, x, y = build(library, name)
    if side == "native":
        import tfcompress as tfc

        model = tfc.attach(model, tfc.QAT(engine="native"), samples=x).model
    elif side == "tfmot":
        import tensorflow_model_optimization as tfmot

        model = tfmot.quantization.keras.quantize_model(model)
    model.compile(library.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return model, x, y


def times(name: str) -> dict[str, list[float]]:
    """Return for each side the seconds of its turns."""
    models = {side: compiled(name, side) for side in SIDES}
    taken: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(-WARM_UP, TURNS):
        for side, (model, x, y) in models.items():
            begin = time.perf_counter()
            for _ in range(STEPS):
                model.train_on_batch(x, y)
            if turn >= 0:
                taken[side].append(time.perf_counter() - begin)
    return taken


def peak_bytes(name: str, side: str) -> int:
    """Return the largest resident set of a fresh process that trains one model for some steps."""
    command = [sys.executable, "-m", "benchmarks.qat_cost", name, "--side", side]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1])["peak_bytes"])


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios, turn by turn."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def one_side(name: str, side: str) -> dict[str, Any]:
    """Train one model for some steps; return the largest resident set of this process in bytes."""
    model, x, y = compiled(name, side)
    for _ in range(2 * STEPS):
        model.train_on_batch(x, y)
    # getrusage's figure begins with that of the process that started this one; the kernel's own begins anew.
    status = Path("/proc/self/status").read_text("ascii")
    return {"peak_bytes": next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024}


def both(name: str) -> dict[str, Any]:
    """Measure all sides."""
    taken = times(name)
    peaks = {side: peak_bytes(name, side) for side in SIDES}
    return {
        "title": TITLES[name],
        "native_step": ratio(taken["native"], taken["float"]),
        "tfmot_step": ratio(taken["tfmot"], taken["tf_keras"]),
        "native_memory": peaks["native"] / peaks["float"],
        "tfmot_memory": peaks["tfmot"] / peaks["tf_keras"],
        "step_ms": {side: 1000 * statistics.median(seconds) / STEPS for side, seconds in taken.items()},
        "peak_bytes": peaks,
    }


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=TITLES)
    parser.add_argument("--side", choices=SIDES, help="measure the memory of this one only")
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        figures = one_side(options.name, options.side) if options.side else both(options.name)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
