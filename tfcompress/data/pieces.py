"""Pieces of a stream: cut into batches, and shuffled through a bounded buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tfcompress.data.raw import Labels, RawInputs, SampleWeights, Stored
from tfcompress.errors import DataError

SHUFFLE_SAMPLES = 10_000
"""Most samples that a stream holds back to shuffle."""

SHUFFLE_BYTES = 128 << 20
"""Most bytes (as stored) that a stream holds back to shuffle."""


class Piece(NamedTuple):
    """Some samples as stored.

    Attributes:
        x: inputs by name, shape (samples, ...).
        y: labels.
        rows: the samples' numbers in their stream, int64, shape (samples,).
        weights: sample weights.
    """

    x: RawInputs
    y: Labels
    rows: np.ndarray
    weights: SampleWeights = None

    def select(self, chosen: np.ndarray) -> Piece:
        """Return a copy of the *chosen* samples (indices or a mask)."""
        x = {name: part[chosen] for name, part in self.x.items()}
        y, weights = (map_labels(each, lambda part: part[chosen]) for each in (self.y, self.weights))
        return Piece(x, y, self.rows[chosen], weights)

    def overwrite_(self, places: np.ndarray, other: Piece) -> None:
        """Put *other*'s samples into *places*."""
        for mine, theirs in zip(_arrays(self), _arrays(other), strict=True):
            mine[places] = theirs


def _arrays(piece: Piece) -> list[np.ndarray]:
    return [*piece.x.values(), *_parts(piece.y), piece.rows, *_parts(piece.weights)]


def _parts(y: Labels) -> list[np.ndarray]:
    return [] if y is None else list(y.values()) if isinstance(y, dict) else [y]


def _like(y: Labels, parts: Sequence[np.ndarray]) -> Labels:
    if isinstance(y, dict):
        return dict(zip(y, parts, strict=True))
    return None if y is None else parts[0]


def map_labels(y: Labels, function: Callable[[np.ndarray], np.ndarray]) -> Labels:
    """Apply *function* to each array of *y*."""
    if y is None:
        return None
    return {name: function(part) for name, part in y.items()} if isinstance(y, dict) else function(y)


def numbered(chunks: Iterable[Stored]) -> Iterator[Piece]:
    """Count the samples of a stream's chunks from 0 on."""
    start = 0
    for x, y, weights in chunks:
        stop = start + len(next(iter(x.values())))
        yield Piece(x, y, np.arange(start, stop), weights)
        start = stop


def joined(pieces: Sequence[Piece]) -> Piece:
    """Return *pieces* as one.

    Raises:
        DataError: samples of different shapes.
    """
    if len(pieces) == 1:
        return pieces[0]
    columns = [_concatenated(parts) for parts in zip(*map(_arrays, pieces), strict=True)]
    first = pieces[0]
    x = dict(zip(first.x, columns, strict=False))
    rows = len(x) + len(_parts(first.y))
    return Piece(x, _like(first.y, columns[len(x) : rows]), columns[rows], _like(first.weights, columns[rows + 1 :]))


def _concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        msg = f"data: all samples must have one shape, got {' and '.join(map(str, sorted(shapes)))}; resize or pad them"
        raise DataError(msg)
    return np.concatenate(parts)


def rebatched(pieces: Iterable[Piece], batch_size: int) -> Iterator[Piece]:
    """Cut pieces of any length into batches of *batch_size*, the last possibly short."""
    waiting: list[Piece] = []
    held = 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece.rows)
        if held < batch_size:
            continue
        together = joined(waiting)
        whole = held - held % batch_size
        for start in range(0, whole, batch_size):
            yield together.select(np.arange(start, start + batch_size))
        waiting = [together.select(np.arange(whole, held))] if whole < held else []
        held -= whole
    if waiting:
        yield joined(waiting)


def shuffled(pieces: Iterable[Piece], rng: np.random.Generator) -> Iterator[Piece]:
    """Shuffle through a buffer: each piece that comes in takes the places of samples drawn from it.

    The buffer holds :data:`SHUFFLE_SAMPLES` samples, or fewer where they would take more than :data:`SHUFFLE_BYTES`.
    """
    filling: list[Piece] = []
    buffer: Piece | None = None
    for piece in pieces:
        if buffer is None:
            filling.append(piece)
            if sum(len(part.rows) for part in filling) >= _capacity(piece):
                buffer, filling = joined(filling), []
            continue
        for start in range(0, len(piece.rows), len(buffer.rows)):
            incoming = piece.select(np.arange(start, min(start + len(buffer.rows), len(piece.rows))))
            places = rng.choice(len(buffer.rows), len(incoming.rows), replace=False)
            yield buffer.select(places)
            buffer.overwrite_(places, incoming)
    if filling:
        buffer = joined(filling)
    if buffer is not None:
        yield buffer.select(rng.permutation(len(buffer.rows)))


def _capacity(piece: Piece) -> int:
    each = sum(part.nbytes for part in piece.x.values()) // max(len(piece.rows), 1)
    return max(1, min(SHUFFLE_SAMPLES, SHUFFLE_BYTES // max(each, 1)))
