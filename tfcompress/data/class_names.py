"""Names of classes: the order that numbers them, who said so, and labels that come as names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress import plain
from tfcompress.data.arrays import CLASS_NAME_BYTES, CLASSES, ArraySplit
from tfcompress.data.labels import is_text
from tfcompress.data.ondisk import Rows
from tfcompress.data.raw import RawSplit, RowSplit, Stored, Stream
from tfcompress.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

LISTED = 10
"""Most names that a line lists."""

BLOCK = 65_536
"""Labels that are looked at together."""


def read_class_names(given: str | Path | Sequence[str] | None) -> tuple[str, ...]:
    """Read the names of the classes in the order of the model's outputs.

    Args:
        given: the names; or text: names separated by commas, or the path of a file with a name a line; None: ``()``.

    Raises:
        UsageError: no such file, fewer than two names, an empty one, or one that comes twice.
    """
    if given is None:
        return ()
    names = _read(given) if isinstance(given, str | Path) else tuple(given)
    if not all(isinstance(name, str) for name in names):
        msg = f"classes must be names as text, in the order of the model's outputs, got {list(names)[:LISTED]!r}"
        raise UsageError(msg)
    names = tuple(name.strip() for name in names)
    if len(names) < 2 or not all(names):
        msg = (
            "classes must be at least two names, in the order of the model's outputs and separated by commas, "
            f"or a file with one a line, got {str(given)!r:.200}"
        )
        raise UsageError(msg)
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        msg = f"classes must all be different, {twice!r} is there twice"
        raise UsageError(msg)
    return names


def _read(given: str | Path) -> tuple[str, ...]:
    text, path = str(given), Path(given)
    if isinstance(given, str) and ("," in text or not (path.suffix or os.sep in text or path.is_file())):
        return tuple(text.split(","))
    try:
        return tuple(plain.read_text(path, CLASS_NAME_BYTES).removeprefix("\ufeff").rstrip().splitlines())
    except (OSError, ValueError) as error:
        msg = (
            f"classes must be names separated by commas or a file with a name a line; {text!r} cannot be read: {error}"
        )
        raise UsageError(msg) from error


def in_order(found: Iterable[str], given: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names of the classes in the order of their numbers: as *given*, else alphabetically.

    Args:
        found: the names that the data holds.
        given: all names in the model's order; ``()`` where nobody said.
        where: what messages call the data.

    Raises:
        DataError: the data holds a name that was not given.
    """
    present = set(found)
    if not given:
        return tuple(sorted(present))
    unknown = sorted(present - set(given))
    if unknown:
        idle = [name for name in given if name not in present] or list(given)
        more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        msg = (
            f"data: {where} holds the class {unknown[0]!r:.80}{more}, which is none of the {len(given):,} names given "
            f"({first_names(given)}){nearest(unknown[0], idle)}; give every class, in the order of the model's outputs"
        )
        raise DataError(msg)
    return tuple(given)


def first_names(names: Sequence[str]) -> str:
    """Return the first names, separated by commas."""
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def numbered(names: Sequence[str]) -> str:
    """Return which name has which number: ``0 = high, 1 = low, 2 = mid``."""
    pairs = [f"{number} = {name}" for number, name in enumerate(names)]
    return ", ".join(pairs) if len(pairs) <= LISTED else f"{', '.join(pairs[: LISTED - 1])}, ..., {pairs[-1]}"


def alphabet_warning(what: str, names: Sequence[str]) -> str:
    """Say that nobody said how the classes are ordered.

    Args:
        what: where the names come from: ``class folders``.
        names: in alphabetical order.
    """
    as_text = ""
    if all(name.isdecimal() for name in names) and sorted(names, key=int) != list(names):
        as_text = " (as text, not by value)"
    return (
        f"{what} are numbered in alphabetical order{as_text}: {numbered(names)}; if the model's outputs go otherwise, "
        "give the names in its order: --classes A,B,... or load_data(classes=[...])"
    )


@dataclass(frozen=True)
class Named:
    """Splits whose labels are numbers, and what the numbers are called.

    Attributes:
        splits: by name.
        names: of the classes, in the order of their numbers; ``()`` where they have none.
        warnings: lines that a user must see.
        notes: lines for the report.
    """

    splits: dict[str, RawSplit]
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def coded(splits: Mapping[str, RawSplit], given: Sequence[str], stored: Sequence[str], source: str) -> Named:
    """Turn labels that are names into numbers, in every split of arrays.

    Whole numbers count as names where the names given are whole numbers themselves: ``--classes 3,1,2``.

    Args:
        splits: arrays, and what is read from front to back; names in the latter become numbers only by *given*.
        given: by the user; they come before
        stored: those beside the data.
        source: what messages call the data.

    Raises:
        DataError: a label that is none of the names; too many different labels to be classes.
    """
    names = tuple(given or stored)
    as_numbers = bool(given) and all(name.isdecimal() for name in given)
    found = {name: rows for name, split in splits.items() if (rows := _labels(split, as_numbers)) is not None}
    if given:
        splits = {
            name: split if isinstance(split, ArraySplit) else NamedSplit(split, tuple(given), as_numbers)
            for name, split in splits.items()
        }
    if not found:
        return Named(dict(splits), names, notes=said(given))
    _check_forms(splits, found, source)
    present = {text for rows in found.values() for text in _different(rows, source)}
    order = in_order(present, names, f"{source!r} (its labels)")
    if len(order) > CLASSES or sum(map(len, order)) > CLASS_NAME_BYTES:
        msg = f"data {source!r} holds too many different labels to be classes: {len(order):,}"
        raise DataError(msg)
    replaced = {name: replace(splits[name], y=CodedRows(rows, order)) for name, rows in found.items()}  # type: ignore[type-var]
    warnings = () if names else (alphabet_warning("labels that are names", order),)
    return Named({**splits, **replaced}, order, warnings, said(names))


def _check_forms(splits: Mapping[str, RawSplit], found: Mapping[str, Rows], source: str) -> None:
    """Refuse names in one split and numbers in another."""
    others = [
        name
        for name, split in splits.items()
        if isinstance(split, ArraySplit) and split.y is not None and name not in found
    ]
    if others:
        msg = (
            f"data {source!r} has labels that are names in {_called(splits, found)} and numbers in "
            f"{_called(splits, others)}; give them alike"
        )
        raise DataError(msg)


def _called(splits: Mapping[str, RawSplit], chosen: Iterable[str]) -> str:
    return ", ".join(splits[name].y_name for name in chosen)


def said(names: Sequence[str]) -> tuple[str, ...]:
    """Return the note on an order that was given; none where nobody gave one."""
    return (f"classes: {numbered(names)}",) if names else ()


def _labels(split: RawSplit, as_numbers: bool) -> Rows | None:
    """Return the labels of a split where they are names."""
    rows = split.y if isinstance(split, ArraySplit) else None
    if rows is None or isinstance(rows, Mapping) or len(rows.shape) != 1:
        return None
    return rows if rows.dtype.kind in ("USiu" if as_numbers else "US") else None


def _different(rows: Rows, source: str) -> set[str]:
    found: set[str] = set()
    for start in range(0, rows.shape[0], BLOCK):
        block = rows.take(np.arange(start, min(start + BLOCK, rows.shape[0])))
        if not is_text(block):
            msg = f"data {source!r}: labels must be names or numbers, their characters are none; write them again"
            raise DataError(msg)
        found.update(map(_text, np.unique(block)))
        if len(found) > CLASSES:
            break
    return found


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class CodedRows:
    """Labels that are names, read as numbers: the place of each name."""

    dtype = np.dtype(np.int64)
    """Of the numbers."""

    def __init__(self, rows: Rows, names: Sequence[str]) -> None:
        self._rows = rows
        self._places = {name: place for place, name in enumerate(names)}
        self.shape = rows.shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the numbers of *rows*, int64."""
        values, inverse = np.unique(self._rows.take(rows), return_inverse=True)
        places = np.array([self._places[_text(value)] for value in values], np.int64)
        return np.asarray(places[inverse.reshape(len(rows))])


@dataclass(frozen=True)
class NamedSplit:
    """A split whose labels may be names, which is known only when its elements are read.

    Attributes:
        split: as the user gave it.
        names: of the classes, in the order of their numbers.
        as_numbers: whether whole numbers are names, too.
    """

    split: RawSplit
    names: tuple[str, ...]
    as_numbers: bool = False

    @property
    def x_name(self) -> str:
        """What messages call the inputs."""
        return self.split.x_name

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return self.split.y_name

    def fit(self, signature: Signature) -> RowSplit | Stream:
        """Make it readable for a model, with numbers for names.

        Raises:
            DataError: the data cannot serve such a model.
        """
        fitted = self.split.fit(signature)
        if isinstance(fitted, RowSplit):
            return fitted
        return NamedStream(fitted, self.names, self.y_name, "USiu" if self.as_numbers else "US")


@dataclass(frozen=True)
class NamedStream:
    """A stream whose labels are class names, as numbers; labels of other kinds stay what they are.

    Attributes:
        stream: gives the names as text or bytes.
        names: in the order of their numbers.
        where: what messages call the labels.
        kinds: NumPy's letters of the dtypes that are names.
    """

    stream: Stream
    names: tuple[str, ...]
    where: str
    kinds: str = "US"

    def chunks(self) -> Iterator[Stored]:
        """Yield the stream's chunks with numbers for labels.

        Raises:
            DataError: a name that is none of :attr:`names`.
        """
        places = {name: place for place, name in enumerate(self.names)}
        for chunk in self.stream.chunks():
            named = (
                isinstance(chunk.y, np.ndarray) and chunk.y.dtype.kind in self.kinds and chunk.y.shape[1:] in ((), (1,))
            )
            yield chunk._replace(y=self._numbers(chunk.y, places)) if named else chunk

    def _numbers(self, labels: Any, places: Mapping[str, int]) -> np.ndarray:
        texts = [_text(label) for label in labels.reshape(-1).tolist()]
        in_order(texts, self.names, self.where)
        return np.array([places[text] for text in texts], np.int64)
