"""A network given the widths, blocks and input size that were said, and what there is to say of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.blocks.bypassing import cost_of
from tfcompress.blocks.centres import KINDS, cuttable, shrink_kernels
from tfcompress.blocks.finding import BlockAnalysis, find_blocks
from tfcompress.blocks.leaving_out import leave_out_named
from tfcompress.channels.criteria import scores
from tfcompress.channels.groups import Group, groups
from tfcompress.channels.ranking import best_of
from tfcompress.channels.removal import narrowed
from tfcompress.errors import DataError, UnsupportedError, UsageError, nearest
from tfcompress.models.copies import check_graph, model_copy
from tfcompress.models.graph import leaf_layers
from tfcompress.models.picture_size import at_size, picture_of, sizes_to_try
from tfcompress.models.samples import Samples
from tfcompress.models.scope import listed
from tfcompress.recipe import Layout
from tfcompress.stages.layout import KERNELS
from tfcompress.stages.rewriting import RewritingContext, Rewritten
from tfcompress.stages.stage import NetworkChoice

SHARES = (0.75, 0.5, 0.25)
"""Parts of a group's channels that a search tries."""

MULTIPLE = 8
"""Widths that a search tries are multiples of this, where a group is wide enough."""


def rewrite(model: Any, stage: Layout, context: RewritingContext) -> Rewritten:
    """Do what a layout says: the size of pictures, then kernels, blocks and widths.

    Args:
        model: a functional or sequential Keras 3 model; it stays as it is. A run gives it at that size already.
        stage: what is said.
        context: its samples, of that size, are what stays is fitted on.

    Raises:
        UsageError: a name that is neither a group nor a block, or more channels than there are.
        UnsupportedError: kernels that cannot be cut, a model without a graph, or one that cannot take such pictures.
        DataError: a block is to go, and there are no samples.
    """
    check_graph(model)
    if stage.input_size is not None and stage.input_size != picture_of(model):
        model = at_size(model, stage.input_size)
    said = stage.widths
    blocks, widths = [name for name, n in said.items() if n == 0], {name: n for name, n in said.items() if n > 0}
    _check(model, said)
    current, notes = model, list[str]()
    with context.progress.task("laying the network out"):
        if stage.shrink_kernels is not None:
            current, notes = shrink_kernels(current, stage.shrink_kernels)
        if blocks:
            if context.samples is None:
                msg = "layout needs samples that what stays is fitted on, got none; give training data"
                raise DataError(msg)
            current = leave_out_named(current, blocks, context.samples, seed=context.seed)
        if widths:
            current = _narrowed(current, widths, context.samples, context.seed)
    if said:
        before, after = cost_of(model), cost_of(current)
        changes = (f"{name}={number}" for name, number in said.items())
        notes.append(
            f"layout: {listed(changes)}: {before.macs:,} → {after.macs:,} multiply-accumulates, "
            f"{before.parameters:,} → {after.parameters:,} parameters"
        )
    return Rewritten(model_copy(current) if current is model else current, tuple(notes))


def _check(model: Any, said: Mapping[str, int]) -> None:
    """Refuse names and numbers that mean nothing in a model.

    Raises:
        UsageError: with the nearest name.
    """
    blocks = {block.name for block in find_blocks(model).blocks}
    widths = {group.name: group for group in groups(model)}
    for name, number in said.items():
        known = blocks if number == 0 else set(widths)
        if name not in known:
            what = "a block" if number == 0 else "a group of channels"
            msg = f"layout.changes must name {what} of model {model.name!r}, got {name!r}{nearest(name, known)}; "
            msg += f"there are {listed(sorted(known)) or 'none'}"
            raise UsageError(msg)
        if number > 0:
            _check_width(widths[name], number)


def _check_width(group: Group, number: int) -> None:
    if number > group.channels:
        msg = f"layout.changes must leave at most the {group.channels} channels of {group.name!r}, got {number}"
        raise UsageError(msg)
    if group.pinned and number < group.channels:
        msg = f"layout.changes must leave the {group.channels} channels of {group.name!r}: {group.pinned}, got {number}"
        raise UsageError(msg)


def _narrowed(model: Any, widths: Mapping[str, int], samples: Samples | None, seed: int) -> Any:
    """Return a model that keeps so many channels of groups, those of the largest norm."""
    found = {group.name: group for group in groups(model)}
    missing = [name for name in widths if name not in found]
    if missing:
        msg = f"layout.changes must not name {missing[0]!r} beside a block that it goes with; leave one of them out"
        raise UsageError(msg)
    cut = [found[name] for name, number in widths.items() if number < found[name].channels]
    if not cut:
        return model
    judged = scores(model, cut, "l2", samples=samples)
    keep = {group.name: _kept(group, judged[group.name], widths[group.name]) for group in cut}
    return narrowed(model, keep, samples, seed)


def _kept(group: Group, score: np.ndarray, number: int) -> list[int]:
    """Return the channels that stay, at least one of each part that cannot be empty."""
    first = best_of(group.parts, score)
    order = np.lexsort((-score, ~np.isin(np.arange(group.channels), first)))
    if number < len(first):
        msg = f"layout.changes must leave at least {len(first)} channels of {group.name!r}, got {number}"
        raise UsageError(msg)
    return sorted(int(channel) for channel in order[:number])


def choices_of(model: Any) -> tuple[NetworkChoice, ...]:
    """Return what a search may choose of a network: widths of groups, blocks, the size of the kernels and of pictures.

    Args:
        model: a functional or sequential Keras 3 model.

    Raises:
        UnsupportedError: the model has no graph.
    """
    check_graph(model)
    found = find_blocks(model)
    choices: dict[str, NetworkChoice] = {}
    for group in groups(model):
        if not group.pinned and len(widths := _widths(group)) > 1:
            choices[group.name] = NetworkChoice(group.name, widths, _inside(group.producers, found))
    for block in found.blocks:
        known = choices.get(block.name)
        values = (1, 0) if known is None else (*known.values, 0)
        choices[block.name] = NetworkChoice(block.name, values, _around(block.name, block.layers, found))
    sizes = {max(layer.kernel_size) for _, layer in leaf_layers(model) if type(layer).__name__ in KINDS}
    smaller = tuple(size for size in (5, 3) if any(each > size for each in sizes) and cuttable(model, size))
    if smaller:
        choices[KERNELS] = NetworkChoice(KERNELS, (None, *smaller))
    return (*choices.values(), *_pictures(model))


def _pictures(model: Any) -> tuple[NetworkChoice, ...]:
    """Return the sizes of pictures at which the network can work with its weights, for fewer operations."""
    own, sizes = picture_of(model), []
    for size in sizes_to_try(model):
        try:
            smaller = at_size(model, size)
        except UnsupportedError:
            continue
        if cost_of(smaller).macs < cost_of(model).macs:
            sizes.append(size)
    if own is None or not sizes:
        return ()
    return (NetworkChoice(own.name, (own.text, *(size.text for size in sizes)), sizes=tuple(sizes)),)


def _widths(group: Group) -> tuple[int, ...]:
    """Return numbers of channels to try, all of them first."""
    step = MULTIPLE if group.channels >= 2 * MULTIPLE else 1
    least = max(1, len(group.parts))
    tried = (max(step, step * round(share * group.channels / step)) for share in SHARES)
    return tuple(dict.fromkeys((group.channels, *(n for n in tried if least <= n < group.channels))))


def _inside(producers: Sequence[str], found: BlockAnalysis) -> tuple[str, ...]:
    """Return the blocks without which nothing makes a group's channels."""
    return tuple(block.name for block in found.blocks if set(producers) <= set(block.layers))


def _around(name: str, layers: Sequence[str], found: BlockAnalysis) -> tuple[str, ...]:
    """Return the blocks that another one lies in."""
    return tuple(b.name for b in found.blocks if b.name != name and set(layers) < set(b.layers))
