"""Splits that fit a model: batches in any order, by seed, of the whole or of a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from tfcompress.data.adapt import Adapter
from tfcompress.data.pieces import Piece, numbered, rebatched, shuffled
from tfcompress.data.raw import NOTHING_TOLD, RowSplit, Stream, Told

LABEL_BATCH = 8192
"""Labels that are looked at together, where they are not large."""

LABEL_BYTES = 64 << 20
"""Most bytes of labels that :meth:`TableSplit.label_batch` takes together."""


class Split(Protocol):
    """What training, calibration and evaluation read."""

    @property
    def name(self) -> str:
        """Which split: ``train``, ``test``, ``val`` or ``all``."""

    @property
    def size(self) -> int | None:
        """Number of samples; None until a stream has been read once."""

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
        """Yield ``(inputs, labels)``, the last batch possibly short.

        Args:
            batch_size: samples a batch.
            seed: None: in the order of the file; otherwise shuffled by seed and *epoch*. Data that can be read by row
                is shuffled fully; a stream through a bounded buffer (:func:`tfcompress.data.pieces.shuffled`).
            epoch: which pass this is; with *seed*, each has its own order.
            limit: at most so many samples: the first ones without *seed*, else a sample drawn by *seed* that is the
                same in every epoch.

        Yields:
            Inputs by the model's input names, preprocessed, in the model's dtypes, each ``(samples, ...)``; and labels
            (:mod:`tfcompress.data.labels` has their form), an array or (for a model of several outputs) one by output
            name, or None.
        """

    def weighted(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any, Any]]:
        """Yield ``(inputs, labels, sample weights)``; otherwise as :meth:`batches`.

        Yields:
            The weights are float32, shape (samples,) or that of the labels; an array or (for a model of several
            outputs) one by output name, as the labels; None where the data has none.
        """


@dataclass(frozen=True, repr=False)
class TableSplit:
    """A split that can be read by row.

    Attributes:
        name: which split.
        adapter: makes the rows fit the model.
        table: where the rows are.
        rows: the rows that belong to this split, in order.
        told: what is said of how they were read.
    """

    name: str
    adapter: Adapter
    table: RowSplit
    rows: np.ndarray
    told: Told = NOTHING_TOLD

    def __repr__(self) -> str:
        """Say which split it is, and how large."""
        return f"TableSplit({self.name!r}, {self.size:,} samples)"

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.rows)

    def count(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
        """Yield batches; see :class:`Split`."""
        for x, y, _ in self.weighted(batch_size, seed=seed, epoch=epoch, limit=limit):
            yield x, y

    def weighted(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any, Any]]:
        """Yield batches with sample weights; see :class:`Split`."""
        rows = self.rows[:limit]
        if seed is not None:
            rows = self.rows if limit is None else self.sample(limit, seed).rows
            rows = np.random.default_rng((seed, epoch)).permutation(rows)
        for chosen in _cut(rows, batch_size):
            yield self.adapter.adapted(*self.table.read(chosen), chosen)

    def groups(self) -> np.ndarray | None:
        """Return the group of each sample, shape (samples,); None where they have none."""
        return self.table.groups(self.rows)

    def pieces(self, batch_size: int) -> Iterator[Piece]:
        """Yield samples as stored, in order."""
        for chosen in _cut(self.rows, batch_size):
            x, y, weights = self.table.read(chosen)
            yield Piece(x, y, chosen, weights)

    def labels(self, batch_size: int) -> Iterator[Any]:
        """Yield the labels alone, in their one form, in order; the inputs are not touched."""
        for chosen in _cut(self.rows, batch_size):
            yield self.adapter.labels(self.table.labels(chosen), chosen)

    def label_batch(self, most: int) -> int:
        """Return how many labels fit into :data:`LABEL_BYTES` together (masks are large), at most *most*."""
        first = next(self.labels(1), None)
        parts = first.values() if isinstance(first, dict) else [] if first is None else [first]
        return max(1, min(most, LABEL_BYTES // max(1, sum(int(part.nbytes) for part in parts))))

    def check_weights(self, batch_size: int) -> bool:
        """Look at the sample weights alone; return whether there are any.

        Raises:
            DataError: weights that sum to zero, or are invalid.
        """
        total, found = 0.0, False
        for chosen in _cut(self.rows, batch_size):
            weights = self.adapter.weights(self.table.weights(chosen), chosen)
            if weights is None:
                return False
            found = True
            total += sum(float(part.sum()) for part in (weights.values() if isinstance(weights, dict) else [weights]))
        if found and total == 0.0:
            raise self.adapter.idle_weights()
        return found

    def sample(self, count: int, seed: int, *, together: int = 1) -> TableSplit:
        """Return the split of *count* of its samples drawn by *seed*, in order; itself when it has no more.

        Args:
            count: how many at most.
            seed: draws them.
            together: so many samples on end are drawn together or not at all; at least one such run is.
        """
        if count >= self.size:
            return self
        return replace(self, rows=self.rows[_drawn(self.size, count, seed, together)])


def _cut(rows: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]


def _drawn(size: int, count: int, seed: int, together: int = 1) -> np.ndarray:
    """Return *count* of the numbers below *size*, rising, int64, in runs of *together* of them on end."""
    runs = max(1, count // together)
    chosen = np.sort(np.random.default_rng(seed).choice(max(1, size // together), runs, replace=False, shuffle=False))
    return (chosen[:, None] * together + np.arange(together)).reshape(-1)


Keep = Callable[[np.ndarray], np.ndarray]
"""From samples' numbers in a stream (int64) to whether each belongs to the split (bool)."""


@dataclass(frozen=True, repr=False)
class StreamSplit:
    """A split of a stream, read from front to back; between passes nothing is remembered but its size.

    Attributes:
        name: which split.
        adapter: makes the samples fit the model.
        stream: where the samples come from.
        keep: which samples of the stream belong to this split; None: all.
        told: what is said of how they were read: nothing, so far.
    """

    name: str
    adapter: Adapter
    stream: Stream
    keep: Keep | None = None
    told: Told = NOTHING_TOLD
    _counted: list[int] = field(default_factory=list, compare=False)

    def __repr__(self) -> str:
        """Say which split it is, and how large where that is known."""
        return f"StreamSplit({self.name!r}, {'?' if self.size is None else f'{self.size:,}'} samples)"

    @property
    def size(self) -> int | None:
        """Number of samples; None before the first full pass."""
        return self._counted[0] if self._counted else None

    def count(self) -> int:
        """Return the number of samples, reading the stream once if that was not done before."""
        if not self._counted:
            for _ in self._kept():
                pass
        return self._counted[0]

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
        """Yield batches; see :class:`Split`. Drawing a sample needs the size, so an unread stream is read once more."""
        for x, y, _ in self.weighted(batch_size, seed=seed, epoch=epoch, limit=limit):
            yield x, y

    def weighted(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any, Any]]:
        """Yield batches with sample weights; see :meth:`batches`."""
        split = self.sample(limit, seed) if limit is not None and seed is not None else self
        pieces: Iterable[Piece] = split._kept()
        if seed is not None:
            pieces = shuffled(pieces, np.random.default_rng((seed, epoch)))
        elif limit is not None:
            pieces = _first(pieces, limit)
        for piece in rebatched(pieces, batch_size):
            yield self.adapter.adapted(piece.x, piece.y, piece.weights, piece.rows)

    def groups(self) -> None:
        """Return None: what is read from front to back has no groups."""

    def check_weights(self, batch_size: int) -> bool:
        """Return whether there are sample weights, by the first batch; the others are checked as they come."""
        piece = next(self.pieces(batch_size), None)
        return piece is not None and self.adapter.weights(piece.weights, piece.rows) is not None

    def pieces(self, batch_size: int) -> Iterator[Piece]:
        """Yield samples as stored, in order."""
        return rebatched(self._kept(), batch_size)

    def sample(self, count: int, seed: int, *, together: int = 1) -> StreamSplit:
        """Return the split of *count* of its samples drawn by *seed*, in order; see :meth:`TableSplit.sample`."""
        size = self.count()
        if count >= size:
            return self
        chosen = _drawn(size, count, seed, together)
        if self.keep is not None:
            numbers = [piece.rows for piece in self._kept()]
            chosen = np.concatenate(numbers)[chosen]
        return replace(self, keep=lambda rows: _among(chosen, rows), _counted=[len(chosen)])

    def _kept(self) -> Iterator[Piece]:
        kept = 0
        for piece in numbered(self.stream.chunks()):
            mask = np.ones(len(piece.rows), bool) if self.keep is None else self.keep(piece.rows)
            kept += int(mask.sum())
            if mask.all():
                yield piece
            elif mask.any():
                yield piece.select(mask)
        if not self._counted:
            self._counted.append(kept)


def _among(chosen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Tell which of *rows* are in *chosen*, which is rising."""
    nearest = np.minimum(np.searchsorted(chosen, rows), len(chosen) - 1)
    found: np.ndarray = chosen[nearest] == rows
    return found


BoundSplit = TableSplit | StreamSplit
"""A split as :mod:`tfcompress.data.dataset` builds it."""


def _first(pieces: Iterable[Piece], limit: int) -> Iterator[Piece]:
    for piece in pieces:
        if limit <= len(piece.rows):
            yield piece.select(np.arange(limit))
            return
        limit -= len(piece.rows)
        yield piece
