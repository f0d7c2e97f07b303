"""BatchNormalization's averages after channels are gone: taken anew from samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfcompress.models.keras_private import all_layers, origin
from tfcompress.models.signature import signature_of


def renew_(model: Any, inputs: Mapping[str, np.ndarray], *, batch_size: int = 64, seed: int = 0) -> int:
    """Replace the moving averages of every trainable BatchNormalization by means over batches of samples.

    The n-th batch counts with the momentum (n - 1) / n, which makes the moving average the mean over all batches.

    Args:
        model: a Keras 3 model; the averages are changed.
        inputs: an array of shape (samples, ...) for each input by name.
        batch_size: samples a batch.
        seed: shuffles the samples.

    Returns:
        The number of layers whose averages were taken anew.
    """
    layers = [
        layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        return 0
    names = [spec.name for spec in signature_of(model).inputs]
    size = len(inputs[names[0]])
    order = np.random.default_rng(seed).permutation(size)
    momenta = [layer.momentum for layer in layers]
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    try:
        for number in range(max(1, size // batch_size)):
            part = order[number * batch_size : (number + 1) * batch_size]
            for layer in layers:
                layer.momentum = number / (number + 1)
            fed = {name: keras.ops.convert_to_tensor(inputs[name][part]) for name in names}
            model(
                keras.tree.map_structure(lambda t, fed=fed: fed[origin(t).name], structure),
                training=True,
            )
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    return len(layers)
