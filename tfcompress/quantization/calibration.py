"""Ranges before the first step, and their end: calibrating on samples, and freezing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcompress.models.keras_private import all_layers
from tfcompress.models.wiring import infer
from tfcompress.quantization.batch_norm import FreezableBatchNormalization
from tfcompress.quantization.fake_quant import FakeQuant


def calibrate_(model: Any, inputs: Mapping[str, np.ndarray], batch_size: int = 32) -> None:
    """Set every range to the least and largest value that its tensors take on samples, unrounded.

    Without it the first training batch sets the ranges, and a model that is fine-tuned for a few steps is judged by
    them.

    Args:
        model: what :func:`tfcompress.quantization.transform.quantize` made.
        inputs: for each input by name an array of shape (samples, *shape), preprocessed as in training.
        batch_size: samples at a time.
    """
    import tensorflow as tf

    layers = [layer for layer in all_layers(model) if isinstance(layer, FakeQuant) and layer.fixed is None]
    for layer in layers:
        for variable in (layer.low, layer.high, layer.seen):
            variable.assign(0.0)
        layer.observing = True
    try:
        count = len(next(iter(inputs.values())))
        for start in range(0, count, batch_size):
            infer(model, {name: tf.constant(values[start : start + batch_size]) for name, values in inputs.items()})
    finally:
        for layer in layers:
            layer.observing = False


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
