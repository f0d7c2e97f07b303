"""Ranges before the first step, and their end: calibrating on samples, and freezing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfcompress.errors import ModelError
from tfcompress.models.keras_private import all_layers
from tfcompress.models.transformed_layer import TransformedLayer
from tfcompress.models.wiring import infer_outputs
from tfcompress.quantization.batch_norm import FreezableBatchNormalization
from tfcompress.quantization.calibrators import BINS, OCTAVES, Calibrator, Histogram
from tfcompress.quantization.fake_quant import LEAST_SPAN, FakeQuant
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant

BYTES_AT_A_TIME = 1 << 20
"""Input that calibration runs at a time: what a large network makes of it still fits into memory."""
LEAST_AT_A_TIME, MOST_AT_A_TIME = 32, 512


def calibrate_(
    model: Any,
    inputs: Mapping[str, np.ndarray],
    batch_size: int | None = None,
    calibrator: Calibrator | None = None,
    *,
    round_weights: bool = True,
) -> None:
    """Set every range by the values that its tensors take on samples, unrounded.

    Without it the first training batch sets the ranges, and a model that is fine-tuned for a few steps is judged by
    them.

    Args:
        model: what :func:`tfcompress.quantization.transform.quantize` made.
        inputs: for each input by name an array of shape (samples, *shape), preprocessed as in training.
        batch_size: samples at a time; None: as many as fit into 1 MiB, from 32 to 512 of them.
        calibrator: chooses each range; None: from the least to the largest value. Where it counts values, the samples
            are run a second time: memory holds one batch and the counts.
        round_weights: the tensors are those of the rounded weights; False: of weights as they are, where it is still to
            be made good what rounding them does.

    Raises:
        ModelError: a tensor that holds NaN or Inf on the samples.
    """
    with contextlib.nullcontext() if round_weights else _unrounded(model):
        _calibrate_(model, inputs, batch_size or fitting_batch(inputs), calibrator)


def fitting_batch(inputs: Mapping[str, np.ndarray]) -> int:
    """Return how many samples to run at a time.

    The layers run one by one from Python: for small samples that takes longer than what they compute.

    Args:
        inputs: an array of shape (samples, *shape) each.
    """
    per_sample = max(1, sum(values[:1].nbytes for values in inputs.values()))
    return min(MOST_AT_A_TIME, max(LEAST_AT_A_TIME, BYTES_AT_A_TIME // per_sample))


def _calibrate_(model: Any, inputs: Mapping[str, np.ndarray], batch_size: int, calibrator: Calibrator | None) -> None:
    layers = [layer for layer in all_layers(model) if isinstance(layer, FakeQuant) and layer.fixed is None]
    for layer in layers:
        for variable in (layer.low, layer.high, layer.seen):
            variable.assign(0.0)
    _observe_(model, layers, inputs, batch_size)
    _check_finite(layers)
    if calibrator is None or not calibrator.counts:
        return
    counters = {layer: Counter(float(layer.low), float(layer.high)) for layer in layers if float(layer.seen)}
    for layer, counter in counters.items():
        layer.counter = counter
    try:
        _observe_(model, layers, inputs, batch_size)
    finally:
        for layer in layers:
            layer.counter = None
    for layer, counter in counters.items():
        low, high = calibrator.range(counter.histogram())
        layer.low.assign(low)
        layer.high.assign(max(high, low + LEAST_SPAN))


def _check_finite(layers: Sequence[FakeQuant]) -> None:
    """Refuse ranges that no grid has."""
    largest = float(np.finfo(np.float32).max)
    bad = [layer.name for layer in layers if not float(layer.high) - float(layer.low) <= largest]
    if bad:
        msg = (
            f"calibration must see finite numbers that float32 can tell apart, got others at {bad[0]} ({len(bad)} of "
            f"{len(layers)} ranges); mend what the layer before it computes, or drop the samples"
        )
        raise ModelError(msg)


class Counter:
    """Counts the values of a tensor whose range is known, batch by batch."""

    def __init__(self, low: float, high: float) -> None:
        """Begin with nothing.

        Args:
            low: least value that will come, at most zero.
            high: largest, at least zero.
        """
        self._low, self._high = low, high
        self._signs = [(sign, bound) for sign, bound in ((-1.0, -low), (1.0, high)) if bound > 0]
        self._counts = {sign: tf.Variable(tf.zeros([BINS], tf.int64), trainable=False) for sign, _ in self._signs}
        self._total = tf.Variable(tf.zeros([], tf.int64), trainable=False)

    def add_(self, x: Any) -> None:
        """Count a batch: a float32 tensor of any shape."""
        self._total.assign_add(tf.size(x, tf.int64))
        for sign, bound in self._signs:
            top = math.log2(bound)
            found = tf.boolean_mask(x, sign * x > 0.0)
            octaves = tf.math.log(sign * found) / math.log(2.0)
            counted = tf.histogram_fixed_width(octaves, [top - OCTAVES, top], BINS, tf.int64)
            self._counts[sign].assign_add(counted)

    def histogram(self) -> Histogram:
        """Return what was counted."""
        none = np.zeros(BINS, np.int64)
        negative, positive = (self._counts[s].numpy() if s in self._counts else none for s in (-1.0, 1.0))
        return Histogram(self._low, self._high, negative, positive, int(self._total.numpy()))


def _observe_(model: Any, layers: Sequence[FakeQuant], inputs: Mapping[str, np.ndarray], batch_size: int) -> None:
    """Run the model on all samples, its layers measuring and rounding nothing."""
    for layer in layers:
        layer.observing = True
    try:
        count = len(next(iter(inputs.values())))
        for start in range(0, count, batch_size):
            infer_outputs(
                model, {name: tf.constant(values[start : start + batch_size]) for name, values in inputs.items()}
            )
    finally:
        for layer in layers:
            layer.observing = False


@contextlib.contextmanager
def _unrounded(model: Any) -> Iterator[None]:
    """Leave a model's weights as they are for a while."""
    wrappers = [layer for layer in all_layers(model) if isinstance(layer, TransformedLayer)]
    parts = [part for wrapper in wrappers for chain in wrapper.transforms.values() for part in chain]
    rounding = [part for part in parts if isinstance(part, WeightFakeQuant)]
    for part in rounding:
        part.observing = True
    try:
        yield
    finally:
        for part in rounding:
            part.observing = False


def freeze_ranges_(model: Any) -> None:
    """Let every range stand still from here on."""
    for layer in all_layers(model):
        if isinstance(layer, FakeQuant) and layer.fixed is None:
            layer.frozen.assign(1.0)


def freeze_statistics_(model: Any) -> None:
    """Let every BatchNormalization train with its moving statistics from here on, which stand still."""
    for layer in all_layers(model):
        if isinstance(layer, FreezableBatchNormalization):
            layer.frozen.assign(1.0)
