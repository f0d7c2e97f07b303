"""Whether the steps of a file's inputs and outputs are fine enough for what is in them.

A scale is chosen by the largest value. Values far from zero that differ by little, or features of very different scale
under one scale, are left with a handful of steps, while the ratio of signal to noise says that all is well: to it, the
distance from zero is signal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfcompress.tflite.agreement import output_step
from tfcompress.tflite.flatbuffer import FlatModel

LEAST_STEPS = 4.0
"""Steps in one standard deviation, at least: below, rounding alone (a step / sqrt(12)) is 7 % of it or more."""

FINER = (
    "quantize 'int16x8', keep the output in float (quantize 'dynamic' or 'float16'), or train with targets scaled "
    "to mean 0"
)
"""What to do about an output with too few steps."""

SHOWN = 3
"""Features named in a sentence, at most."""


@dataclass(frozen=True)
class Coarse:
    """A channel with few steps.

    Attributes:
        channel: its number along the last axis.
        mean: of its values.
        spread: their standard deviation.
        steps: quantization steps in one standard deviation.
        distinct: different values that are left of them on the grid.
    """

    channel: int
    mean: float
    spread: float
    steps: float
    distinct: int


def coarse_channels(values: np.ndarray, step: float) -> list[Coarse]:
    """Return the channels whose spread has fewer than :data:`LEAST_STEPS` steps; constant ones have nothing to lose.

    Args:
        values: real values, shape (samples, ..., channels), or (samples,).
        step: quantization step of all of them.
    """
    rows = values.astype(np.float64).reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    spreads, means = rows.std(axis=0), rows.mean(axis=0)
    varies = spreads > 1e-6 * np.maximum(np.abs(means), np.finfo(np.float32).tiny)
    few = np.flatnonzero(varies & (spreads < LEAST_STEPS * step))
    return [
        Coarse(
            int(place),
            float(means[place]),
            float(spreads[place]),
            float(spreads[place] / step),
            int(np.unique(np.round(rows[:, place] / step)).size),
        )
        for place in few
    ]


def input_step(model: FlatModel, name: str) -> float | None:
    """Return the quantization step of an input, looking through a first QUANTIZE; None: it is not quantized."""
    graph = model.subgraphs[0]
    tensor = graph.tensors[next(each.index for each in model.inputs if each.name == name)]
    if len(tensor.scales) == 1:
        return tensor.scales[0]
    for op in graph.ops:
        if op.name == "QUANTIZE" and op.inputs[:1] == (tensor.index,):
            scales = graph.tensors[op.outputs[0]].scales
            return scales[0] if len(scales) == 1 else None
    return None


def resolution_notes(
    model: FlatModel, inputs: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """Yield a sentence for each input and output that has too few steps.

    Args:
        model: the file.
        inputs: samples by input name, shape (samples, *shape), real values.
        references: the Keras model's outputs for them by name, shape (samples, *shape).
    """
    for name, values in inputs.items():
        step = input_step(model, name) if values.dtype.kind == "f" else None
        found = coarse_channels(values, step) if step else []
        if found and step:
            yield (
                f"input {name!r} has one step of {step:.3g} for all its features, which is coarse for "
                f"{_listed(found)}: normalize the samples before the model, or keep the input in float "
                "(quantize 'dynamic' or 'float16')"
            )
    for name, values in references.items():
        step, fixed = output_step(model, name)
        found = coarse_channels(values, step) if step and not fixed and values.dtype.kind == "f" else []
        if found and step:
            yield (f"output {name!r} has a step of {step:.3g}, which is coarse for {_listed(found)}: {FINER}")


def _listed(found: list[Coarse]) -> str:
    named = [
        f"value {each.channel} (it spreads by {each.spread:.3g} around {each.mean:.3g}, {each.steps:.2g} steps: "
        f"{each.distinct} different values are left)"
        for each in sorted(found, key=lambda each: each.steps)[:SHOWN]
    ]
    return ", ".join(named) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
