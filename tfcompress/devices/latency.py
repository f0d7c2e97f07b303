"""How the latencies of two Keras models compare on this machine: their float32 files, timed in turns by edge_runner."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tfcompress.devices.local import Settings, run_locally
from tfcompress.errors import ContractError
from tfcompress.progress import SILENT, Progress
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.recurrent_forms import float_file

TIMING = Settings(runs=50, seconds=2.0)


def latency_ratio(original: Any, smaller: Any, *, timing: Settings = TIMING, progress: Progress = SILENT) -> float:
    """Return the ratio of the median latencies of two models, smaller / original.

    Args:
        original: a Keras 3 or tf_keras model.
        smaller: another one.
        timing: how they are timed.
        progress: where progress goes.

    Raises:
        ConversionError: a model that the converter refuses.
        ContractError: a file that edge_runner cannot run.
    """
    files = []
    with tempfile.TemporaryDirectory(prefix="tfcompress-") as name, ConverterProcess() as converter:
        folder = Path(name)
        for label, model in (("original", original), ("smaller", smaller)):
            files.append(folder / f"{label}.tflite")
            files[-1].write_bytes(float_file(model, folder / label, converter))
        timing = dataclasses.replace(timing, more=(*timing.more, *shapes_of(files[0].read_bytes())))
        before, after = (median_ns(found) for found in run_locally(files, settings=timing, progress=progress)["models"])
    return after / before


def shapes_of(content: bytes) -> list[str]:
    """Return how edge_runner is given the shapes of inputs that the file leaves open beyond the batch.

    Where any size is meant, it is 96, as everywhere in tfcompress where inputs are made up.
    """
    found = [tensor for tensor in read_model_file(content).inputs if -1 in tensor.shape[1:]]
    return [f"--shape={tensor.name}={','.join(map(str, tensor.example_shape))}" for tensor in found]


def median_ns(found: dict[str, Any]) -> float:
    """Return the median of the raw timings of a model in edge_runner's document, in nanoseconds.

    Raises:
        ContractError: the model was not timed; with edge_runner's reason.
    """
    if found["status"] != "ok":
        msg = f"edge_runner cannot time {found['file']}: {found['reason']}"
        raise ContractError(msg)
    return float(median(found["timing"]["samples_ns"]))
