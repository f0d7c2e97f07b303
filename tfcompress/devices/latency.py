"""How the latencies of two Keras models compare on this machine: both exported, and timed in turns by edge_runner."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tfcompress.devices.local import Settings, run
from tfcompress.errors import ContractError
from tfcompress.progress import SILENT, Progress
from tfcompress.recipe import Export
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.export import Samples, export


def comparison(
    settings: Export = Export(),  # noqa: B008 - a frozen value
    *,
    data: Samples | None = None,
    timing: Settings = Settings(runs=50, seconds=2.0),  # noqa: B008 - a frozen value
    progress: Progress = SILENT,
) -> Callable[[Any, Any], float]:
    """Return a function that compares two Keras models, as ``tfcompress.techniques.channels`` takes it.

    Args:
        settings: how both are exported before they are timed.
        data: samples to calibrate on, where *settings* need them.
        timing: how they are timed.
        progress: where progress goes.

    Returns:
        A function from an original and a smaller model to the ratio of their median latencies (smaller / original). The
        original's file is kept from one call to the next. It raises what :func:`tfcompress.tflite.export.export` and
        :func:`tfcompress.devices.local.run` raise, and ContractError for a model that edge_runner cannot run.
    """
    known: dict[int, bytes] = {}

    def ratio(original: Any, smaller: Any) -> float:
        with ConverterProcess() as converter, tempfile.TemporaryDirectory(prefix="tfcompress-") as folder:
            if id(original) not in known:
                known[id(original)] = export(original, settings, data=data, converter=converter).content
            files = [Path(folder) / "original.tflite", Path(folder) / "smaller.tflite"]
            files[0].write_bytes(known[id(original)])
            files[1].write_bytes(export(smaller, settings, data=data, converter=converter).content)
            before, after = (_median_ns(model) for model in run(files, settings=timing, progress=progress)["models"])
        return after / before

    return ratio


def _median_ns(model: dict[str, Any]) -> float:
    if model["status"] != "ok":
        msg = f"edge_runner cannot time {model['file']}: {model['reason']}"
        raise ContractError(msg)
    return float(median(model["timing"]["samples_ns"]))
