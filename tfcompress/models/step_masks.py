"""The steps of sequences that a model does not look at: ``Embedding(mask_zero=True)``, ``Masking``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfcompress.models.keras_private import all_layers, mask_of
from tfcompress.models.kinds import graph_of, keras_of
from tfcompress.models.signature import padding_of
from tfcompress.models.specs import Signature, TensorSpec, random_inputs
from tfcompress.models.wiring import infer_outputs, wire
from tfcompress.tasks.traits import StepMask

SAMPLES = 32
"""Sequences that are tried: so many that of two inputs each is the longer one in some of them."""


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
    batch = wire(graph).batch or SAMPLES
    inputs = _padded(signature, batch * -(-SAMPLES // batch), 0.0 if value is None else value)
    skipped: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(next(iter(inputs.values()))), batch):
        part = {name: tf.constant(x[start : start + batch]) for name, x in inputs.items()}
        for name, tensor in infer_outputs(graph, part).items():
            mask = mask_of(tensor)
            if mask is not None:
                skipped.setdefault(name, []).append(~np.asarray(mask))
    known = [StepMask(spec.name, _padding(spec, value)) for spec in signature.inputs if spec.shape]
    return {name: _telling(known, inputs, np.concatenate(parts)) for name, parts in skipped.items()}


def _telling(known: Iterable[StepMask], inputs: Mapping[str, np.ndarray], skipped: np.ndarray) -> StepMask:
    """Return which of *known* masks the steps that were, bool, (samples, steps); an unknown one where none does."""
    for each in known:
        masked = each.masked(inputs)
        if masked is not None and np.array_equal(masked, skipped):
            return each
    return StepMask(None)


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
