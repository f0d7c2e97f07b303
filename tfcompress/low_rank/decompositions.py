"""Kernels taken apart, by what their outputs are worth: each method gives factors of a kernel at given ranks.

What is kept is measured by a metric C, a symmetric matrix over what goes into the kernel: the loss of a kernel that is
off by D is ``trace(D' C D)``. With C the covariance of patches this is the energy of the outputs that is lost, mean
squares over samples (Zhang et al. 2016, arXiv:1505.06798, eq. 4); with C = 1 it is that of the weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tfcompress.low_rank.factors import Factor, Values, as_matrix, composed

Ranks = tuple[int, ...]
"""The sizes between the factors of a layer: one number, of Tucker's method two, of what goes in and what comes out."""

CP_SWEEPS = 60
"""Rounds of alternating least squares for a CP decomposition."""

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel, and the metric by which it is taken apart.

    Attributes:
        values: shape (rows, columns, inputs, outputs).
        metric: C, shape (rows * columns * inputs,) * 2; None: 1.
    """

    values: Values
    metric: Values | None = None

    @functools.cached_property
    def matrix(self) -> Values:
        """The kernel as a matrix, shape (rows * columns * inputs, outputs)."""
        return as_matrix(self.values)

    def seen(self, matrix: Values) -> Values:
        """Return C times a matrix."""
        return matrix if self.metric is None else self.metric @ matrix

    def lost(self, factors: tuple[Factor, ...]) -> float:
        """Return the loss of what factors compute instead."""
        off = self.matrix - as_matrix(composed(factors))
        return max(0.0, float((off * self.seen(off)).sum()))

    def behind(self, rank: int) -> tuple[Values, Values]:
        """Return the best kernel behind the first directions of the inputs, and the directions of its outputs.

        Returns:
            Shapes (rows * columns * rank, outputs) and (outputs, outputs).
        """
        if rank not in self._behind:
            window = self.values.shape[0] * self.values.shape[1]
            basis = np.asarray(np.kron(np.eye(window), self.input_directions[:, :rank]), np.float64)
            fitted = _fitted(self, basis)
            given = basis @ fitted
            self._behind[rank] = fitted, _principal(given.T @ self.seen(given))[0]
        return self._behind[rank]

    @functools.cached_property
    def _behind(self) -> dict[int, tuple[Values, Values]]:
        return {}

    @property
    def energy(self) -> float:
        """All that there is to lose."""
        return max(0.0, float((self.matrix * self.seen(self.matrix)).sum()))

    @functools.cached_property
    def output_directions(self) -> Values:
        """Directions of the outputs by falling energy, shape (outputs, outputs)."""
        return _principal(self.matrix.T @ self.seen(self.matrix))[0]

    @functools.cached_property
    def column_directions(self) -> Values:
        """Directions of what goes into one column of the window, the best first, shape (rows * inputs,) * 2."""
        rows, columns, inputs, outputs = self.values.shape
        flat = self.values.transpose(0, 2, 1, 3).reshape(rows * inputs, columns * outputs)
        if self.metric is None:
            return _left_directions(flat, None)
        parts = self.metric.reshape(rows, columns, inputs, rows, columns, inputs)
        return _left_directions(flat, np.einsum("abcdbe->acde", parts).reshape(rows * inputs, -1))

    @functools.cached_property
    def input_directions(self) -> Values:
        """Directions of the channels that go in, the best first, shape (inputs, inputs)."""
        rows, columns, inputs, _ = self.values.shape
        flat = self.values.transpose(2, 0, 1, 3).reshape(inputs, -1)
        if self.metric is None:
            return _left_directions(flat, None)
        parts = self.metric.reshape(rows * columns, inputs, rows * columns, inputs)
        return _left_directions(flat, np.einsum("acad->cd", parts))


def _principal(moments: Values) -> tuple[Values, Values]:
    values, vectors = np.linalg.eigh((moments + moments.T) / 2.0)
    return vectors[:, ::-1], np.maximum(values[::-1], 0.0)


def by_svd(kernel: Kernel, ranks: Ranks) -> tuple[Factor, ...]:
    """Take a kernel apart into one with fewer outputs and a matrix behind it.

    The outputs are projected on their first principal directions U: ``W = (W U) U'`` (Zhang et al. 2016, eq. 6), which
    no other factors of this rank can beat (Eckart & Young 1936); with C = 1 it is the truncated SVD.
    """
    directions = kernel.output_directions[:, : ranks[0]]
    first = (kernel.matrix @ directions).reshape(*kernel.values.shape[:3], -1)
    return Factor(first, (True, True)), Factor(_matrix(directions.T), (False, False))


def by_spatial(kernel: Kernel, ranks: Ranks) -> tuple[Factor, ...]:
    """Take a kernel apart into a column of filters and a row of them (Jaderberg et al. 2014, arXiv:1405.3866, eq. 5).

    The columns come from the SVD of the kernel as a matrix of (rows, inputs) x (columns, outputs), in the metric of
    what goes into a column; the row is fitted to what the whole kernel gives, by least squares.
    """
    rows, columns, inputs, outputs = kernel.values.shape
    vertical = kernel.column_directions[:, : ranks[0]].reshape(rows, 1, inputs, -1)
    basis = np.einsum("acr,be->abcer", vertical[:, 0], np.eye(columns)).reshape(rows * columns * inputs, -1)
    horizontal = _fitted(kernel, basis).reshape(1, columns, -1, outputs)
    return Factor(vertical, (True, False)), Factor(horizontal, (False, True))


def by_tucker(kernel: Kernel, ranks: Ranks) -> tuple[Factor, ...]:
    """Take a kernel apart by its inputs and its outputs (Kim et al. 2016, arXiv:1511.06530, eq. 4).

    The directions of the inputs come from the SVD of the kernel as a matrix of inputs x all else, in the metric of the
    inputs; core and outputs are the best of their rank behind those: reduced-rank regression (Izenman 1975).
    """
    rows, columns = kernel.values.shape[:2]
    entry = kernel.input_directions[:, : ranks[0]]
    fitted, directions = kernel.behind(ranks[0])
    directions = directions[:, : ranks[1]]
    core = (fitted @ directions).reshape(rows, columns, ranks[0], -1)
    return (
        Factor(_matrix(entry), (False, False)),
        Factor(core, (True, True)),
        Factor(_matrix(directions.T), (False, False)),
    )


def by_cp(kernel: Kernel, ranks: Ranks) -> tuple[Factor, ...]:
    """Take a kernel apart into a sum of products of four vectors (Lebedev et al. 2015, arXiv:1412.6553, eq. 2).

    By alternating least squares from a sum that is exact at the full rank; what comes out is fitted in the metric.
    """
    rows, columns, inputs, _ = kernel.values.shape
    vertical, horizontal, entry = _cp_vectors(kernel.values, ranks[0])
    rank = entry.shape[1]
    basis = np.einsum("ar,br,cr->abcr", vertical, horizontal, entry).reshape(rows * columns * inputs, rank)
    found = [Factor(_matrix(entry), (False, False))]
    if rows > 1:
        found.append(Factor(vertical.reshape(rows, 1, rank, 1), (True, False), depthwise=True))
    if columns > 1:
        found.append(Factor(horizontal.reshape(1, columns, rank, 1), (False, True), depthwise=True))
    # An axis without a window has a single number for each term, which goes with the inputs.
    alone = (vertical if rows == 1 else 1.0) * (horizontal if columns == 1 else 1.0)
    found[0] = Factor(_matrix(entry * alone), (False, False))
    return (*found, Factor(_matrix(_fitted(kernel, basis, alike=True)), (False, False)))


@dataclass(frozen=True, eq=False)
class ProjectedKernel(Kernel):
    """A kernel of which only the outputs' moments are known: too much goes in. It is taken apart by svd.

    Attributes:
        moments: mean products of any two outputs, shape (outputs, outputs).
    """

    moments: Values = field(default_factory=lambda: np.zeros((0, 0)))

    def lost(self, factors: tuple[Factor, ...]) -> float:
        """Return the loss of outputs that are projected on the directions of the last factor."""
        directions = factors[1].kernel[0, 0]
        off = np.eye(len(self.moments)) - directions.T @ directions
        return max(0.0, float((off * (self.moments @ off)).sum()))

    @property
    def energy(self) -> float:
        """The energy of the outputs."""
        return float(np.trace(self.moments))

    @functools.cached_property
    def output_directions(self) -> Values:
        """Directions of the outputs by falling energy."""
        return _principal(self.moments)[0]


Decomposition = Callable[[Kernel, Ranks], tuple[Factor, ...]]

METHODS: Mapping[str, Decomposition] = {"svd": by_svd, "spatial": by_spatial, "tucker": by_tucker, "cp": by_cp}
"""Every way to take a kernel apart."""


def full_ranks(method: str, shape: tuple[int, ...]) -> Ranks:
    """Return the ranks at which factors lose nothing, whatever the kernel holds.

    Args:
        method: one of :data:`METHODS`.
        shape: the kernel's: (rows, columns, inputs, outputs).

    Example:
        >>> full_ranks("spatial", (3, 3, 8, 4)), full_ranks("tucker", (3, 3, 8, 4))
        ((12,), (8, 4))
    """
    rows, columns, inputs, outputs = shape
    if method == "spatial":
        return (min(rows * inputs, columns * outputs),)
    if method == "tucker":
        return (inputs, outputs)
    if method == "cp":
        return (rows * columns * min(inputs, outputs),)
    return (min(rows * columns * inputs, outputs),)


class Outline(NamedTuple):
    """What a factor will be: as much as its cost needs."""

    weights: int
    windowed: tuple[bool, bool]


def outlines(method: str, shape: tuple[int, ...], ranks: Ranks) -> tuple[Outline, ...]:
    """Return what the factors of a kernel of a shape will be.

    Example:
        >>> [part.weights for part in outlines("spatial", (3, 3, 8, 4), (5,))]
        [120, 60]
    """
    rows, columns, inputs, outputs = shape
    first, last, both, none = ranks[0], ranks[-1], (True, True), (False, False)
    if method == "svd":
        return Outline(rows * columns * inputs * first, both), Outline(first * outputs, none)
    if method == "spatial":
        return Outline(rows * inputs * first, (True, False)), Outline(columns * first * outputs, (False, True))
    ends = Outline(inputs * first, none), Outline(last * outputs, none)
    if method == "tucker":
        return ends[0], Outline(rows * columns * first * last, both), ends[1]
    vertical = [Outline(rows * first, (True, False))] if rows > 1 else []
    horizontal = [Outline(columns * first, (False, True))] if columns > 1 else []
    return (ends[0], *vertical, *horizontal, ends[1])


def best_factors(kernel: Kernel, method: str, ranks: Ranks, *candidates: Kernel) -> tuple[tuple[Factor, ...], float]:
    """Return the factors of least loss, and that loss.

    Args:
        kernel: with the metric by which factors are judged.
        method: one of :data:`METHODS`.
        ranks: each from 1 to what :func:`full_ranks` says.
        candidates: the same kernel with each metric in which it is taken apart.
    """
    tried = [METHODS[method](candidate, ranks) for candidate in candidates]
    losses = [kernel.lost(factors) for factors in tried]
    best = int(np.argmin(losses))
    return tried[best], losses[best]


def _matrix(values: Values) -> Values:
    return values[None, None]


def _fitted(kernel: Kernel, basis: Values, *, alike: bool = False) -> Values:
    """Return H for which ``basis @ H`` comes nearest to the kernel in its metric: least squares.

    Args:
        kernel: the kernel.
        basis: shape (rows * columns * inputs, n).
        alike: whether columns of the basis may be nearly the same.
    """
    seen = kernel.seen(basis)
    gram: Values = basis.T @ seen
    product: Values = seen.T @ kernel.matrix
    if alike:
        return np.asarray(np.linalg.lstsq(gram, product, rcond=_TINY)[0], np.float64)
    ridge = _TINY * float(np.trace(gram)) / len(gram)
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)), product), np.float64)


def _left_directions(flat: Values, metric: Values | None) -> Values:
    """Return directions P, the first of which come nearest to a matrix, ``P P+ M``, in a metric of its rows.

    Args:
        flat: M, shape (rows, columns).
        metric: shape (rows, rows); None: 1.

    Returns:
        Shape (rows, rows), each column of length 1.
    """
    if metric is None:
        return _principal(flat @ flat.T)[0]
    vectors, values = _principal(metric)
    values = np.sqrt(np.maximum(values, _TINY * max(float(values[0]), _TINY)))
    root, inverse = (vectors * values) @ vectors.T, (vectors / values) @ vectors.T
    whitened = root @ flat
    directions = inverse @ _principal(whitened @ whitened.T)[0]
    found: Values = directions / np.linalg.norm(directions, axis=0)
    return found


def _cp_vectors(values: Values, rank: int) -> tuple[Values, Values, Values]:
    """Return the vectors of a CP decomposition over rows, columns and inputs: shapes (size, rank)."""
    parts = _exact_terms(values, rank)
    full = full_ranks("cp", values.shape)[0]
    if rank < full:
        parts = _alternated(values, parts)
    return parts[0], parts[1], parts[2]


def _exact_terms(values: Values, rank: int) -> list[Values]:
    """Return the largest terms of a sum of products that is the kernel: the SVD of each place of its window."""
    rows, columns, inputs, outputs = values.shape
    left, sizes, right = np.linalg.svd(values.reshape(rows * columns, inputs, outputs), full_matrices=False)
    count = sizes.shape[1]
    chosen = np.argsort(-sizes.ravel(), kind="stable")[:rank]
    place, term = chosen // count, chosen % count
    return [
        np.eye(rows)[:, place // columns],
        np.eye(columns)[:, place % columns],
        left[place, :, term].T,
        (sizes[place, term, None] * right[place, term]).T,
    ]


def _alternated(values: Values, parts: list[Values]) -> list[Values]:
    """Improve the terms of a sum of products, one axis after the other, by least squares."""
    letters = "abco"
    level = 1e-6 * float((values**2).sum()) or 1.0
    for _ in range(CP_SWEEPS):
        for axis in range(4):
            others = [n for n in range(4) if n != axis]
            for n in others:  # all scale goes to the axis that is solved for: terms that grow against each other cannot
                parts[n] = parts[n] / np.maximum(np.linalg.norm(parts[n], axis=0), _TINY)
            gram = np.prod([parts[n].T @ parts[n] for n in others], axis=0)
            terms = ",".join(f"{letters[n]}r" for n in others)
            product = np.einsum(
                f"{letters},{terms}->{letters[axis]}r", values, *(parts[n] for n in others), optimize=True
            )
            ridge = level / values.size * np.eye(len(gram))
            parts[axis] = np.linalg.solve(gram + ridge, product.T).T
    return parts
