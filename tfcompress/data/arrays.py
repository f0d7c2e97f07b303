"""Splits made of arrays: in memory, in an ``.npz``, or spooled from a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data.elements import as_array
from tfcompress.data.labels import is_text
from tfcompress.data.ondisk import InMemory, Rows
from tfcompress.data.raw import NOTHING_TOLD, Labels, RawSplit, SampleWeights, Stored, Told
from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

SPLITS = ("train", "test", "val")
"""Splits that data may name; one unnamed split is called ``all``."""

WEIGHTS = "sample_weight"
"""What sample weights are called: ``sample_weight_train`` beside ``x_train`` and ``y_train``."""

ALL = "all"

CLASSES = 1_000_000
"""Most names of classes: the largest outputs (words of a vocabulary) have some hundred thousand."""

CLASS_NAME_BYTES = 64 << 20
"""Most bytes that all their names take."""


@dataclass(frozen=True, repr=False)
class ArraySplit:
    """Inputs and labels of as many rows each.

    Attributes:
        x: inputs by name, shape (samples, ...); ``""`` is the only input of data that has no names.
        y: labels: one array, one by output name, or None.
        x_name: what messages call the inputs.
        y_name: what messages call the labels.
        sample_weight: how much each sample counts in training: as *y*, or None.
        group: the group of each sample (a session, a person), shape (samples,), numbers or text; or None.
        told: what is said of how they were read.
    """

    x: Mapping[str, Rows]
    y: Rows | Mapping[str, Rows] | None
    x_name: str
    y_name: str
    sample_weight: Rows | Mapping[str, Rows] | None = None
    group: Rows | None = None
    told: Told = NOTHING_TOLD

    def __post_init__(self) -> None:
        """Refuse text, objects and arrays of different lengths.

        Raises:
            DataError: saying which array and what it holds.
        """
        for where, rows in self._arrays():
            if not rows.shape:
                msg = f"data: {where} must have samples along its first axis, got a single value"
                raise DataError(msg)
            if rows.shape[0] and 0 in rows.shape[1:]:
                msg = f"data: {where} has shape {rows.shape}, samples of no values; give at least one a sample"
                raise DataError(msg)
        sizes = {where: rows.shape[0] for where, rows in self._arrays()}
        if len(set(sizes.values())) > 1:
            counts = ", ".join(f"{where} has {size:,}" for where, size in sizes.items())
            msg = f"data: inputs and labels must have as many samples as each other: {counts}"
            raise DataError(msg)
        for name, rows in self.x.items():
            if rows.dtype.kind not in "biuf":
                where = f"{self.x_name}.{name}" if name else self.x_name
                msg = f"data: {where} must hold numbers, got dtype {rows.dtype}"
                raise DataError(msg)

    def __repr__(self) -> str:
        """Say how many samples there are of which shapes."""
        shapes = ", ".join(f"{where} {rows.shape} {rows.dtype}" for where, rows in self._arrays())
        return f"ArraySplit({shapes})"

    def _arrays(self) -> list[tuple[str, Rows]]:
        weights_name = f"{WEIGHTS}{self.x_name.removeprefix('x')}"
        parts = ((self.x_name, self.x), (self.y_name, self.y), (weights_name, self.sample_weight))
        return [
            (f"{where}.{name}" if name else where, rows)
            for where, part in parts
            if part is not None
            for name, rows in (part.items() if isinstance(part, Mapping) else [("", part)])
        ]

    @property
    def size(self) -> int:
        """Number of samples."""
        return next(iter(self.x.values())).shape[0]

    def fit(self, signature: Signature) -> ArraySplit:
        """Return itself: arrays are what they are."""
        return self

    def read(self, rows: np.ndarray) -> Stored:
        """Return the samples of *rows*, copied."""
        x = {name: array.take(rows) for name, array in self.x.items()}
        return Stored(x, self.labels(rows), self.weights(rows))

    def labels(self, rows: np.ndarray) -> Labels:
        """Return the labels of *rows*, copied."""
        return _taken(self.y, rows)

    def weights(self, rows: np.ndarray) -> SampleWeights:
        """Return the sample weights of *rows*, copied."""
        return _taken(self.sample_weight, rows)

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return all of *rows* when inputs are floats (they may hold NaN) or *changed*, none otherwise."""
        return rows if changed or any(array.dtype.kind == "f" for array in self.x.values()) else rows[:0]

    def called(self, row: int) -> str:
        """Return the number of a sample."""
        return f"sample {row:,} of {self.x_name}"

    def groups(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the groups of *rows*, copied; None where there are none."""
        return None if self.group is None else self.group.take(rows)


def _taken(part: Rows | Mapping[str, Rows] | None, rows: np.ndarray) -> Labels:
    if isinstance(part, Mapping):
        return {name: array.take(rows) for name, array in part.items()}
    return None if part is None else part.take(rows)


def splits_of(members: Mapping[str, Rows], source: str) -> dict[str, RawSplit]:
    """Sort arrays into splits by their names.

    Args:
        members: ``x_train``, ``y_train``, ``x_test``, ``y_test``, ``x_val``, ``y_val``, or ``x`` and ``y``; with
            several inputs or outputs ``x_train.NAME`` and ``y_train.NAME``; sample weights are called
            ``sample_weight_train`` likewise. Other names are left alone.
        source: what messages call the data.

    Returns:
        Splits by name: some of ``train``, ``test``, ``val``, or only ``all``.

    Raises:
        DataError: no such names, labels without inputs, or what :class:`ArraySplit` refuses.
    """
    found: dict[str, RawSplit] = {}
    for split in (*SPLITS, ALL):
        suffix = "" if split == ALL else f"_{split}"
        x, y = _named(members, f"x{suffix}"), _named(members, f"y{suffix}")
        if y and not x:
            msg = f"data {source!r} has y{suffix} but no x{suffix}; give both; it holds {_listed(members)}"
            raise DataError(msg)
        weights = _named(members, f"{WEIGHTS}{suffix}")
        if weights and not y:
            msg = f"data {source!r} has {WEIGHTS}{suffix} but no y{suffix}; weights weigh labels: give both"
            raise DataError(msg)
        if x:
            found[split] = ArraySplit(x, _plain(y), f"x{suffix}", f"y{suffix}", _plain(weights))
    if not found:
        wanted = "x_train and y_train, x_test and y_test, or x and y"
        msg = f"data {source!r} must hold {wanted}; it holds {_listed(members)}"
        raise DataError(msg)
    if ALL in found and len(found) > 1:
        msg = f"data {source!r} must hold either x and y or x_train, x_test, ..., not both; remove one of them"
        raise DataError(msg)
    return found


def _plain(named: dict[str, Rows]) -> Rows | dict[str, Rows] | None:
    return named[""] if set(named) == {""} else named or None


def stored_names(members: Mapping[str, Rows]) -> tuple[str, ...]:
    """Return the text array called ``labels``: the names of the classes in the order of their numbers, or ``()``.

    Raises:
        DataError: it is far too long to be that.
    """
    rows = members.get("labels")
    if rows is None or rows.dtype.kind not in "US" or len(rows.shape) != 1:
        return ()
    size_bytes = rows.shape[0] * rows.dtype.itemsize
    if rows.shape[0] > CLASSES or size_bytes > CLASS_NAME_BYTES:
        msg = (
            f"data: labels must name the classes, at most {CLASSES:,} in {CLASS_NAME_BYTES:,} bytes, "
            f"got {rows.shape[0]:,} in {size_bytes:,}"
        )
        raise DataError(msg)
    names = rows.take(np.arange(rows.shape[0]))
    if not is_text(names):
        msg = "data: labels must name the classes, its characters are none; write it again"
        raise DataError(msg)
    return tuple(name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name) for name in names)


def _listed(members: Mapping[str, Rows]) -> str:
    return ", ".join(list(members)[:10]) or "nothing"


def _named(members: Mapping[str, Rows], stem: str) -> dict[str, Rows]:
    found = {
        name[len(stem) + 1 :]: rows for name, rows in members.items() if name == stem or name.startswith(f"{stem}.")
    }
    if "" in found and len(found) > 1:
        names = ", ".join(f"{stem}.{name}" for name in found if name)
        msg = f"data must hold either {stem} or {names}, not both; remove one of them"
        raise DataError(msg)
    return found


def flattened(given: Mapping[str, Any]) -> dict[str, Rows]:
    """Turn arrays, lists and dicts of them (``{"x_train": {"image": …}}``) into rows by name (``x_train.image``).

    Raises:
        DataError: something that is not an array of numbers or text.
    """
    rows: dict[str, Rows] = {}
    for key, value in given.items():
        parts = {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, Mapping) else {key: value}
        for name, part in parts.items():
            rows[name] = InMemory(as_array(part, name))
    return rows
