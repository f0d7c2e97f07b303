"""What the three by-hand scripts have in common: arguments, data, conversion and evaluation with the plain tools.

Each step is the straightforward call of the plain tool, as its own guide shows it, with what an engineer who knows it
adds for speed (two interpreter threads, arrays scaled once). Heavy imports are inside functions so that their time is a
phase of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION_SAMPLES = 200


class Phases:
    """Wall-clock seconds of the named parts of a script."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to the phase *name*."""
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begin, 3)


def import_now(*names: str) -> None:
    """Import modules here, so that their time falls into the phase it belongs to."""
    for name in names:
        importlib.import_module(name)


def arguments(description: str | None) -> argparse.Namespace:
    """Read the command line that all three scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", type=Path, help=".h5 written by Keras 2")
    parser.add_argument("data", type=Path, help=".npz with x_train, y_train, x_test and y_test")
    parser.add_argument("output", type=Path, help="folder for the two .tflite files; made if need be")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the inputs")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--limit", type=int, help="use the first N training samples only")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def read(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return the four arrays, inputs as scaled float32."""
    with np.load(options.data) as file:
        data = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    for split in ("train", "test"):
        limit = options.limit if split == "train" else None
        data[f"x_{split}"] = data[f"x_{split}"][:limit].astype(np.float32) * np.float32(options.scale)
        data[f"y_{split}"] = data[f"y_{split}"][:limit].reshape(-1)
    return data


def load(options: argparse.Namespace) -> Any:
    """Return the ``tf_keras`` model, all generators seeded."""
    import tf_keras

    tf_keras.utils.set_random_seed(options.seed)
    return tf_keras.models.load_model(options.model, compile=False)


def fit(model: Any, data: dict[str, np.ndarray], options: argparse.Namespace, callbacks: list[Any]) -> None:
    """Compile with Adam and train *model* in place."""
    import tf_keras

    model.compile(
        tf_keras.optimizers.Adam(options.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    x, y = data["x_train"], data["y_train"]
    model.fit(x, y, batch_size=options.batch_size, epochs=options.epochs, callbacks=callbacks, verbose=2)


def convert(model: Any, *, int8: bool, samples: np.ndarray | None = None) -> bytes:
    """Convert to float32, or to int8 with int8 inputs and outputs.

    Args:
        model: ``tf_keras`` model of one input.
        int8: quantize.
        samples: (samples, …), the model's input, to calibrate on; None: the model was trained with fake quantization.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    if samples is not None:
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content: bytes = converter.convert()
    return content


def calibration(data: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """Return seeded training inputs, (200, …)."""
    x = data["x_train"]
    return x[np.random.default_rng(seed).choice(len(x), min(CALIBRATION_SAMPLES, len(x)), replace=False)]


def top1(content: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Return the fraction of samples whose highest output is their label, one invocation a sample.

    Args:
        content: TFLite file of one input and one output.
        x: (samples, …) float32.
        y: (samples,) class numbers.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if source["dtype"] == np.int8:
        scale, zero_point = source["quantization"]
        x = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
    right = 0
    for sample, label in zip(x, y, strict=True):
        interpreter.set_tensor(source["index"], sample[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(result["index"]).argmax() == label)
    return right / len(y)


def finish(
    contents: dict[str, bytes], data: dict[str, np.ndarray], options: argparse.Namespace, phases: Phases
) -> None:
    """Write and evaluate the two files, and print sizes, accuracies and phases as one JSON line.

    Args:
        contents: ``float32`` and ``int8`` TFLite files.
        data: of which the whole test split is used.
        options: where to write.
        phases: what was timed so far.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    with phases("evaluate"):
        accuracies = {name: top1(content, data["x_test"], data["y_test"]) for name, content in contents.items()}
    for name, content in contents.items():
        (options.output / f"{name}.tflite").write_bytes(content)
    figures = {name: {"size_bytes": len(contents[name]), "top1": accuracies[name]} for name in contents}
    print(json.dumps({**figures, "phases": phases.seconds}))
