"""How far a model's outputs move without each of its blocks, the model traced once for all of them.

Every block's exit ``y`` gives way to ``scale * x + shift`` of its entry ``x``, by channel, which comes nearest to it on
samples (least squares): what a normalization or the kernels behind can make of the entry at the least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfcompress.blocks.finding import Block
from tfcompress.models.passage import pass_through
from tfcompress.models.wiring import infer_outputs, wire

InputArrays = Mapping[str, np.ndarray]
"""An array of shape (samples, ...) for each input by name."""


def distance(reference: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> float:
    """Return how far outputs lie from others: their squared difference over the variance, the mean over all outputs.

    Args:
        reference: one array of shape (samples, ...) for each output.
        outputs: the same of another model.

    Returns:
        0 where they are equal, about 1 where one always gave the mean; infinite where a number is not finite.
    """
    found = []
    for wanted, got in zip(reference, outputs, strict=True):
        first, second = np.asarray(wanted, np.float64), np.asarray(got, np.float64)
        difference = float(np.mean(np.square(second - first)))
        spread = float(np.mean(np.square(first - first.mean(axis=0))))
        found.append(difference / spread if spread > 0.0 else difference)
    total = float(np.mean(found))
    return total if np.isfinite(total) else float("inf")


def outputs_of(model: Any, inputs: InputArrays, *, batch_size: int = 64) -> list[np.ndarray]:
    """Return a model's outputs on samples, in its order; nothing is traced, which takes longer than a few batches."""
    steps = [list(infer_outputs(model, part).values()) for part in batches(inputs, batch_size)]
    return [np.concatenate([np.asarray(step) for step in found]) for found in zip(*steps, strict=True)]


def gated_distances(model: Any, blocks: Sequence[Block], inputs: InputArrays, *, batch_size: int = 64) -> list[float]:
    """Return how far the outputs move without each block.

    Args:
        model: the blocks' model; it runs for inference.
        blocks: what to leave out, one at a time.
        inputs: samples.
        batch_size: samples a step.
    """
    fits = _fits(model, blocks, inputs, batch_size)
    place = {id(block.exit): number for number, block in enumerate(blocks)}

    def run(tensors: dict[str, Any], gates: Any) -> list[Any]:
        def instead(symbol: Any, value: Any, values: Mapping[int, Any]) -> Any:
            number = place.get(id(symbol))
            if number is None:
                return value
            scale, shift = (tf.cast(part, value.dtype) for part in fits[number])
            stand_in = scale * values[id(blocks[number].entry)] + shift
            return value + tf.cast(gates[number], value.dtype) * (stand_in - value)

        return pass_through(
            model, [tensors[spec.name] for spec in wire(model).inputs], lambda *_: None, instead=instead
        )

    function = tf.function(run, reduce_retracing=True, autograph=False)

    def outputs(gates: np.ndarray) -> list[np.ndarray]:
        steps = [function(part, tf.constant(gates)) for part in batches(inputs, batch_size)]
        return [np.concatenate([np.asarray(step) for step in found]) for found in zip(*steps, strict=True)]

    reference = outputs(np.zeros(len(blocks), np.float32))
    return [distance(reference, outputs(row)) for row in np.eye(len(blocks), dtype=np.float32)]


def batches(inputs: InputArrays, size: int) -> Iterator[dict[str, Any]]:
    """Give samples in batches, as tensors."""
    for start in range(0, len(next(iter(inputs.values()))), size):
        yield {name: tf.constant(values[start : start + size]) for name, values in inputs.items()}


def _fits(
    model: Any, blocks: Sequence[Block], inputs: InputArrays, batch_size: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return scale and shift by channel of each block's entry, each of shape (size of the last axis,)."""
    place = {id(block.exit): number for number, block in enumerate(blocks)}

    def run(tensors: dict[str, Any]) -> dict[int, Any]:
        found: dict[int, list[Any]] = {}

        def instead(symbol: Any, value: Any, values: Mapping[int, Any]) -> Any:
            number = place.get(id(symbol))
            if number is not None:
                pair = (tf.cast(each, tf.float32) for each in (values[id(blocks[number].entry)], value))
                found.setdefault(number, []).append(_moments(*pair))
            return value

        pass_through(model, [tensors[spec.name] for spec in wire(model).inputs], lambda *_: None, instead=instead)
        return {number: tf.add_n(parts) for number, parts in found.items()}

    function = tf.function(run, reduce_retracing=True, autograph=False)
    totals: dict[int, np.ndarray] = {}
    for part in batches(inputs, batch_size):
        for number, sums in function(part).items():
            totals[number] = totals.get(number, 0.0) + sums.numpy().astype(np.float64)
    return [_fit(totals[number]) for number in range(len(blocks))]


def _moments(entry: Any, exit_: Any) -> Any:
    """Return sums over all but the last axis: 1, x, y, x², xy; shape (5, channels)."""
    x, y = (tf.reshape(each, [-1, each.shape[-1]]) for each in (entry, exit_))
    return tf.stack([tf.reduce_sum(each, 0) for each in (tf.ones_like(x), x, y, x * x, x * y)])


def _fit(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count, x, y, xx, xy = sums
    variance, covariance = xx - x * x / count, xy - x * y / count
    known = variance > 1e-6 * np.maximum(xx, 1e-12)
    scale = np.where(known, covariance / np.where(known, variance, 1.0), 1.0)
    return scale.astype(np.float32), ((y - scale * x) / count).astype(np.float32)
