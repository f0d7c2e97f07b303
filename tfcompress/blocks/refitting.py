"""Let the layers behind a block that is gone compute what they computed before, as far as they can.

A layer that read ``t`` reads ``u`` without the block. Its kernel is linear in what it reads, so with ``t`` taken for a
combination of u's channels, ``t = u (I + D) + s``, the kernel ``(I + D) W`` gives what W gave of the approximation; D
and s are the least squares solution on samples, as in :mod:`tfcompress.channels.compensation`, with a ridge that pulls
D to zero. Where the block changed nothing, nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfcompress.blocks.finding import holds_model, tensors_of
from tfcompress.blocks.gating import InputArrays, batches
from tfcompress.channels.activity import channel_rows
from tfcompress.channels.compensation import LARGEST, LINEAR, RIDGE
from tfcompress.models.graph import calls, leaf_layers
from tfcompress.models.passage import pass_through
from tfcompress.models.wiring import wire


@dataclass(frozen=True)
class CrossMoments:
    """Means over samples and positions of what a layer reads, before (t) and after (u).

    Attributes:
        after: of u u, shape (channels, channels).
        both: of u t, shape (channels, channels).
        mean_after: of u, shape (channels,).
        mean_before: of t, shape (channels,).
    """

    after: np.ndarray
    both: np.ndarray
    mean_after: np.ndarray
    mean_before: np.ndarray


def readers_behind(model: Any, exits: Sequence[Any]) -> tuple[str, ...]:
    """Return the paths of the first layers with linear kernels that read what depends on one of these tensors.

    Args:
        model: a functional or sequential Keras 3 model.
        exits: symbolic tensors of it, or of models inside it.
    """
    found: dict[str, None] = {}
    _mark(model, "", {id(tensor) for tensor in exits}, found)
    return tuple(found)


def _mark(model: Any, prefix: str, changed: set[int], found: dict[str, None]) -> list[bool]:
    """Write down the readers; give, for each output, whether it depends on what changed."""
    for call in calls(model):
        given = tensors_of(call)
        touched = [id(tensor) in changed for tensor in given]
        path = prefix + call.layer.name
        if holds_model(call.layer):
            inner = {id(t) for t, hit in zip(call.layer.inputs, touched, strict=True) if hit} | changed
            ends = _mark(call.layer, f"{path}/", inner, found)
        elif any(touched) and is_reader(call.layer):
            found[path] = None
            ends = [False] * len(call.outputs)
        else:
            ends = [any(touched)] * len(call.outputs)
        changed |= {id(tensor) for tensor, hit in zip(call.outputs, ends, strict=True) if hit}
    return [id(tensor) in changed for tensor in model.outputs]


def is_reader(layer: Any) -> bool:
    """Say whether a layer's kernel is linear in all channels that it reads."""
    return (
        type(layer).__name__ in LINEAR
        and type(layer).__module__.startswith("keras.")
        and getattr(layer, "groups", 1) == 1
    )


def cross_moments(
    before: Any, after: Any, inputs: InputArrays, paths: Sequence[str], *, batch_size: int = 64
) -> dict[str, CrossMoments]:
    """Run two models side by side and compare what goes into layers of the same path.

    Args:
        before: the model with the block.
        after: the one without it.
        inputs: samples.
        paths: of layers that :func:`is_reader`.
        batch_size: samples a step.
    """

    def run(tensors: dict[str, Any]) -> dict[str, tuple[Any, Any, Any, Any]]:
        first, second = (_seen(model, tensors, paths) for model in (before, after))
        found = {}
        for path, t in first.items():
            u = second.get(path)
            if u is not None and t.shape[-1] == u.shape[-1] <= LARGEST:
                count = tf.cast(tf.shape(u)[0], tf.float32)
                products = [tf.linalg.matmul(u, each, transpose_a=True) / count for each in (u, t)]
                found[path] = (*products, tf.reduce_mean(u, 0), tf.reduce_mean(t, 0))
        return found

    size = len(next(iter(inputs.values())))
    totals: dict[str, list[np.ndarray]] = {}
    for part in batches(inputs, batch_size):
        share = len(next(iter(part.values()))) / size
        for path, parts in run(part).items():
            known = totals.setdefault(path, [np.zeros(each.shape) for each in parts])
            for total, each in zip(known, parts, strict=True):
                total += share * each.numpy().astype(np.float64)
    return {path: CrossMoments(*parts) for path, parts in totals.items()}


def _seen(model: Any, tensors: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return what goes into layers, those of several calls one after another, shape (rows, channels)."""
    found: dict[str, list[Any]] = {}

    def seen(path: str, layer: Any, tensor: Any) -> None:
        if path in paths:
            found.setdefault(path, []).append(channel_rows(layer, tensor))

    pass_through(model, [tensors[spec.name] for spec in wire(model).inputs], seen)
    return {path: tf.concat(rows, 0) for path, rows in found.items()}


def refit_(model: Any, moments: Mapping[str, CrossMoments]) -> int:
    """Change kernels and biases of layers so that they give what they gave before.

    Args:
        model: the model without the block; changed.
        moments: path of a layer -> what it reads.

    Returns:
        The number of layers changed.
    """
    layers = dict(leaf_layers(model))
    for path, found in moments.items():
        layer = layers[path]
        biased = layer.bias is not None
        mixing = combined(found, centred=biased)
        kernel = layer.kernel.numpy().astype(np.float64)
        layer.kernel.assign(np.einsum("ij,...jo->...io", mixing, kernel))
        if biased:
            shift = found.mean_before - found.mean_after @ mixing
            summed = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)  # over the window
            layer.bias.assign(layer.bias.numpy() + shift @ summed)
    return len(moments)


def combined(moments: CrossMoments, *, centred: bool) -> np.ndarray:
    """Return I + D by which u gives t best.

    Args:
        moments: of u and t.
        centred: whether a constant may be added, too.

    Returns:
        Shape (channels, channels).
    """
    after, both = moments.after, moments.both
    if centred:
        after = after - np.outer(moments.mean_after, moments.mean_after)
        both = both - np.outer(moments.mean_after, moments.mean_before)
    size = len(after)
    level = RIDGE * float(np.trace(after)) / size
    if level <= 0.0:
        return np.eye(size)
    result: np.ndarray = np.eye(size) + np.linalg.solve(after + level * np.eye(size), both - after)
    return result
