"""The steps of sequences that a model does not look at: ``Embedding(mask_zero=True)``, ``Masking``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcompress.models.keras_private import all_layers, mask_of
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.signature import padding_of
from tfcompress.models.specs import Signature, TensorSpec, random_inputs
from tfcompress.models.wiring import infer_outputs, wire
from tfcompress.tasks.traits import StepMask

SAMPLES = 4
"""Sequences that are tried."""


def step_masks(model: Any, signature: Signature) -> dict[str, StepMask]:
    """Return how a model tells the steps that it masks, for each output that comes with a mask, by name.

    The model runs on a few sequences, each input padded from steps of its own: an output's mask is that of the input
    whose padding it shows, or it is not known what tells it.

    Args:
        model: of either Keras, or the path of a SavedModel, whose outputs have no masks.
        signature: the model's.
    """
    import tensorflow as tf

    graph = graph_of(model)
    if keras_of(graph) == "savedmodel" or not _has_masks(graph):
        return {}
    value = padding_of(graph)
    inputs = _padded(signature, wire(graph).batch or SAMPLES, 0.0 if value is None else value)
    known = [StepMask(spec.name, _padding(spec, value)) for spec in signature.inputs if spec.shape]
    found = {}
    for name, tensor in infer_outputs(graph, {key: tf.constant(x) for key, x in inputs.items()}).items():
        mask = mask_of(tensor)
        if mask is not None:
            skipped = ~np.asarray(mask)
            same = (each for each in known if np.array_equal(each.masked(inputs), skipped))
            found[name] = next(same, StepMask(None))
    return found


def _has_masks(graph: Any) -> bool:
    layers = all_layers(graph)
    return any(type(layer).__name__ == "Masking" or getattr(layer, "mask_zero", False) for layer in layers)


def _padding(spec: TensorSpec, value: float | None) -> float:
    """Return what padding of an input holds: tokens 0, signals what the model's ``Masking`` says."""
    return value if value is not None and spec.dtype.startswith(("float", "bfloat")) else 0.0


def _padded(signature: Signature, count: int, value: float) -> Mapping[str, np.ndarray]:
    """Return *count* samples by input name, whose last steps are padding, of every input other ones.

    Tokens are 1 elsewhere, which every table has.
    """
    inputs = random_inputs(signature, count, 0)
    generator = np.random.default_rng(0)
    for spec in signature.inputs:
        x = inputs[spec.name]
        if x.dtype.kind in "iub":
            x[...] = 1
        if x.ndim > 1:
            lengths = generator.integers(1, x.shape[1] + 1, count)
            x[np.arange(x.shape[1]) >= lengths[:, None]] = _padding(spec, value)
    return inputs
