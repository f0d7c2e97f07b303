"""The process that holds the TFLite converter; started by :mod:`tfcompress.tflite.convert` and by nothing else.

Request: ``saved_model`` (folder), ``target`` (file to write), ``quantize``, ``io`` (dtype), ``qat``, ``sparse``,
``select_ops``, ``float_ops``, ``batch``, ``representative`` (``.npz`` of stacked samples, ``x.NAME`` for each
input, or null). Answer: ``{}``.
Or ``open`` (a TFLite file to run in TensorFlow's own interpreter), ``shapes`` (by number of the input's tensor),
``random`` (whether on random numbers, too).
Answer: ``version`` of TensorFlow, ``sha256`` of the outputs.
Or ``batches`` (a TFLite file for one sample at a time), ``shapes`` (likewise).
Answer: ``same`` (it gives each of two samples together what it gives it alone).
Or what :mod:`tfcompress.models.load_child` answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.models import load_child
from tfcompress.serve import serve


def main(requests: int, answers: int, lifeline: int) -> None:
    """Import TensorFlow at once, while the caller is still busy, then serve."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # the caller may hold all of its memory
    serve(_answer, requests, answers, lifeline)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    load_child.forget_loaded()
    if "batches" in request:
        return {"same": _takes_batches(request["batches"], request["shapes"])}
    if "open" in request:
        return _open(request["open"], request["shapes"], random=request["random"])
    return _convert(request) if "saved_model" in request else load_child.answer(request)


def _open(path: str, shapes: dict[str, list[int]], *, random: bool) -> dict[str, Any]:
    """Run a file in the interpreter that TensorFlow brings: on zeros; and, if *random*, on random numbers."""
    import tensorflow as tf

    interpreter = _interpreter(path)
    for index, shape in shapes.items():
        interpreter.resize_tensor_input(int(index), shape)
    interpreter.allocate_tensors()
    digest = hashlib.sha256()
    generator = np.random.default_rng(0)
    for source in (None, generator) if random else (None,):
        interpreter.reset_all_variables()
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], _input(tensor, source))
        interpreter.invoke()
        for tensor in interpreter.get_output_details():
            digest.update(np.ascontiguousarray(interpreter.get_tensor(tensor["index"])).tobytes())
    return {"version": tf.__version__, "sha256": digest.hexdigest()}


def _input(tensor: dict[str, Any], generator: np.random.Generator | None) -> np.ndarray:
    """Return zeros; or random numbers, where those of the tensor are no indices."""
    shape, dtype = tensor["shape"], np.dtype(tensor["dtype"])
    if generator is not None and dtype.kind == "f":
        uniform: np.ndarray = generator.uniform(-1, 1, shape).astype(dtype)
        return uniform
    if generator is not None and tensor["quantization"][0]:
        limits = np.iinfo(dtype)
        whole: np.ndarray = generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        return whole
    return np.zeros(shape, dtype)


def _takes_batches(path: str, shapes: dict[str, list[int]]) -> bool:
    """Run a file on two samples, together and one by one; what differs by rounding is the same."""
    generator = np.random.default_rng(0)
    samples: dict[int, np.ndarray] = {}
    together = _interpreter(path)
    for tensor in together.get_input_details():
        shape = (2, *shapes[str(tensor["index"])][1:])
        drawn = generator.integers(0, 2, shape) if tensor["dtype"] != np.float32 else generator.normal(size=shape)
        samples[tensor["index"]] = drawn.astype(tensor["dtype"])
    both = _outputs(together, samples)
    for place in range(2):
        alone = _outputs(_interpreter(path), {index: values[place : place + 1] for index, values in samples.items()})
        for whole, part in zip(both, alone, strict=True):
            if whole.shape != (2, *part.shape[1:]) or not _near(whole[place], part[0]):
                return False
    return True


def _interpreter(path: str) -> Any:
    import tensorflow as tf

    return tf.lite.Interpreter(model_path=path)


def _outputs(interpreter: Any, samples: dict[int, np.ndarray]) -> list[np.ndarray]:
    for index, values in samples.items():
        interpreter.resize_tensor_input(index, values.shape)
    interpreter.allocate_tensors()
    for index, values in samples.items():
        interpreter.set_tensor(index, values)
    interpreter.invoke()
    return [interpreter.get_tensor(tensor["index"]) for tensor in interpreter.get_output_details()]


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    a, b = a.astype(np.float64), b.astype(np.float64)
    step = 1.0 if np.array_equal(a, np.rint(a)) else 0.0  # a number of 8 or 16 bits may round the other way
    return bool(np.allclose(a, b, rtol=1e-3, atol=max(step, 1e-4 * float(np.abs(b).max(initial=0.0)))))


def _convert(request: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(request["saved_model"], signature_keys=["serving_default"])
    representative = request["representative"]
    samples = None if representative is None else _read(representative)
    _configure(converter, request, samples)
    Path(request["target"]).write_bytes(converter.convert())
    return {}


def _read(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return {name.removeprefix("x."): stored[name] for name in stored}


def _configure(converter: Any, request: dict[str, Any], samples: dict[str, np.ndarray] | None) -> None:
    import tensorflow as tf

    quantize, quantized = request["quantize"], request["quantize"] != "none" or request["qat"]
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantized else []
    if request["sparse"]:
        converter.optimizations = [*converter.optimizations, tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if samples is not None:
        converter.representative_dataset = lambda: _batches(samples, request["batch"])
    converter.target_spec.supported_ops = _ops(request, samples)
    if quantize in ("int8", "int16x8"):
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(request["io"])


def _ops(request: dict[str, Any], samples: dict[str, np.ndarray] | None) -> list[Any]:
    """Choose the op sets.

    Without TFLITE_BUILTINS the converter fails when an op has no integer kernel, instead of leaving it in float; for a
    model trained with fake quantization it then demands samples, and where there are none the check of the file is left
    to find float ops.
    """
    import tensorflow as tf

    sets = tf.lite.OpsSet
    chosen = []
    if request["quantize"] == "int8" and samples is not None:
        chosen.append(sets.TFLITE_BUILTINS_INT8)
    if request["quantize"] == "int16x8":
        chosen.append(sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8)
    if not chosen or request["float_ops"]:
        chosen.append(sets.TFLITE_BUILTINS)
    if request["select_ops"]:
        chosen.append(sets.SELECT_TF_OPS)
    return chosen


def _batches(samples: dict[str, np.ndarray], batch: int) -> Iterator[dict[str, np.ndarray]]:
    """Give the samples in batches of one size; the first ones fill up the last batch."""
    count = len(next(iter(samples.values())))
    for start in range(0, count, batch):
        chosen = np.arange(start, start + batch) % count
        yield {name: values[chosen] for name, values in samples.items()}
