"""Rows of readings cut into windows of some rows each, none of which crosses from one group into another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfcompress.data import memory
from tfcompress.data.arrays import ArraySplit
from tfcompress.data.ondisk import Rows
from tfcompress.data.raw import Labels, RawSplit, SampleWeights, Stored, Told
from tfcompress.errors import DataError, UsageError

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature, TensorSpec

BLOCK_CELLS = 4_000_000
"""Most numbers of labels that are counted together."""

LISTED = 5
"""Most groups that a line names."""


@dataclass(frozen=True, repr=False)
class WindowedSplit:
    """Rows that become windows.

    Attributes:
        rows: a table or arrays, a reading a row.
        window: rows of a sample.
        stride: rows between the starts of two windows.
    """

    rows: RawSplit
    window: int
    stride: int

    def __repr__(self) -> str:
        """Say what is cut, and how."""
        return f"WindowedSplit({self.rows!r}, {self.window} rows every {self.stride})"

    @property
    def x_name(self) -> str:
        """What messages call the inputs."""
        return self.rows.x_name

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return self.rows.y_name

    def fit(self, signature: Signature) -> WindowTable:
        """Cut the rows, whose shape is that of the model's inputs without the first axis.

        Raises:
            DataError: the model takes windows of another length; no group is as long as a window; labels that are no
                classes change within one.
            UsageError: what is read from front to back.
        """
        for spec in signature.inputs:
            if not spec.shape or spec.shape[0] not in (None, self.window):
                takes = f"windows of {spec.shape[0]:,} rows" if spec.shape else "single numbers"
                msg = (
                    f"data: the window is {self.window:,} rows, the model's input {spec.name!r} of shape {spec.shape} "
                    f"takes {takes}; give --window {spec.shape[0] if spec.shape else 'no window'}"
                )
                raise DataError(msg)
        fitted = self.rows.fit(replace(signature, inputs=tuple(map(_without_first, signature.inputs))))
        if not isinstance(fitted, ArraySplit):
            msg = f"window cuts tables and arrays, {self.x_name} is read from front to back; cut it yourself"
            raise UsageError(msg)
        return cut_rows(fitted, self.window, self.stride, signature)


def _without_first(spec: TensorSpec) -> TensorSpec:
    return replace(spec, shape=spec.shape[1:])


class _Runs(NamedTuple):
    """Rows in a row of one group: where each run starts, how long it is, and its group (empty without groups)."""

    starts: np.ndarray
    lengths: np.ndarray
    groups: np.ndarray


def cut_rows(rows: ArraySplit, window: int, stride: int, signature: Signature) -> WindowTable:
    """Cut rows into windows.

    Args:
        rows: a reading a row, with groups or without.
        window: rows of a sample.
        stride: rows between the starts of two windows.
        signature: the model's; an output of as many steps as a window keeps a label for each.

    Raises:
        DataError: see :meth:`WindowedSplit.fit`.
    """
    memory.need(64 * rows.size, f"the groups and labels of {rows.size:,} rows of {rows.x_name}")
    runs = _runs(rows)
    counts = np.maximum(0, (runs.lengths - window) // stride + 1)
    if not counts.sum():
        raise _too_long(rows.x_name, runs, window)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(runs.starts, counts) + stride * (np.arange(counts.sum()) - first)
    table = WindowTable(rows, window, starts, runs.groups[np.repeat(np.arange(len(counts)), counts)])
    used = int(np.where(counts, (counts - 1) * stride + window, 0).sum())
    notes = [f"{rows.x_name}: {len(starts):,} windows of {window:,} rows every {stride:,}, from {rows.size:,} rows"]
    if used < rows.size:
        notes.append(f"{rows.x_name}: {rows.size - used:,} rows are in no window: too few are left behind the last one")
    pieces = len(runs.starts) - len(np.unique(runs.groups))
    if pieces and len(runs.groups):
        notes.append(
            f"{rows.x_name}: groups come in {len(runs.starts):,} pieces, and no window goes from one to another"
        )
    return table.labelled(
        signature, Told((*rows.told.notes, *notes), (*rows.told.warnings, *_short(rows, runs, window)))
    )


def _runs(rows: ArraySplit) -> _Runs:
    groups = rows.groups(np.arange(rows.size))
    if groups is None:
        return _Runs(np.zeros(1, np.int64), np.array([rows.size]), np.zeros(1, "U1"))
    starts = np.concatenate([[0], np.flatnonzero(groups[1:] != groups[:-1]) + 1])
    return _Runs(starts, np.diff(np.append(starts, rows.size)), groups[starts])


def _too_long(where: str, runs: _Runs, window: int) -> DataError:
    longest = int(np.argmax(runs.lengths))
    what = (
        f"group {str(runs.groups[longest])!r}, the longest of {len(runs.lengths):,}," if runs.groups[longest] else "it"
    )
    sorting = "; are rows sorted by group?" if len(np.unique(runs.groups)) < len(runs.groups) else ""
    return DataError(
        f"data: {where} holds no window of {window:,} rows: {what} has {runs.lengths[longest]:,}; give a shorter "
        f"--window (and a model that takes it){sorting}"
    )


def _short(rows: ArraySplit, runs: _Runs, window: int) -> list[str]:
    """Return the warning that names groups shorter than a window."""
    places = np.flatnonzero(runs.lengths < window)
    if not len(places):
        return []
    named = ", ".join(f"{runs.groups[place]} ({runs.lengths[place]:,})" for place in places[:LISTED])
    more = ", ..." if len(places) > LISTED else ""
    return [
        f"{rows.x_name}: {len(places):,} of {len(runs.lengths):,} groups are shorter than the window of {window:,} "
        f"rows and are left out: {named}{more}"
    ]


@dataclass(frozen=True)
class WindowTable:
    """Windows, by row.

    Attributes:
        rows: the readings.
        window: how many of them make a sample.
        starts: the first row of each window, int64.
        group: the group of each window; empty text where there are none.
        y: labels of the windows.
        sample_weight: how much each window counts.
        told: what was done.
    """

    rows: ArraySplit
    window: int
    starts: np.ndarray
    group: np.ndarray
    y: Labels = None
    sample_weight: SampleWeights = None
    told: Told = field(default_factory=Told)

    @property
    def size(self) -> int:
        """Number of windows."""
        return len(self.starts)

    def read(self, rows: np.ndarray) -> Stored:
        """Return the windows of *rows*, each input of shape (samples, window, ...), copied."""
        return Stored(
            {name: self._stacked(array, rows) for name, array in self.rows.x.items()},
            self.labels(rows),
            self.weights(rows),
        )

    def _stacked(self, array: Rows, rows: np.ndarray) -> np.ndarray:
        if not len(rows):
            return np.empty((0, self.window, *array.shape[1:]), array.dtype)
        return np.stack([array.take(np.arange(start, start + self.window)) for start in self.starts[rows]])

    def labels(self, rows: np.ndarray) -> Labels:
        """Return the labels of *rows*, copied."""
        return _taken(self.y, rows)

    def weights(self, rows: np.ndarray) -> SampleWeights:
        """Return the sample weights of *rows*, copied."""
        return _taken(self.sample_weight, rows)

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return all of *rows* when readings are floats (they may hold NaN) or *changed*, none otherwise."""
        return self.rows.doubtful(rows, changed=changed)

    def groups(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the group of each of *rows*; without groups, one for all where windows overlap, else None."""
        overlapping = bool((np.diff(self.starts) < self.window).any())
        return np.asarray(self.group[rows]) if overlapping or self.rows.group is not None else None

    def called(self, row: int) -> str:
        """Return the rows of a window, counted from 1."""
        start = int(self.starts[row])
        return f"rows {start + 1:,} to {start + self.window:,} of {self.rows.x_name}"

    def labelled(self, signature: Signature, told: Told) -> WindowTable:
        """Return the same with a label and a weight for each window.

        A window of rows with several labels gets that of most of them, or the smallest of those. An output of as many
        steps as a window has keeps one for each row.

        Raises:
            DataError: labels that change within a window, and are no whole numbers.
        """
        steps = {spec.name for spec in signature.outputs if len(spec.shape) > 1 and spec.shape[0] == self.window}
        only = signature.outputs[0].name if len(signature.outputs) == 1 else None
        labels: dict[str, np.ndarray] = {}
        notes = list(told.notes)
        for name, rows in _named(self.rows.y).items():
            where = f"{self.rows.y_name}.{name}" if name else self.rows.y_name
            if (name or only) in steps:
                labels[name] = self._stacked(rows, np.arange(self.size))
                notes.append(f"{where}: a label for each row of a window, as the model's output has")
                continue
            labels[name], mixed = self._most(rows.take(np.arange(self.rows.size)), where)
            notes.append(
                f"{where}: {mixed:,} of {self.size:,} windows hold several labels, that of most rows counts"
                if mixed
                else f"{where}: every window holds one label"
            )
        weights = {name: self._mean(rows) for name, rows in _named(self.rows.sample_weight).items()}
        return replace(self, y=_plain(labels), sample_weight=_plain(weights), told=Told(tuple(notes), told.warnings))

    def _most(self, y: np.ndarray, where: str) -> tuple[np.ndarray, int]:
        """Return the label of most rows of each window, and of how many windows not all rows have it."""
        flat = y.reshape(len(y), -1)
        absent = np.isnan(flat).any(axis=1) if y.dtype.kind == "f" else np.zeros(len(y), bool)
        _, first, codes = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        codes = codes.reshape(-1)
        whole = not (flat[~absent] % 1).any()
        found, mixed = [], []
        for block, inside in self._blocks(len(first)):
            places = np.arange(len(block))[:, None] * len(first) + codes[inside]
            counts = np.bincount(places.reshape(-1), minlength=len(block) * len(first)).reshape(len(block), -1)
            chosen = y[first[counts.argmax(axis=1)]]
            bad = absent[inside].any(axis=1)
            if bad.any():
                chosen[bad] = np.nan
            several = (counts.max(axis=1) < self.window) & ~bad
            if several.any() and not whole:
                raise self._changing(int(block[np.flatnonzero(several)[0]]), where)
            found.append(chosen)
            mixed.append(several)
        return np.concatenate(found), int(np.concatenate(mixed).sum())

    def _changing(self, start: int, where: str) -> DataError:
        rows = f"rows {start + 1:,} to {start + self.window:,}"
        return DataError(
            f"data: {where} changes within the window of {rows}, and is no class; give a label for each window, or a "
            "shorter --window"
        )

    def _blocks(self, different: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield some starts, and the rows of their windows, shape (windows, window)."""
        count = max(1, BLOCK_CELLS // max(different, self.window))
        for place in range(0, self.size, count):
            block = self.starts[place : place + count]
            yield block, block[:, None] + np.arange(self.window)

    def _mean(self, rows: Rows) -> np.ndarray:
        values = rows.take(np.arange(rows.shape[0]))
        return np.concatenate([values[inside].mean(axis=1) for _, inside in self._blocks(1)])


def _named(part: Rows | Mapping[str, Rows] | None) -> Mapping[str, Rows]:
    return {} if part is None else part if isinstance(part, Mapping) else {"": part}


def _plain(named: dict[str, np.ndarray]) -> Labels:
    return named[""] if set(named) == {""} else named or None


def _taken(part: Labels, rows: np.ndarray) -> Labels:
    if isinstance(part, dict):
        return {name: array[rows] for name, array in part.items()}
    return None if part is None else part[rows]
