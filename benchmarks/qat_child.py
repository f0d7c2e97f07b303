"""Measure one network of :mod:`benchmarks.qat_networks`, in a process of its own; prints one line of JSON.

python -m benchmarks.qat_child {zoo,layer} NAME {tfmot,native}
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.qat_networks import LAYERS, ZOO, network, noise, pictures

CALIBRATION, SAMPLES, STEPS, BATCH = 128, 1000, 60, 32


def accepts(name: str) -> dict[str, Any]:
    """Say whether tfmot quantizes the network."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    model = network(tf_keras, name) if name in ZOO else LAYERS[name](tf_keras)
    try:
        tfmot.quantization.keras.quantize_model(model)
    except Exception as refusal:  # noqa: BLE001 - whatever it raises is its way to refuse
        lines = [line.strip() for line in str(refusal).splitlines() if line.strip()]
        return {"accepted": False, "why": (lines or [type(refusal).__name__])[0][:200]}
    return {"accepted": True, "why": ""}


def zoo(name: str) -> dict[str, Any]:
    """Train a network for some steps, so that its outputs differ, quantize it and compare it with its file."""
    import keras

    keras.utils.set_random_seed(0)
    data, model = pictures(name), network(keras, name)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # for statistics that mean something after a few steps
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    count = STEPS * BATCH
    model.fit(data["x_train"][:count], data["y_train"][:count], batch_size=BATCH, verbose=0)
    figures = native(model, [data["x_train"][:CALIBRATION]], [data["x_test"][:SAMPLES]])
    best = figures.pop("best")
    return {**figures, "labels_top1": float(np.mean(best == data["y_test"][:SAMPLES]))}


def layer(name: str) -> dict[str, Any]:
    """Quantize a tiny model with random weights and compare it with its file."""
    import keras

    keras.utils.set_random_seed(0)
    model = LAYERS[name](keras)
    figures = native(model, noise(model, CALIBRATION, 1), noise(model, SAMPLES, 2))
    figures.pop("best")
    return figures


def native(model: Any, calibration: list[np.ndarray], samples: list[np.ndarray]) -> dict[str, Any]:
    """Quantize *model*, calibrate, convert, and compare the quantized Keras model with the file on *samples*."""
    import tfcompress as tfc
    from tfcompress.models.signature import call
    from tfcompress.tflite.agreement import output_step
    from tfcompress.tflite.contract import float_ops
    from tfcompress.tflite.flatbuffer import read_model_file

    names = [tensor._keras_history.operation.name for tensor in model.inputs]
    inputs = dict(zip(names, samples, strict=True))
    begin = time.perf_counter()
    job = tfc.attach(model, tfc.QAT(engine="native"), samples=dict(zip(names, calibration, strict=True)))
    attach_s = time.perf_counter() - begin
    trained_(job, calibration, model)
    finished = job.finish()
    content, float_size_bytes = converted(finished, model)
    file = read_model_file(content)
    counts = dict(file.op_counts)
    before, after, ours = call(model, inputs), call(finished, inputs), run(content, inputs)
    name = next(iter(after))
    return {
        "ops": sum(counts.values()) - counts.get("QUANTIZE", 0) - counts.get("DEQUANTIZE", 0),
        "float_ops": [str(op) for op in float_ops(file)],
        "sqnr_db": sqnr(after[name], ours[name]),
        "float_sqnr_db": sqnr(before[name], after[name]),
        "same_top1": same_top1(after[name], ours[name]),
        "within_2_steps": within(after[name], ours[name], output_step(file, name)[0]),
        **in_integers(finished, content, inputs, ours),
        "size_bytes": len(content),
        "float_size_bytes": float_size_bytes,
        "attach_s": attach_s,
        "all_s": time.perf_counter() - begin,
        "notes": list(job.notes),
        "best": ours[name].reshape(len(ours[name]), -1).argmax(1),
    }


def in_integers(
    finished: Any, content: bytes, inputs: dict[str, np.ndarray], fast: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Compare a trained model with its file in the integers of the reference kernels, as every export does."""
    import tfcompress as tfc
    from tfcompress.tflite import exactness
    from tfcompress.tflite.interpret import InterpreterProcess

    trained = exactness.in_integers(finished)
    if trained is None:
        return {}
    with InterpreterProcess(content, reference_kernels=True) as reference:
        try:
            found = exactness.compare_exactly(trained, reference.model, reference, trained.on_grid(inputs), fast)
        except tfc.ContractError as refusal:
            return {"exact_refused": str(refusal)}
    return {
        "exact_samples": found.samples,
        "exact_equal": found.equal,
        "exact_top1": found.agreement[0].top1,
        "exact_within_2_steps": found.agreement[0].near,
        "exact_unknown": list(found.rounded),
        "kernels_within_2_steps": found.kernels[0].near,
    }


def trained_(job: Any, inputs: list[np.ndarray], teacher: Any) -> None:
    """Train a job for one epoch on what *teacher* says of *inputs*: as little training as there can be."""
    import keras

    given = inputs if len(inputs) > 1 else inputs[0]
    job.model.compile(keras.optimizers.Adam(1e-5), "mean_squared_error")
    job.model.fit(given, teacher.predict(given, verbose=0), verbose=0, callbacks=job.callbacks)


def converted(finished: Any, model: Any) -> tuple[bytes, int | None]:
    """Return the int8 file of *finished*, and the size of *model*'s float file in bytes (None: it cannot be made).

    Straight by the converter: what is refused by an export (a disagreement, say) is to be seen in the table.
    """
    import tfcompress as tfc
    from tfcompress.tflite.convert import ConverterProcess
    from tfcompress.tflite.lower import lower

    with tempfile.TemporaryDirectory() as folder, ConverterProcess() as converter:
        quantized, plain = lower(finished, Path(folder) / "int8").folder, lower(model, Path(folder) / "float").folder
        settings = tfc.Export(quantize="int8", float_ops="allow", io="float32")
        content = converter.convert(quantized, settings, None, qat=True, float_ops=True)
        try:
            return content, len(converter.convert(plain, tfc.Export(), None))
        except tfc.ConversionError:
            return content, None


def run(content: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a TFLite file on samples by input name; one invocation a sample."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    invoke = interpreter.get_signature_runner("serving_default")
    details = invoke.get_input_details()
    typed = {name: values.astype(details[name]["dtype"]) for name, values in inputs.items()}
    results = [invoke(**{n: v[i : i + 1] for n, v in typed.items()}) for i in range(len(next(iter(typed.values()))))]
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def sqnr(reference: np.ndarray, output: np.ndarray) -> float:
    """Return the signal-to-quantization-noise ratio in dB, at most 200."""
    noise_power = float(np.mean((reference.astype(np.float64) - output) ** 2))
    power = float(np.mean(reference.astype(np.float64) ** 2))
    return 200.0 if noise_power == 0 else min(200.0, 10 * np.log10(power / noise_power))


def same_top1(reference: np.ndarray, output: np.ndarray) -> float | None:
    """Return the fraction of samples with the same largest output, ties being the same; None: not classes."""
    if reference.ndim != 2 or reference.shape[1] < 2:
        return None
    best = reference.argmax(1)[:, np.newaxis]
    return float(np.mean(np.take_along_axis(output, best, 1)[:, 0] == output.max(1)))


def within(reference: np.ndarray, output: np.ndarray, step: float | None, steps: int = 2) -> float | None:
    """Return the fraction of values no further than *steps* quantization steps apart; None: not quantized."""
    return None if step is None else float(np.mean(np.abs(reference - output) <= (steps + 0.01) * step))


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("zoo", "layer"))
    parser.add_argument("name", choices=(*ZOO, *LAYERS))
    parser.add_argument("side", choices=("tfmot", "native"))
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        measure = accepts if options.side == "tfmot" else zoo if options.kind == "zoo" else layer
        figures = measure(options.name)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
