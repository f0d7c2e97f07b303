"""The process in which litert-quantizer runs; started by :mod:`tfcompress.tflite.quantizer` alone.

Request: ``source`` and ``target`` (paths of files), ``scheme`` (of the export), ``weights`` (how their ranges are
chosen), ``float_ends`` (inputs and outputs stay in float), ``signature`` (its key), and ``samples`` (an ``.npz`` with
an array of shape (runs, *sizes) for each of ``inputs``, in their order; null without samples). Answer: ``{}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.serve import serve

_SCHEMES = {"int8": (8, 8), "int16x8": (16, 8)}
"""Bits of activations and weights."""
_PLAIN = "MIN_MAX_UNIFORM_QUANT"
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from litert_quantizer import quantizer

    content = Path(request["source"]).read_bytes()
    engine = quantizer.Quantizer(content)
    _ask(engine, request)
    ranges = _ranges(content, engine.get_quantization_recipe(), request) if engine.need_calibration else None
    made = engine.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    Path(request["target"]).write_bytes(bytes(made.quantized_model))
    return {}


def _ask(engine: Any, request: dict[str, Any]) -> None:
    """Say what is to become of every op."""
    from litert_quantizer import qtyping
    from litert_quantizer.algorithm_manager import AlgorithmName

    every, everywhere = qtyping.TFLOperationName.ALL_SUPPORTED, ".*"
    scheme, algorithm = request["scheme"], AlgorithmName[request["weights"]]
    if scheme == "float16":
        half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=half,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        engine.update_quantization_recipe(everywhere, every, config, AlgorithmName.FLOAT_CASTING)
        return
    if scheme == "dynamic":
        engine.add_dynamic_config(everywhere, every, num_bits=8)
        return
    activations, weights = _SCHEMES[scheme]
    engine.add_static_config(everywhere, every, activations, weights)
    if request["weights"] != _PLAIN:  # what has no weights has no other algorithm, and would be left in float
        for name in _WITH_WEIGHTS:
            kind = qtyping.TFLOperationName[name]
            engine.add_static_config(everywhere, kind, activations, weights, algorithm_key=algorithm)
    if request["float_ends"]:
        for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            engine.update_quantization_recipe(everywhere, end, None, AlgorithmName.NO_QUANTIZE)


def _ranges(content: bytes, recipe: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return the least and largest value of every tensor over all samples: its own average of them cuts ranges off."""
    from litert_quantizer import calibrator, recipe_manager
    from litert_quantizer.utils import qsv_utils

    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(recipe)
    with np.load(request["samples"]) as stored:
        arrays = {name: stored[f"x{place}"] for place, name in enumerate(request["inputs"])}
    runs = [{name: array[run] for name, array in arrays.items()} for run in range(len(next(iter(arrays.values()))))]
    measuring = calibrator.Calibrator(content, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    measuring.calibrate({request["signature"]: runs}, rules)
    found: dict[str, Any] = measuring.get_model_qsvs()
    return found


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_answer, requests, answers, lifeline)
