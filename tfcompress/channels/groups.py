"""Dependency groups: channels of all layers that can only be removed together (Fang et al. 2023, DepGraph).

Every index of every axis that a layer makes is followed through the graph; what an addition, a shared layer or a
grouped convolution ties becomes one. A group is what producing layers share; its channels are removed one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcompress.channels.claims import Claim, Role
from tfcompress.channels.layer_rules import RULES
from tfcompress.channels.ledger import Atoms
from tfcompress.channels.trace import Trace

OVER_HEADS = ("MultiHeadAttention", "GroupedQueryAttention")
"""Layers that attend over heads: their last projection reads all numbers of all heads."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Where a group's channels sit in a weight.

    Attributes:
        layer: path of the layer, ``backbone/conv``.
        weight: the weight's name inside the layer: ``kernel``, ``forward_lstm/lstm_cell/recurrent_kernel``.
        axis: the axis along which they sit, from 0.
        channel_of: shape (size of the axis,): the group's channel at every index, -1 where another group's is. A
            channel may sit at several (the gates of an LSTM, a Dense after Flatten).
        role: ``makes`` (with zeros there the channel is dead), ``reads``, ``follows`` (only cut with it).
        kind: class of the layer.
        variable: the Keras variable itself.
    """

    layer: str
    weight: str
    axis: int
    channel_of: NDArray[np.int64]
    role: Role
    kind: str
    variable: Any

    @property
    def place(self) -> str:
        """Path of the layer that has the weight itself, which may be inside :attr:`layer`: ``attention/query``."""
        inside = self.weight.rpartition("/")[0]
        return f"{self.layer}/{inside}" if inside else self.layer

    @property
    def reading_axes(self) -> tuple[int, ...]:
        """The axes of the weight that what goes into :attr:`place` is summed over, this one's among them.

        The last projection of an attention sums over heads and values, each of which may go.
        """
        last = self.kind in OVER_HEADS and self.weight == "attention_output/kernel"
        return (0, 1) if last else (self.axis,)

    def total(self, values: Any, channels: int) -> NDArray[np.float64]:
        """Sum an array of the weight's shape over everything that belongs to each channel.

        Returns:
            Shape (channels,).
        """
        array = np.asarray(values, np.float64)
        rows = np.moveaxis(array, self.axis, 0).reshape(array.shape[self.axis], -1).sum(axis=1)
        here = self.channel_of >= 0
        totals = np.zeros(channels)
        np.add.at(totals, self.channel_of[here], rows[here])
        return totals


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that several layers share.

    Attributes:
        name: path of the first layer that makes them; what follows a ``:`` says which of several axes of its weights.
        channels: how many there are.
        members: where they sit in the weights.
        producers: layers that make them.
        pinned: why none of them can be removed; empty: they can.
        unit: numbers that one channel is in what the first producer makes: 1, but for heads, grouped convolutions and
            the like.
        emits: where a dead channel is not zero and the next layer reads it (after a sigmoid, say), so that removing it
            changes that layer's outputs by a constant; empty: nowhere.
        parts: sets of channels, fewer than all, of which one has to stay each: the only ones that some layer makes or
            reads, or a piece of a split.
    """

    name: str
    channels: int
    members: tuple[Slice, ...]
    producers: tuple[str, ...]
    pinned: str
    unit: int
    emits: str
    parts: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class ChannelAnalysis:
    """A model's groups, and how the atoms of the walk belong to them.

    Attributes:
        trace: the walk.
        groups: all groups.
        group_of: shape (atoms,): index of the atom's group, -1: none, it stays.
        channel_of: shape (atoms,): the atom's channel in its group.
    """

    trace: Trace
    groups: tuple[Group, ...]
    group_of: Atoms
    channel_of: Atoms


def groups(model: Any) -> tuple[Group, ...]:
    """Find the dependency groups of a Keras 3 model, those that cannot shrink too, with the reason.

    Args:
        model: functional or sequential, built.

    Raises:
        UnsupportedError: another kind of model.
    """
    return analyse_channels(model).groups


def analyse_channels(model: Any) -> ChannelAnalysis:
    """Walk a model once; see :func:`groups`."""
    trace = Trace(RULES)
    trace.run(model)
    classes = trace.ledger.classes()
    component = _components(trace, classes)
    group_of = np.full(len(classes), -1, np.int64)
    channel_of = np.zeros(len(classes), np.int64)
    gathered: list[list[tuple[str, str, Atoms]]] = []
    for members in component:
        order = list(dict.fromkeys(int(n) for _, _, atoms in members for n in classes[atoms]))
        group_of[order] = len(gathered)
        channel_of[order] = np.arange(len(order))
        gathered.append(members)
    group_of, channel_of = group_of[classes], channel_of[classes]
    slices = [list(_slices(trace, claim, group_of, channel_of)) for claim in trace.claims.values()]
    by_group: dict[int, list[Slice]] = {}
    for number, piece in (pair for pairs in slices for pair in pairs):
        by_group.setdefault(number, []).append(piece)
    reasons = trace.ledger.reasons(classes)
    pinned: dict[int, str] = {}
    for atom, reason in reasons.items():
        pinned.setdefault(int(group_of[atom]), reason)
    emits, parts = _emits(trace, group_of), _parts(trace, group_of, channel_of)
    found = tuple(
        _group(members, tuple(by_group[n]), classes, pinned.get(n, ""), "" if n in pinned else emits.get(n, ""))
        for n, members in enumerate(gathered)
    )
    found = tuple(
        replace(
            group,
            parts=tuple(p for p in parts.get(n, ()) if len(p) < group.channels),
            unit=group.unit * trace.spans.get(group.name, 1),
        )
        for n, group in enumerate(found)
    )
    return ChannelAnalysis(trace, found, group_of, channel_of)


def _components(trace: Trace, classes: Atoms) -> Iterator[list[tuple[str, str, Atoms]]]:
    """Give the producers in sets that share a channel."""
    home: dict[int, int] = {}
    sets: dict[int, list[int]] = {}
    for index, (_, _, atoms) in enumerate(trace.producers):
        mine = {int(n) for n in classes[atoms]}
        met = sorted({home[n] for n in mine if n in home})
        target = met[0] if met else index
        sets.setdefault(target, [])
        for other in met[1:]:
            sets[target] += sets.pop(other)
            home.update({n: target for n, h in home.items() if h == other})
        sets[target].append(index)
        home.update(dict.fromkeys(mine, target))
    for target in sorted(sets):
        yield [trace.producers[index] for index in sorted(sets[target])]


def _slices(trace: Trace, claim: Claim, group_of: Atoms, channel_of: Atoms) -> Iterator[tuple[int, Slice]]:
    if claim.atoms is None:
        return
    owners = group_of[claim.atoms]
    layer = trace.layers[claim.path]
    for number in np.unique(owners[owners >= 0]):
        here = np.where(owners == number, channel_of[claim.atoms], -1)
        name = weight_name(layer, claim.variable)
        yield (
            int(number),
            Slice(claim.path, name, claim.axis, here, claim.role, type(layer).__name__, claim.variable),
        )


def weight_name(layer: Any, variable: Any) -> str:
    """Return the name of a layer's variable inside the layer."""
    parts: list[str] = variable.path.split("/")
    if layer.name not in parts[:-1]:
        return str(variable.name)
    return "/".join(parts[len(parts) - parts[-2::-1].index(layer.name) - 1 :])


def _parts(trace: Trace, group_of: Atoms, channel_of: Atoms) -> dict[int, list[tuple[int, ...]]]:
    """Return, by group, the channels that make up whole axes of weights or pieces of splits, the fewest first."""
    found: dict[int, set[tuple[int, ...]]] = {}
    claimed = [claim.atoms for claim in trace.claims.values() if claim.atoms is not None]
    for atoms in (*claimed, *(atoms for _, atoms in trace.wholes)):
        owners = np.unique(group_of[atoms])
        if len(owners) == 1 and owners[0] >= 0:
            channels = tuple(int(n) for n in np.unique(channel_of[atoms]))
            found.setdefault(int(owners[0]), set()).add(channels)
    return {number: sorted(sets, key=lambda part: (len(part), part)) for number, sets in found.items()}


def _emits(trace: Trace, group_of: Atoms) -> dict[int, str]:
    found: dict[int, str] = {}
    for atoms, reason in trace.inexact:
        for number in np.unique(group_of[atoms]):
            found.setdefault(int(number), f"a dead channel is not zero where it is {reason}")
    return found


def _group(
    members: list[tuple[str, str, Atoms]], slices: tuple[Slice, ...], classes: Atoms, pinned: str, emits: str
) -> Group:
    name, _, first = members[0]
    channels = len({int(n) for _, _, atoms in members for n in classes[atoms]})
    paths = tuple(dict.fromkeys(path for _, path, _ in members))
    if channels == 1 and not pinned:
        pinned = (
            f"all numbers that {paths[0]!r} makes are tied together" if len(first) > 1 else "it is a single channel"
        )
    unit = max(1, len(first) // len(np.unique(classes[first])))
    return Group(name, channels, slices, paths, pinned, unit, emits)
