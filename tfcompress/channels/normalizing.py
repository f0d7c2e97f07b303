"""What normalizations do to channels: follow them, count them, or mix them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfcompress.channels.claims import Count
from tfcompress.channels.ledger import AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step, pinned_whole


def _axes(axis: Any, rank: int) -> list[int]:
    return [a % rank for a in ([axis] if isinstance(axis, int) else axis)]


def _scaled_and_shifted(step: Step, channels: AxisChannels) -> None:
    for weight in (getattr(step.layer, "gamma", None), getattr(step.layer, "beta", None)):
        if weight is not None:
            step.claim(weight, 0, channels.atoms, "makes")


def batch(step: Step) -> list[Marks]:
    """Every channel by itself; a dead one, its scale and shift zero, gives zero."""
    layer, marks = step.layer, step.given[0]
    if not isinstance(layer.axis, int):
        return pinned_whole(step)
    axis = layer.axis % len(marks)
    step.pin_but(marks, axis)
    channels = marks[axis]
    if channels is None:
        return [marks]
    _scaled_and_shifted(step, channels)
    step.claim(layer.moving_mean, 0, channels.atoms, "makes")
    step.claim(layer.moving_variance, 0, channels.atoms, "follows")
    dead = (
        np.zeros(len(channels))
        if getattr(layer, "gamma", None) is not None
        else np.where(channels.dead == 0, 0.0, np.nan)
    )
    return [(*marks[:axis], channels.becoming(dead), *marks[axis + 1 :])]


def layer_norm(step: Step) -> list[Marks]:
    """Mean and variance are taken over the channels: without dead ones both would be others."""
    return [_mixing(step, _axes(step.layer.axis, len(step.given[0])))]


def _mixing(step: Step, axes: list[int]) -> Marks:
    marks = step.given[0]
    for axis in axes:
        step.pin(marks[axis], f"layer {step.named} takes statistics over its channels")
    return tuple(None if channels is None else channels.becoming(np.nan) for channels in marks)


def group(step: Step) -> list[Marks]:
    """Statistics are taken over the channels of a group: whole groups go."""
    layer, marks = step.layer, step.given[0]
    axis = layer.axis % len(marks)
    step.pin_but(marks, axis)
    channels = marks[axis]
    if channels is None:
        return [marks]
    groups = len(channels) if layer.groups == -1 else layer.groups
    blocks = channels.atoms.reshape(groups, -1)
    if groups == 1:
        return [_mixing(step, [axis])]
    step.trace.ledger.unite(np.repeat(blocks[:, :1], blocks.shape[1], axis=1), blocks)
    if layer.groups != -1:
        step.configure(groups=blocks[:, 0])
    _scaled_and_shifted(step, channels)
    dead = (
        np.zeros(len(channels))
        if getattr(layer, "gamma", None) is not None
        else np.where(channels.dead == 0, 0.0, np.nan)
    )
    return [(*marks[:axis], channels.becoming(dead), *marks[axis + 1 :])]


def root_mean_square(step: Step) -> list[Marks]:
    """Zeros among C channels of which c are kept divide the mean square by C / c: scale and epsilon make up for it.

    ``x / sqrt(m c / C + e) = sqrt(C / c) x / sqrt(m + e C / c)``, *m* the mean square of the kept channels (Zhang &
    Sennrich 2019, equation 4, with the epsilon of every implementation).
    """
    layer, marks = step.layer, step.given[0]
    axes = _axes(layer.axis, len(marks))
    channels = marks[axes[0]]
    if channels is None or len(axes) > 1 or axes[0] != len(marks) - 1:
        return [_mixing(step, axes)]
    atoms, total = channels.atoms, len(channels)
    step.read(layer.scale, 0, channels)

    def edit(config: dict[str, Any], count: Count) -> None:
        config["epsilon"] = config["epsilon"] * total / count(atoms)

    step.reconfigure(edit)
    step.adjust(layer.scale, lambda values, count: values * math.sqrt(total / count(atoms)))
    return [tuple(None if c is None else c.becoming(np.where(c.dead == 0, 0.0, np.nan)) for c in marks)]


def layer_scale(step: Step) -> list[Marks]:
    """ConvNeXt's factor for every channel (Touvron et al. 2021, arXiv:2103.17239, equation 4)."""
    marks, gamma = step.given[0], step.layer.gamma
    channels = marks[-1]
    step.claim(gamma, 0, None if channels is None else channels.atoms, "makes")
    if channels is None:
        return [marks]
    step.configure(projection_dim=channels.atoms)
    return [(*marks[:-1], channels.becoming(0.0))]


def unit(step: Step) -> list[Marks]:
    """Divided by its length: zeros add nothing to that."""
    marks = step.given[0]
    for axis in _axes(step.layer.axis, len(marks)):
        channels = marks[axis]
        if channels is not None and np.any(channels.dead != 0):
            step.trace.inexact.append((channels.atoms, f"read by {step.named}"))
    return [tuple(None if c is None else c.becoming(np.where(c.dead == 0, 0.0, np.nan)) for c in marks)]


RULES: dict[str, Rule] = {
    "BatchNormalization": batch,
    "LayerNormalization": layer_norm,
    "GroupNormalization": group,
    "LayerScale": layer_scale,
    "RMSNormalization": root_mean_square,
    "UnitNormalization": unit,
}
"""Class of a layer -> its rule."""
