"""The time of inputs and outputs: what stands before and after ``invoke()`` in a program that uses the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_runner import timing
from edge_runner.feeding import Feed, as_stored, dequantize
from edge_runner.interpreter import Model
from edge_runner.made_up import made_up
from edge_runner.summary import summarize

_KEPT = ("median_ms", "p90_ms")


def io_times(
    model: Model, feed: Feed | None, seed: int, *, runs: int, seconds: float, alive: Callable[[], None]
) -> dict[str, Any]:
    """Time preprocessing (real values quantized and set as inputs) and postprocessing (outputs got and dequantized).

    Decoding and resizing images is the user's own and not part of it.

    Args:
        model: opened, with inputs set.
        feed: samples of the data; None: real values made up from *seed*.
        seed: see *feed*.
        runs: at least so many times each.
        seconds: and for so long.
        alive: called about once a second.

    Returns:
        ``preprocess`` and ``postprocess``: runs, median and 90th percentile.
    """
    inputs, outputs = model.inputs, model.outputs
    real = {} if feed else {tensor.name: dequantize(made_up(tensor, seed), tensor) for tensor in inputs}

    def before() -> None:
        for tensor in inputs:
            model.put(tensor, feed.batch(tensor, 0) if feed else as_stored(real[tensor.name], tensor))

    def after() -> None:
        for tensor in outputs:
            dequantize(model.get(tensor), tensor)

    return {"preprocess": _timed(before, runs, seconds, alive), "postprocess": _timed(after, runs, seconds, alive)}


def _timed(call: Callable[[], None], runs: int, seconds: float, alive: Callable[[], None]) -> dict[str, Any]:
    found = timing.timed(call, runs, seconds, alive)
    summary = summarize(found.samples)
    return {"runs": found.runs, **{name: summary[name] for name in _KEPT}}
