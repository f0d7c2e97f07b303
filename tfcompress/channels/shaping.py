"""What changes a tensor's shape, or its size along other axes, does to channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from tfcompress.channels.claims import Count
from tfcompress.channels.ledger import AxisChannels, Ledger, Marks
from tfcompress.channels.trace import Rule, Step
from tfcompress.channels.weighted import channel_axis, marked_axis


def window(step: Step) -> list[Marks]:
    """Pooling and upsampling: every channel by itself."""
    marks = step.given[0]
    axis = channel_axis(step.layer, len(marks))
    step.pin_but(marks, axis)
    return [marked_axis(len(marks), axis, marks[axis])]


def padded(step: Step) -> list[Marks]:
    """Zero padding and cropping of the other axes: a dead channel stays what it is if it is zero."""
    marks = step.given[0]
    axis = channel_axis(step.layer, len(marks)) if hasattr(step.layer, "data_format") else len(marks) - 1
    step.pin_but(marks, axis)
    channels = marks[axis]
    if channels is not None:
        channels = channels.becoming(np.where(channels.dead == 0, 0.0, np.nan))
    return [marked_axis(len(marks), axis, channels)]


def pad_operation(step: Step) -> list[Marks]:
    """``ops.pad``: an axis that is not padded keeps its channels."""
    marks, sizes = step.given[0], zip(step.tensors[0].shape, step.outputs[0].shape, strict=True)
    found: list[AxisChannels | None] = []
    for channels, (before, after) in zip(marks, sizes, strict=True):
        if channels is not None and before != after:
            step.pin(channels, f"operation {step.named} adds channels")
            found.append(step.fixed(int(after), f"operation {step.named} adds channels"))
        else:
            found.append(None if channels is None else channels.becoming(np.where(channels.dead == 0, 0.0, np.nan)))
    return [tuple(found)]


def global_pool(step: Step) -> list[Marks]:
    """One number a channel is left."""
    marks = step.given[0]
    axis = channel_axis(step.layer, len(marks))
    step.pin_but(marks, axis)
    rank = len(step.outputs[0].shape)
    return [marked_axis(rank, channel_axis(step.layer, rank) if rank == len(marks) else 1, marks[axis])]


def concatenate(step: Step) -> list[Marks]:
    """Channels stand one after the other along the axis; along the others they are tied."""
    rank = len(step.outputs[0].shape)
    axis = step.layer.axis % rank
    reason = f"joined in {step.named} to channels that are fixed"
    found: list[AxisChannels | None] = []
    for a in range(rank):
        parts = [marks[a] for marks in step.given]
        known = [part for part in parts if part is not None]
        if not known:
            found.append(None)
        elif a == axis:
            sizes = [int(tensor.shape[a]) for tensor in step.tensors]
            filled = [p if p is not None else step.fixed(n, reason) for p, n in zip(parts, sizes, strict=True)]
            found.append(joined(filled))
        else:
            for part in known[1:]:
                step.unite(known[0], part)
            if len(known) < len(parts):
                step.pin(known[0], reason)
            same = np.all([part.dead == known[0].dead for part in known], axis=0)
            found.append(known[0].becoming(np.where(same & (len(known) == len(parts)), known[0].dead, np.nan)))
    return [tuple(found)]


def joined(parts: Sequence[AxisChannels]) -> AxisChannels:
    """Put channels one after the other."""
    return AxisChannels(np.concatenate([p.atoms for p in parts]), np.concatenate([p.dead for p in parts]))


def flatten(step: Step) -> list[Marks]:
    """Every channel owns a number at every place."""
    layer = step.layer
    if getattr(layer, "data_format", None) == "channels_first" and len(step.given[0]) > 2:
        for channels in step.given[0]:
            step.pin(channels, f"layer {step.named} flattens channels first")
        return [(None,) * len(step.outputs[0].shape)]
    return [_reshaped(step)]


def reshape(step: Step) -> list[Marks]:
    """Channels that get an axis of their own keep it; what cannot be kept apart afterwards is tied or pinned."""
    marks = _reshaped(step)
    entry = "target_shape" if hasattr(step.layer, "target_shape") else "newshape"

    def edit(config: dict[str, Any], count: Count) -> None:
        shape = list(config[entry])
        offset = len(marks) - len(shape)
        for axis, channels in enumerate(marks[offset:]):
            if channels is not None:
                shape[axis] = count(channels.atoms)
        config[entry] = tuple(shape)

    if any(channels is not None for channels in marks):
        step.reconfigure(edit)
    return [marks]


Place: TypeAlias = tuple[int, AxisChannels] | None
"""An axis of a reshaped tensor, and the channels along it; None: there is none."""


def _reshaped(step: Step) -> Marks:
    given, before, after = step.given[0], list(step.tensors[0].shape), list(step.outputs[0].shape)
    found: list[AxisChannels | None] = [None] * len(after)
    free = {a: not step.trace.ledger.is_pinned(c.atoms) for a, c in enumerate(given) if c is not None}
    tracked = sorted(free, key=lambda a: (not free[a], -len(given[a] or ())))  # where two meet the first is followed
    for axis in tracked:
        channels = given[axis]
        if channels is None:
            continue
        if None in before[1:] or after[1:].count(None) > 0:
            places = _open_sizes(step, channels, axis, before, after)
        else:
            places = _places(step, channels, axis, before, after)
        if places is None or found[places[0]] is not None:
            step.pin(channels, f"reshape across channels in {step.named}")
        else:
            found[places[0]] = places[1]
    return tuple(found)


def _open_sizes(step: Step, channels: AxisChannels, axis: int, before: list[Any], after: list[Any]) -> Place:
    """With sizes that are open only a last axis that stays the last can be followed."""
    return (len(after) - 1, channels) if axis == len(before) - 1 and after[-1] == len(channels) else None


def _places(step: Step, channels: AxisChannels, axis: int, before: list[Any], after: list[Any]) -> Place:
    """Reshape the numbers of the channels themselves and look along which axis they vary.

    Returns:
        The output's axis and its channels, or None: they vary along none.
    """
    known, wanted = (math.prod(int(size) for size in sizes if size is not None) for sizes in (before, after))
    batch = wanted // math.gcd(known, wanted)  # samples that fill the other shape: windows become a batch and back
    shape = [batch if size is None else int(size) for size in before]
    index = np.broadcast_to(
        np.arange(len(channels)).reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape
    ).reshape([-1 if size is None else int(size) for size in after])
    varying = [a for a in range(index.ndim) if index.shape[a] > 1 and np.any(index != index.take([0], axis=a))]
    if not varying:
        return None
    best = max(varying, key=lambda a: index.shape[a])
    rows = np.moveaxis(index, best, 0).reshape(index.shape[best], -1)
    if len(varying) > 1:
        if _all_tied(rows, len(channels)):
            return None
        atoms = channels.atoms[rows]
        step.trace.ledger.unite(np.repeat(atoms[:, :1], atoms.shape[1], axis=1), atoms)
    dead = channels.dead[rows]
    same = np.where(np.all(dead == dead[:, :1], axis=1), dead[:, 0], np.nan)
    return best, AxisChannels(channels.atoms[rows[:, 0]], same)


def _all_tied(rows: Any, size: int) -> bool:
    """Say whether tying the numbers in every row ties all of them."""
    ledger = Ledger()
    ledger.fresh(size)
    ledger.unite(np.repeat(rows[:, :1], rows.shape[1], axis=1), rows)
    return len(np.unique(ledger.classes())) == 1


def permute(step: Step) -> list[Marks]:
    """Axes change places."""
    marks = step.given[0]
    if hasattr(step.layer, "dims"):
        order = (0, *step.layer.dims)
    else:
        order = tuple(step.layer.axes or reversed(range(len(marks))))
    return [tuple(marks[axis] for axis in order)]


def squeezed(step: Step) -> list[Marks]:
    """Axes of size 1 come and go; the others keep their order."""
    marks, rank = step.given[0], len(step.outputs[0].shape)
    axis = step.layer.axis
    if axis is None:
        gone = {a for a, size in enumerate(step.tensors[0].shape) if size == 1}
    else:
        wide = max(rank, len(marks))
        gone = {a % wide for a in ([axis] if isinstance(axis, int) else axis)}
    if rank > len(marks):
        rest = iter(marks)
        return [tuple(None if a in gone else next(rest) for a in range(rank))]
    for a in gone:
        step.pin(marks[a], f"operation {step.named} removes that axis")
    return [tuple(channels for a, channels in enumerate(marks) if a not in gone)]


def repeat_vector(step: Step) -> list[Marks]:
    """A time axis is put between the batch and the channels."""
    batch, channels = step.given[0]
    return [(batch, None, channels)]


POOLS = [f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)]
SIZES = [f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping") for n in (1, 2, 3)]
RESIZES = ("Resize", "Resizing", "MaxPool", "AveragePool")
GLOBAL = [f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)]

RULES: dict[str, Rule] = {
    **dict.fromkeys((*POOLS, "UpSampling1D", "UpSampling2D", "UpSampling3D", *RESIZES), window),
    **dict.fromkeys(SIZES, padded),
    **dict.fromkeys(GLOBAL, global_pool),
    **dict.fromkeys(("Permute", "Transpose"), permute),
    **dict.fromkeys(("ExpandDims", "Squeeze"), squeezed),
    "Concatenate": concatenate,
    "Flatten": flatten,
    "Reshape": reshape,
    "RepeatVector": repeat_vector,
    "Pad": pad_operation,
}
"""Class of a layer or operation -> its rule."""
