"""One measurement of :mod:`benchmarks.channels`, in a process of its own: prints one line of JSON.

python -m benchmarks.channels_child surgery MobileNetV2 0.5 FOLDER
python -m benchmarks.channels_child train resnet8.keras cifar10.npz OUTPUT recipe.toml …
python -m benchmarks.channels_child race unpruned.tflite pruned.tflite …
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

SIZES = {"InceptionV3": 96, "Xception": 96}
"""Inputs are squares of this many pixels; the others 64."""


def surgery(name: str, remove: str, folder: str) -> dict[str, Any]:
    """Remove a fraction of the MACs of one of Keras's networks, see whether what is left works, and write files."""
    import keras
    import numpy as np

    from tfcompress.channels.removal import remove_channels
    from tfcompress.recipe import Channels

    keras.utils.set_random_seed(0)
    size = SIZES.get(name, 64)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    started = time.process_time()
    found = remove_channels(model, Channels(remove=float(remove)))
    took = time.process_time() - started
    figures = {
        "macs": found.before.macs,
        "removed": found.removed,
        "parameters": found.before.parameters,
        "parameters_left": found.after.parameters,
        "groups": len(found.keep),
        "pinned": sorted(found.pinned.values()),
        "seconds": took,
        "gradients": _backward(found.model, size),
    }
    images = np.random.default_rng(0).random((2, size, size, 3)).astype("float32")
    figures["forward"] = bool(np.isfinite(np.asarray(found.model(images, training=False))).all())
    files = {"file": model, "file_left": found.model}
    return figures | {key: _exported(each, images, Path(folder) / f"{name}-{key}") for key, each in files.items()}


def _exported(model: Any, images: Any, path: Path) -> str:
    """Write a float32 file, checked as every export is, and return where it is."""
    import tfcompress as tfc

    path.parent.mkdir(parents=True, exist_ok=True)
    return str(tfc.export(model, tfc.Export(), data=images).save(path.with_suffix(".tflite")))


def _backward(model: Any, size: int) -> float:
    """Return the fraction of trainable weights that a step's gradient reaches, finite and not all zero."""
    import numpy as np
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(1).random((4, size, size, 3)), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.math.log(model(x, training=True)[:, 0] + 1e-6))
    weights = [variable.value for variable in model.trainable_variables]
    gradients = [None if g is None else np.asarray(g) for g in tape.gradient(loss, weights)]
    good = [g is not None and np.isfinite(g).all() for g in gradients]
    return sum(map(bool, good)) / len(good)


def train(model: str, data: str, output: str, *recipes: str) -> dict[str, Any]:
    """Run recipes on a model and data, one after the other on one workbench; by the recipe's name what came out."""
    import tfcompress as tfc

    found: dict[str, Any] = {}
    with tfc.Workbench(model, data) as bench:
        bench.baseline  # noqa: B018 - made and scored before the first recipe's time begins
        for path in map(Path, recipes):
            try:
                found[path.stem] = _trained(bench, path, Path(output) / path.stem)
            except tfc.TfcompressError as error:
                found[path.stem] = {"error": str(error)}
    return found


def _trained(bench: Any, recipe: Path, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    report = bench.run(recipe, output=folder, force=True).report
    score, baseline = report.result.score, report.baseline
    return {
        "top1": None if score is None else score.main_figure.value,
        "size_bytes": report.result.size_bytes,
        "gzip_bytes": report.result.gzip_bytes,
        "float_top1": None if baseline is None or baseline.score is None else baseline.score.main_figure.value,
        "seconds": time.perf_counter() - started,
        "file": str(folder / report.result.name),
        "notes": [note for note in report.warnings if note.startswith("channels")],
    }


def race(*files: str) -> dict[str, Any]:
    """Time files in turns; the first one is what the others are compared with."""
    from tfcompress.devices.local import Settings, run_locally

    models = run_locally([Path(file) for file in files], settings=Settings(runs=200, seconds=3.0))["models"]
    samples = [found["timing"]["samples_ns"] for found in models]
    medians = [median(each) for each in samples]
    return {
        "median_ms": [value / 1e6 for value in medians],
        "fastest_ms": [min(each) / 1e6 for each in samples],
        "speedup": [medians[0] / value for value in medians],
    }


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {"surgery": surgery, "train": train, "race": race}


def main() -> None:
    """Run the command that the arguments name."""
    command, *words = sys.argv[1:]
    print(json.dumps(COMMANDS[command](*words)))


if __name__ == "__main__":
    main()
