"""What layers with kernels do to channels: convolutions, dense layers, embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.channels.elementwise import activated, dead_after
from tfcompress.channels.ledger import Atoms, AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step


def channel_axis(layer: Any, rank: int) -> int:
    """Return the axis of the channels in tensors of this rank, the batch axis counted."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1


def marked_axis(rank: int, axis: int, channels: AxisChannels | None) -> Marks:
    """Return marks with these channels on one axis, and nothing on the others."""
    marks: list[AxisChannels | None] = [None] * rank
    marks[axis] = channels
    return tuple(marks)


def _given(step: Step) -> AxisChannels | None:
    """Return the channels that come in; pin what is on other axes."""
    marks = step.given[0]
    axis = channel_axis(step.layer, len(marks))
    step.pin_but(marks, axis)
    return marks[axis]


def _made(step: Step, atoms: Atoms, bias: Any) -> list[Marks]:
    """Claim the bias, apply the activation, and give the outputs."""
    if bias is not None:
        step.claim(bias, 0, atoms, "makes")
    rank = len(step.outputs[0].shape)
    channels = activated(step, AxisChannels.zero(atoms), getattr(step.layer, "activation", None))
    return [marked_axis(rank, channel_axis(step.layer, rank), channels)]


def convolution(step: Step) -> list[Marks]:
    """Every filter reads all channels, or those of its group."""
    layer, channels = step.layer, _given(step)
    step.multiply(layer.kernel)
    if layer.groups > 1:
        return _made(step, _grouped(step, channels), layer.bias)
    atoms = step.produce(layer.kernel, -1)
    step.read(layer.kernel, -2, channels)
    step.configure(filters=atoms)
    return _made(step, atoms, layer.bias)


def _grouped(step: Step, channels: AxisChannels | None) -> Atoms:
    """Tie channels so that the groups stay equally wide: whole groups go, or the same channel of every group."""
    layer, groups = step.layer, step.layer.groups
    atoms = step.produce(layer.kernel, -1)
    made = atoms.reshape(groups, -1)
    if channels is not None and groups >= len(channels) // groups and not step.trace.ledger.is_pinned(channels.atoms):
        read = channels.atoms.reshape(groups, -1)
        for block in (read, made):
            step.trace.ledger.unite(np.repeat(read[:, :1], block.shape[1], axis=1), block)
        step.configure(filters=atoms, groups=read[:, 0])
        return atoms  # what a removed group read goes to channels that are removed too
    step.trace.ledger.unite(np.broadcast_to(made[:1], made.shape), made)
    if channels is not None:
        read = channels.atoms.reshape(groups, -1)
        step.trace.ledger.unite(np.broadcast_to(read[:1], read.shape), read)
        channels = AxisChannels(read[0], channels.dead.reshape(groups, -1).max(axis=0))
    step.read(layer.kernel, -2, channels)
    step.configure(filters=atoms)
    return atoms


def transposed(step: Step) -> list[Marks]:
    """A transposed convolution's kernel has its axes the other way round."""
    layer, channels = step.layer, _given(step)
    step.multiply(layer.kernel)
    atoms = step.produce(layer.kernel, -2)
    step.read(layer.kernel, -1, channels)
    step.configure(filters=atoms)
    return _made(step, atoms, layer.bias)


def depthwise(step: Step) -> list[Marks]:
    """Every channel gives its own ones, *depth_multiplier* of them, one after the other."""
    layer, channels = step.layer, _given(step)
    kernel = layer.kernel
    step.multiply(kernel)
    step.claim(kernel, -2, None if channels is None else channels.atoms, "makes")
    if channels is None:
        rank = len(step.outputs[0].shape)
        size = int(step.outputs[0].shape[channel_axis(layer, rank)])
        return [
            marked_axis(rank, channel_axis(layer, rank), step.fixed(size, f"made by {step.named} of fixed channels"))
        ]
    return _made(step, np.repeat(channels.atoms, layer.depth_multiplier), layer.bias)


def separable(step: Step) -> list[Marks]:
    """A depthwise convolution, then one of size 1."""
    layer, channels = step.layer, _given(step)
    step.multiply(layer.depthwise_kernel, layer.pointwise_kernel)
    step.read(layer.depthwise_kernel, -2, channels)
    atoms = step.produce(layer.pointwise_kernel, -1)
    between = None if channels is None else AxisChannels.zero(np.repeat(channels.atoms, layer.depth_multiplier))
    step.read(layer.pointwise_kernel, -2, between)
    step.configure(filters=atoms)
    return _made(step, atoms, layer.bias)


def dense(step: Step) -> list[Marks]:
    """The last axis is read; the others are left alone."""
    layer, marks = step.layer, step.given[0]
    atoms = step.produce(layer.kernel, -1)
    step.read(layer.kernel, -2, marks[-1])
    passing = [channels for channels in marks[:-1] if channels is not None]
    if passing:  # a vector for every channel (of a Permute before it, say): fewer channels, fewer products
        step.product(step.times_all(), atoms, marks[-1], *passing)
    else:
        step.multiply(layer.kernel)
    step.configure(units=atoms)
    made = _made(step, atoms, layer.bias)[0]
    return [(*(None if c is None else _passed(c, layer) for c in marks[:-1]), made[-1])]


def _passed(channels: AxisChannels, layer: Any) -> AxisChannels:
    """Return channels that are multiplied along another axis than theirs: zeros stay zeros, but for a bias."""
    stays = channels.dead == 0 if layer.bias is None else np.zeros(len(channels), np.bool_)
    dead = dead_after(layer.activation, np.where(stays, 0.0, np.nan))
    return channels.becoming(np.nan if dead is None else dead)


def embedding(step: Step) -> list[Marks]:
    """Every token has a row of the table."""
    layer = step.layer
    atoms = step.produce(layer.embeddings, -1)
    step.configure(output_dim=atoms)
    return [(*(None,) * len(step.given[0]), AxisChannels.zero(atoms))]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), transposed),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), separable),
    "Dense": dense,
    "Embedding": embedding,
}
"""Class of a layer -> its rule."""
