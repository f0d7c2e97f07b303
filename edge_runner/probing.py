"""Child's side of looking into a model: one node alone, and the outputs of other kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runner import cutting, graph, timing
from edge_runner.feeding import dequantize
from edge_runner.interpreter import Model, Tensor
from edge_runner.made_up import made_up
from edge_runner.ndarray import Array
from edge_runner.runtimes import SMALLEST_MODEL
from edge_runner.summary import median, median_interval

WHOLE, NOTHING = -1, -2
"""In place of a node's index: the whole model, and a model that computes nothing."""
SEEDS = range(1, 4)


class Nodes:
    """Times nodes of one file, each cut out of it.

    Args:
        path: of the file.
        how: arguments of :class:`~edge_runner.interpreter.Model` after the source.
        seed: of the inputs.
    """

    def __init__(self, path: str, how: dict[str, Any], seed: int) -> None:
        self.content = Path(path).read_bytes()
        self.graph = graph.read_graph(self.content)
        self.how = how
        self.seed = seed
        self.empty: Callable[[], object] | None = None

    def time(self, index: int, seconds: float, alive: Callable[[], None]) -> dict[str, Any]:
        """Time the whole, nothing, or what node *index* takes longer than nothing.

        Returns:
            ``median_ns`` of a call, and the ends of its 99 % interval, ``low_ns`` and ``high_ns``.
        """
        if index == NOTHING:
            call = self._opened(SMALLEST_MODEL)
        else:
            call = self._opened(self.content if index == WHOLE else cutting.cut(self.content, self.graph, index))
        timing.timed(call, 3, seconds / 5, alive)
        if index in (WHOLE, NOTHING):
            values: Sequence[float] = timing.timed(call, 5, seconds, alive).samples
        else:
            self.empty = self.empty or self._opened(SMALLEST_MODEL)
            timing.timed(self.empty, 3, 0, alive)
            values = timing.above(call, self.empty, seconds, alive)
        low, high = median_interval(values)
        return {"median_ns": median(values), "low_ns": low, "high_ns": high}

    def _opened(self, source: bytes) -> Callable[[], object]:
        model = Model(source, **self.how)
        model.allocate()
        for tensor in model.inputs:
            model.put(tensor, made_up(tensor, self.seed))
        invoke: Callable[[], object] = model.invoke
        return invoke


def outputs(model: Model, runs: Sequence[dict[str, Array]]) -> list[list[Array]]:
    """Return by run the outputs as stored, for inputs by name."""
    found = []
    for values in runs:
        model.reset()
        for tensor in model.inputs:
            model.put(tensor, values[tensor.name])
        model.invoke()
        found.append([model.get(tensor) for tensor in model.outputs])
    return found


def kernel_differences(
    path: str, how: dict[str, Any], other: str, shapes: dict[str, list[int]]
) -> list[dict[str, Any]]:
    """Compare what the model says with what it says under other kernels, on the same three made-up inputs.

    Args:
        path: of the file.
        how: arguments of :class:`~edge_runner.interpreter.Model` after the source.
        other: the kernels to compare with.
        shapes: of inputs by name, where the file leaves them open.

    Returns:
        An entry an output: how many values there are, how many differ, and by how much at most.
    """
    model, against = Model(path, **how), Model(path, **{**how, "kernels": other})
    for each in (model, against):
        each.allocate()
        each.reshape(shapes)
    runs = [{tensor.name: made_up(tensor, seed) for tensor in model.inputs} for seed in SEEDS]
    found, compared = outputs(model, runs), outputs(against, runs)
    return [
        kernel_difference(tensor, [run[place] for run in found], [run[place] for run in compared], other)
        for place, tensor in enumerate(model.outputs)
    ]


def kernel_difference(tensor: Tensor, first: Sequence[Array], second: Sequence[Array], other: str) -> dict[str, Any]:
    """Return how many values of an output differ between the runs of two kinds of kernels, and by how much at most.

    ``largest`` is in the unit of the output, ``largest_steps`` in steps of its quantization.
    """
    one, two = np.stack(first), np.stack(second)
    same = (one == two) | ((one != one) & (two != two))
    with np.errstate(invalid="ignore"):
        apart = np.abs(dequantize(one, tensor).astype(np.float64) - dequantize(two, tensor).astype(np.float64))
    largest = float(np.max(np.where(same, 0.0, apart), initial=0.0))
    steps = int(np.max(np.abs(one.astype(np.int64) - two.astype(np.int64)), initial=0)) if tensor.scale else None
    return {
        "output": tensor.name,
        "compared_with": other,
        "values": int(one.size),
        "different": int(np.sum(~same)),
        "largest": largest if np.isfinite(largest) else None,
        "largest_steps": steps,
        "reason": None if np.isfinite(largest) else "one of them is not a number or infinite where the other is not",
    }
