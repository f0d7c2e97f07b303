"""What a model costs with fewer channels, computed without building it.

A weight of sizes a x b x … with k_a of a and k_b of b kept has ``k_a k_b …`` numbers, and a layer that uses every
number of its kernel equally often multiplies that often. So both costs are sums of products of sizes, and sizes are
linear in the numbers of kept channels: an evaluation is one small matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcompress.channels.groups import ChannelAnalysis, analyse_channels
from tfcompress.channels.ledger import Atoms
from tfcompress.errors import UsageError, nearest

Values = NDArray[np.float64]
Keep = Mapping[str, Sequence[int] | int]
"""Group -> channels that stay, or how many; a group that is not named stays whole."""


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        macs: multiply-accumulates for one sample, of what can be counted.
        parameters: weights, those that are not trained too.
    """

    macs: int
    parameters: int


@dataclass(frozen=True, eq=False)
class _Products:
    """A sum of products: *factor* x the kept part of each axis; rows of *axes* are indices of axes, -1: none."""

    factor: Values
    axes: NDArray[np.int64]

    def value(self, parts: Values) -> float:
        """Return the sum for the kept part of every axis, whose last entry, for -1, is 1."""
        return float(self.factor @ parts[self.axes].prod(axis=1))

    def slope(self, parts: Values) -> Values:
        """Return the derivative by every axis's kept part: shape of *parts*."""
        chosen = parts[self.axes]
        slopes = np.zeros_like(parts)
        for place in range(self.axes.shape[1]):
            others = np.delete(chosen, place, axis=1).prod(axis=1)
            np.add.at(slopes, self.axes[:, place], self.factor * others)
        return slopes


@dataclass(eq=False)
class CostModel:
    """Costs of a model as a function of the channels that are kept.

    Where the channels of a group are not all equally wide (some of them also pass a concatenation, say), a *number* of
    kept channels counts as that many average ones; a list of channels is exact.

    Attributes:
        analysis: the model's groups.
    """

    analysis: ChannelAnalysis
    _columns: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any) -> CostModel:
        """Analyse a model.

        Raises:
            UnsupportedError: neither functional nor sequential.
        """
        return cls(analyse_channels(model))

    def __post_init__(self) -> None:
        trace = self.analysis.trace
        self._axes: list[Atoms] = []
        claimed: dict[int, list[Atoms]] = {}
        for (number, _), claim in trace.claims.items():
            if claim.atoms is not None:
                claimed.setdefault(number, []).append(claim.atoms)
        weights = {id(v): v for layer in trace.layers.values() for v in getattr(layer, "weights", ())}
        sizes = [(float(math.prod(v.shape)), claimed.get(number, [])) for number, v in weights.items()]
        kernels = [(macs, claimed.get(id(variable), [])) for variable, macs in trace.kernels]
        self._parameters = self._products(sizes)
        self._macs = self._products(kernels + [(term.macs, list(term.axes)) for term in trace.terms])
        self._kinds: list[Atoms] = []
        self._full: list[Values] = []
        self._linear()

    def _products(self, entries: list[tuple[float, list[Atoms]]]) -> _Products:
        widest = max((len(axes) for _, axes in entries), default=0)
        rows = np.full((len(entries), max(widest, 1)), -1, np.int64)
        for row, (_, axes) in enumerate(entries):
            for place, atoms in enumerate(axes):
                rows[row, place] = self._axis(atoms)
        return _Products(np.array([factor for factor, _ in entries]), rows)

    def _axis(self, atoms: Atoms) -> int:
        key = np.ascontiguousarray(atoms).tobytes()
        if key not in self._columns:
            self._columns[key] = len(self._axes)
            self._axes.append(atoms)
        return self._columns[key]

    def _linear(self) -> None:
        """Write every axis's kept part as ``matrix @ numbers + rest``: a column for channels that are alike."""
        groups = self.analysis.groups
        touching: list[list[tuple[int, Values]]] = [[] for _ in groups]
        self._rest = np.ones(len(self._axes) + 1)
        for row, atoms in enumerate(self._axes):
            owners, channels = self.analysis.group_of[atoms], self.analysis.channel_of[atoms]
            self._rest[row] = np.mean(owners < 0)
            for group in np.unique(owners[owners >= 0]):
                counts = np.bincount(channels[owners == group], minlength=groups[group].channels)
                touching[group].append((row, counts / len(atoms)))
        columns: list[Values] = []
        starts = [0]
        for group, parts in zip(groups, touching, strict=True):
            table = np.stack([part for _, part in parts]) if parts else np.zeros((1, group.channels))
            alike, kinds = np.unique(table, axis=1, return_inverse=True)
            filled = np.zeros((len(self._axes) + 1, alike.shape[1]))
            filled[[row for row, _ in parts]] = alike[: len(parts)]
            columns.append(filled)
            self._kinds.append(kinds.ravel())
            self._full.append(np.bincount(kinds.ravel()).astype(np.float64))
            starts.append(starts[-1] + alike.shape[1])
        self._matrix = np.concatenate(columns, axis=1) if columns else np.zeros((len(self._axes) + 1, 0))
        self._columns_of = starts
        self._index = {group.name: number for number, group in enumerate(groups)}

    def _numbers(self, keep: Keep) -> Values:
        numbers = np.concatenate(self._full) if self._full else np.zeros(0)
        for name, channels in keep.items():
            if name not in self._index:
                msg = f"keep must name groups of the model, got {name!r}{nearest(name, self._index)}"
                raise UsageError(msg)
            group = self._index[name]
            first, end = self._columns_of[group], self._columns_of[group + 1]
            if isinstance(channels, int | np.integer):
                numbers[first:end] *= int(channels) / self.analysis.groups[group].channels
            elif end == first + 1:
                numbers[first] = len(channels)
            else:
                numbers[first:end] = np.bincount(self._kinds[group][list(channels)], minlength=end - first)
        return numbers

    def of_kept(self, keep: Keep) -> Cost:
        """Compute the cost with what is kept.

        Raises:
            UsageError: an unknown group.
        """
        parts = self._matrix @ self._numbers(keep) + self._rest
        return Cost(round(self._macs.value(parts)), round(self._parameters.value(parts)))

    def per_channel(self, keep: Keep) -> dict[str, tuple[float, float]]:
        """Return, group by group, how many MACs and parameters one (average) channel more or less changes.

        The derivative at what is kept: exact where no weight has the group on two axes.

        Raises:
            UsageError: an unknown group.
        """
        numbers = self._numbers(keep)
        parts = self._matrix @ numbers + self._rest
        slices = np.stack([self._macs.slope(parts), self._parameters.slope(parts)]) @ self._matrix
        found: dict[str, tuple[float, float]] = {}
        for name, group in self._index.items():
            mine, weight = slices[:, self._columns_of[group] : self._columns_of[group + 1]], self._full[group]
            macs, parameters = mine @ weight / weight.sum()
            found[name] = (float(macs), float(parameters))
        return found
