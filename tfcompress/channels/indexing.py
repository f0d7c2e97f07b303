"""What raw operations that select, split, stack, turn and sum up axes do to channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.channels.claims import Count, Keep
from tfcompress.channels.ledger import AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step, pinned_whole


def get_item(step: Step) -> list[Marks]:
    """``x[…, 2:5]``: a range of channels is followed, any other choice of them pins them."""
    key = step.args[1] if len(step.args) > 1 else step.kwargs["key"]
    keys = _spread(key, len(step.given[0]))
    if any(not (isinstance(one, int | slice) or one is None) for one in keys):
        return pinned_whole(step)
    found: list[AxisChannels | None] = []
    cuts: dict[int, AxisChannels] = {}
    axis = 0
    for place, one in enumerate(keys):
        if one is None:
            found.append(None)
            continue
        channels = step.given[0][axis]
        axis += 1
        if isinstance(one, int):
            step.pin(channels, f"operation {step.named} takes one of them")
            continue
        found.append(_ranged(step, channels, one))
        if channels is not None and one != slice(None):
            cuts[place] = channels
    if cuts:
        _shift(step, keys, cuts)
    return [tuple(found)]


def _spread(key: Any, rank: int) -> list[Any]:
    """Write an index out, one entry an axis, those that add one (None) too."""
    keys = list(key) if isinstance(key, list | tuple) else [key]
    if not any(one is Ellipsis for one in keys):
        keys.append(Ellipsis)
    place = next(n for n, one in enumerate(keys) if one is Ellipsis)
    rest = rank - sum(one is not None for one in keys) + 1
    return [*keys[:place], *[slice(None)] * rest, *keys[place + 1 :]]


def _ranged(step: Step, channels: AxisChannels | None, cut: slice) -> AxisChannels | None:
    if channels is None:
        return None
    chosen = np.arange(len(channels))[cut]
    if len(chosen) == 0 or (len(chosen) > 1 and chosen[1] != chosen[0] + 1):
        step.pin(channels, f"operation {step.named} takes them with gaps")
    return AxisChannels(channels.atoms[chosen], channels.dead[chosen])


def _shift(step: Step, keys: list[Any], cuts: dict[int, AxisChannels]) -> None:
    """Have the ranges begin and end where what is kept does."""

    def edit(args: Any, kwargs: dict[str, Any], keep: Keep) -> tuple[Any, dict[str, Any]]:
        shifted = list(keys)
        for place, channels in cuts.items():
            stays = keep(channels.atoms)
            if stays.all():
                continue
            first, end, _ = keys[place].indices(len(channels))
            shifted[place] = slice(int(stays[:first].sum()), int(stays[:end].sum()))
        new = tuple(shifted)
        return ((args[0], new), kwargs) if len(args) > 1 else (args, {**kwargs, "key": new})

    step.rewrite(edit)


def split(step: Step) -> list[Marks]:
    """The pieces' sizes follow what is kept."""
    marks, layer = step.given[0], step.layer
    axis = layer.axis % len(marks)
    channels = marks[axis]
    if channels is None:
        return [marks] * len(step.outputs)
    ends = np.cumsum([int(tensor.shape[axis]) for tensor in step.outputs])
    pieces = [slice(int(end) - int(t.shape[axis]), int(end)) for end, t in zip(ends, step.outputs, strict=True)]
    atoms = channels.atoms

    def edit(config: dict[str, Any], count: Count) -> None:
        config["indices_or_sections"] = tuple(count(atoms[: piece.stop]) for piece in pieces[:-1])

    step.reconfigure(edit)
    step.trace.wholes.extend((step.path, atoms[piece]) for piece in pieces)
    cut = [AxisChannels(atoms[piece], channels.dead[piece]) for piece in pieces]
    return [(*marks[:axis], one, *marks[axis + 1 :]) for one in cut]


def stack(step: Step) -> list[Marks]:
    """A new axis; along the others the tensors are tied."""
    rank = len(step.outputs[0].shape)
    axis = step.layer.axis % rank
    found: list[AxisChannels | None] = []
    for parts in zip(*step.given, strict=True):
        known = [part for part in parts if part is not None]
        for part in known[1:]:
            step.unite(known[0], part)
        if known and len(known) < len(parts):
            step.pin(known[0], f"joined in {step.named} to channels that are fixed")
        zero = bool(known) and all(np.all(part.dead == 0) for part in known)
        found.append(known[0].becoming(0.0 if zero else np.nan) if known else None)
    return [(*found[:axis], None, *found[axis:])]


def reduced(step: Step) -> list[Marks]:
    """A sum over channels loses nothing with a dead one; a mean or an extreme over channels would change."""
    marks, layer = step.given[0], step.layer
    axis = layer.axis
    axes = range(len(marks)) if axis is None else [axis] if isinstance(axis, int) else axis
    gone = {a % len(marks) for a in axes}
    is_sum = type(layer).__name__ == "Sum"
    after = 0.0 if type(layer).__name__ in ("Var", "Std") else np.nan if is_sum else 1.0
    found: list[AxisChannels | None] = []
    for a, channels in enumerate(marks):
        if a not in gone:
            dead = None if channels is None else np.where(channels.dead == 0, 0.0, channels.dead * after)
            found.append(None if channels is None else channels.becoming(dead))
            continue
        if channels is not None and not is_sum:
            step.pin(channels, f"operation {step.named} takes statistics over its channels")
        elif channels is not None and np.any(channels.dead != 0):
            step.trace.inexact.append((channels.atoms, f"read by {step.named}"))
        if layer.keepdims:
            found.append(None)
    return [tuple(found)]


def turned(step: Step) -> list[Marks]:
    """``moveaxis`` and ``swapaxes``."""
    layer, marks = step.layer, step.given[0]
    order = np.empty([1] * len(marks))
    numbered = [n + 2 for n in range(len(marks))]
    order = np.broadcast_to(order, numbered)
    if type(layer).__name__ == "Moveaxis":
        moved = np.moveaxis(order, layer.source, layer.destination)
    else:
        moved = np.swapaxes(order, layer.axis1, layer.axis2)
    return [tuple(marks[size - 2] for size in moved.shape)]


def tiled(step: Step) -> list[Marks]:
    """``tile`` and ``repeat``: along other axes than the channels'."""
    before, after = step.tensors[0].shape, step.outputs[0].shape
    if len(before) != len(after):
        return pinned_whole(step)
    found: list[AxisChannels | None] = []
    for channels, old, new in zip(step.given[0], before, after, strict=True):
        if channels is not None and old != new:
            step.pin(channels, f"operation {step.named} repeats them")
        found.append(channels if old == new else None)
    return [tuple(found)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Amax", "Amin", "Var", "Std"), reduced),
    **dict.fromkeys(("Moveaxis", "Swapaxes"), turned),
    **dict.fromkeys(("Tile", "Repeat"), tiled),
    "GetItem": get_item,
    "Split": split,
    "Stack": stack,
}
"""Class of an operation -> its rule."""
