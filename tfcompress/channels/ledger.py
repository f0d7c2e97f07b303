"""Who must go with whom: numbered places that a channel can sit in, united where the graph ties them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Atoms: TypeAlias = NDArray[np.int64]
"""Numbers of the ledger, one for each index of an axis; equal numbers, or united ones, are kept or removed together."""


@dataclass
class Ledger:
    """Atoms, what unites them, and what forbids to remove them."""

    size: int = 0
    unions: list[tuple[Atoms, Atoms]] = field(default_factory=list)
    pins: list[tuple[Atoms, str]] = field(default_factory=list)

    def fresh(self, count: int) -> Atoms:
        """Return *count* new atoms."""
        self.size += count
        return np.arange(self.size - count, self.size, dtype=np.int64)

    def unite(self, one: Atoms, other: Atoms) -> None:
        """Tie atoms pairwise; the two arrays have one shape."""
        if one is not other:
            self.unions.append((one.ravel(), other.ravel()))

    def pin(self, atoms: Atoms, reason: str) -> None:
        """Forbid to remove atoms, and all that are tied to them."""
        self.pins.append((atoms.ravel(), reason))

    def is_pinned(self, atoms: Atoms) -> bool:
        """Say whether one of these very atoms is pinned so far (not by what it is tied to)."""
        return any(bool(np.isin(atoms, pinned).any()) for pinned, _ in self.pins)

    def classes(self) -> Atoms:
        """Return for every atom the smallest atom it is tied to, over any number of steps."""
        parent = np.arange(self.size, dtype=np.int64)
        if not self.unions:
            return parent
        one = np.concatenate([pair[0] for pair in self.unions])
        other = np.concatenate([pair[1] for pair in self.unions])
        while True:
            low = np.minimum(parent[one], parent[other])
            if np.array_equal(parent[one], low) and np.array_equal(parent[other], low):
                return parent
            for side in (one, other):
                np.minimum.at(parent, parent[side], low)
                np.minimum.at(parent, side, low)
            while not np.array_equal(parent[parent], parent):
                parent = parent[parent]

    def reasons(self, classes: Atoms) -> dict[int, str]:
        """Return the first reason of every pinned class, of :meth:`classes`."""
        found: dict[int, str] = {}
        for atoms, reason in self.pins:
            for number in np.unique(classes[atoms]):
                found.setdefault(int(number), reason)
        return found


@dataclass(frozen=True, eq=False)
class AxisChannels:
    """What is known of one axis of a tensor.

    Attributes:
        atoms: shape (size of the axis,).
        dead: shape (size of the axis,): the number that stands there, at every place and for every input, when the
            channel is dead (its weights zero); NaN: not one number, or not known.
    """

    atoms: Atoms
    dead: NDArray[np.float64]

    @classmethod
    def zero(cls, atoms: Atoms) -> AxisChannels:
        """Channels that are zero when they are dead."""
        return cls(atoms, np.zeros(len(atoms)))

    def becoming(self, dead: Any) -> AxisChannels:
        """Return the same channels with other numbers in the dead ones."""
        return AxisChannels(self.atoms, np.broadcast_to(np.asarray(dead, np.float64), self.dead.shape))

    def __len__(self) -> int:
        return len(self.atoms)


Marks: TypeAlias = tuple[AxisChannels | None, ...]
"""Channels of every axis of a tensor, the batch's too; None: the axis keeps its size."""
