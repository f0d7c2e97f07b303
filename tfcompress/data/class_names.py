"""Names of classes: the order that numbers them, who said so, and labels that come as names."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress import plain
from tfcompress.data.arrays import CLASS_NAME_BYTES, CLASSES, ArraySplit
from tfcompress.data.elements import as_array, is_listed
from tfcompress.data.labels import is_text
from tfcompress.data.objects import ListedSplit
from tfcompress.data.ondisk import InMemory, Rows
from tfcompress.data.raw import RawSplit, RowSplit, Stored, Stream
from tfcompress.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

LISTED = 10
"""Most names that a line lists."""

PADDING = -1
"""The number of no name at all, behind the last step of a shorter sample."""

BLOCK = 65_536
"""Labels that are looked at together."""

OutputKey = str | int
"""An output's name, its place in a list, or ``""`` for the only one."""

NamesFound = Mapping[str, Mapping[OutputKey, Rows]]
"""Labels that are names, by split and output."""

_InMemory = (ArraySplit, ListedSplit)


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


def plain_classes(given: str | Path | Sequence[str] | None) -> dict[str, Any]:
    """Return what was given for the classes' names as a report has it: nothing, the text as typed, or the names."""
    if given is None:
        return {}
    return {"classes": str(given) if isinstance(given, str | Path) else list(given)}


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
        alphabetical: what the names come from, where nobody gave their order; else empty.
        outputs: whose labels hold the names, where there are several and that is known; by name or place.
    """

    splits: dict[str, RawSplit]
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    alphabetical: str = ""
    outputs: tuple[OutputKey, ...] = ()


def ordered(named: Named, what: str, given: Sequence[str]) -> Named:
    """Return *named* with a warning on the alphabet's order, where nobody gave another.

    Args:
        named: with the names in order.
        what: where they come from: ``class folders``.
        given: what was given of them; ``()``: nothing.
    """
    if given or not named.names:
        return named
    return replace(named, warnings=(*named.warnings, alphabet_warning(what, named.names)), alphabetical=what)


def coded(splits: Mapping[str, RawSplit], given: Sequence[str], stored: Sequence[str], source: str) -> Named:
    """Turn labels that are names into numbers, in every split of arrays.

    Labels are names by their outputs, one a sample or one for each step; no text at all is the padding behind the last
    step, -1. Whole numbers, one a sample, count as names where the names given are whole numbers themselves:
    ``--classes 3,1,2``.

    Args:
        splits: arrays, and what is read from front to back; names in the latter become numbers only by *given*.
        given: by the user; they come before
        stored: those beside the data.
        source: what messages call the data.

    Raises:
        DataError: a label that is none of the names; too many different labels to be classes; outputs with other names
            each, whose order nobody gave.
    """
    names = tuple(given or stored)
    as_numbers = bool(given) and all(name.isdecimal() for name in given)
    found = {name: rows for name, split in splits.items() if (rows := _labels(split, as_numbers))}
    if given:
        splits = {
            name: split if isinstance(split, _InMemory) else NamedSplit(split, tuple(given), as_numbers)
            for name, split in splits.items()
        }
    if not found:
        return Named(dict(splits), names, notes=said(given))
    _check_forms(splits, found, source)
    order = _order(splits, found, names, source)
    replaced = {
        name: _with_labels(splits[name], {output: CodedRows(rows, order) for output, rows in named.items()})
        for name, named in found.items()
    }
    outputs = tuple(dict.fromkeys(output for named in found.values() for output in named if output != ""))
    named = Named({**splits, **replaced}, order, notes=said(names), outputs=outputs)
    return ordered(named, "labels that are names", names)


def _order(splits: Mapping[str, RawSplit], found: NamesFound, names: Sequence[str], source: str) -> tuple[str, ...]:
    """Return the names in the order of their numbers, where those of all outputs can be in one."""
    present: dict[OutputKey, set[str]] = {}
    for named in found.values():
        for output, rows in named.items():
            present.setdefault(output, set()).update(_different(rows, source))
    if not names and len({frozenset(texts) for texts in present.values()}) > 1:
        split = next(splits[name] for name in found)
        called = " and ".join(_where(split, output) for output in present)
        msg = (
            f"data {source!r} has labels that are names in {called}, of other classes each; give those of one output "
            "as names and the others as whole numbers 0..k-1"
        )
        raise DataError(msg)
    order = in_order(set().union(*present.values()), names, f"{source!r} (its labels)")
    if len(order) > CLASSES or sum(map(len, order)) > CLASS_NAME_BYTES:
        msg = f"data {source!r} holds too many different labels to be classes: {len(order):,}"
        raise DataError(msg)
    return order


def _check_forms(splits: Mapping[str, RawSplit], found: NamesFound, source: str) -> None:
    """Refuse names in one split and numbers in another."""
    for output in {output for named in found.values() for output in named}:
        others = [
            _where(split, output)
            for name, split in splits.items()
            if output in _parts(split) and output not in found.get(name, {})
        ]
        if others:
            called = ", ".join(_where(splits[name], output) for name, named in found.items() if output in named)
            msg = (
                f"data {source!r} has labels that are names in {called} and numbers in {', '.join(others)}; give them "
                "alike"
            )
            raise DataError(msg)


def _where(split: RawSplit, output: OutputKey) -> str:
    return split.y_name if output == "" else f"{split.y_name}.{output}"


def said(names: Sequence[str]) -> tuple[str, ...]:
    """Return the note on an order that was given; none where nobody gave one."""
    return (f"classes: {numbered(names)}",) if names else ()


def _parts(split: RawSplit) -> dict[OutputKey, Rows]:
    """Return the labels of a split in memory by output; none of what is read from front to back."""
    if isinstance(split, ListedSplit):
        return {output: InMemory(as_array(part, _where(split, output))) for output, part in _listed(split.y).items()}
    y = split.y if isinstance(split, ArraySplit) else None
    by_output: dict[OutputKey, Rows] = {}
    if y is not None:
        by_output.update(y if isinstance(y, Mapping) else {"": y})
    return by_output


def _listed(y: Any) -> dict[OutputKey, Any]:
    """Return the labels of a :class:`ListedSplit` by output."""
    if isinstance(y, Mapping):
        return dict(y)
    return dict(enumerate(y)) if is_listed(y) else {} if y is None else {"": y}


def _with_labels(split: RawSplit, coded_labels: Mapping[OutputKey, CodedRows]) -> RawSplit:
    """Return a split in memory with numbers for the labels of some outputs."""
    if isinstance(split, ListedSplit):
        arrays = {output: rows.take(np.arange(rows.shape[0])) for output, rows in coded_labels.items()}
        if isinstance(split.y, Mapping):
            return replace(split, y={**split.y, **arrays})
        if is_listed(split.y):
            return replace(split, y=[arrays.get(place, part) for place, part in enumerate(split.y)])
        return replace(split, y=arrays[""])
    if isinstance(split, ArraySplit) and isinstance(split.y, Mapping):
        named = {str(output): rows for output, rows in coded_labels.items()}
        return replace(split, y={**split.y, **named})
    return replace(split, y=coded_labels[""])  # type: ignore[type-var]  # an ArraySplit


def _labels(split: RawSplit, as_numbers: bool) -> dict[OutputKey, Rows]:
    """Return the labels of a split that are names, by output."""
    parts = _parts(split)
    kinds = "USiu" if as_numbers and len(parts) == 1 else "US"
    return {
        output: rows for output, rows in parts.items() if rows.dtype.kind in (kinds if len(rows.shape) == 1 else "US")
    }


def _has_steps(shape: Sequence[int]) -> bool:
    """Whether labels of this shape, (samples, ...), are several a sample, so that some may be padding."""
    return any(size != 1 for size in shape[1:])


def _different(rows: Rows, source: str) -> set[str]:
    found: set[str] = set()
    block_rows = max(1, BLOCK // max(1, math.prod(rows.shape[1:])))
    for start in range(0, rows.shape[0], block_rows):
        block = rows.take(np.arange(start, min(start + block_rows, rows.shape[0])))
        if not is_text(block):
            msg = f"data {source!r}: labels must be names or numbers, their characters are none; write them again"
            raise DataError(msg)
        found.update(map(_text, np.unique(block)))
        if len(found) > CLASSES:
            break
    return found - {""} if _has_steps(rows.shape) else found


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
        return _numbers(self._rows.take(rows), self._places)


def _numbers(labels: np.ndarray, places: Mapping[str, int]) -> np.ndarray:
    """Return the place of each name, int64, as *labels*; -1 for padding."""
    values, inverse = np.unique(labels, return_inverse=True)
    known = {"": PADDING, **places} if _has_steps(labels.shape) else places
    found = np.array([known[_text(value)] for value in values], np.int64)
    return np.asarray(found[inverse.reshape(labels.shape)])


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

    See :func:`coded` for what is a name.

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
            if isinstance(chunk.y, np.ndarray):
                yield chunk._replace(y=self._coded(chunk.y, self.where, places, self.kinds))
            elif chunk.y is None:
                yield chunk
            else:
                kinds = self.kinds if len(chunk.y) == 1 else "US"
                parts = {
                    output: self._coded(labels, f"{self.where}.{output}", places, kinds)
                    for output, labels in chunk.y.items()
                }
                yield chunk._replace(y=parts)

    def _coded(self, labels: np.ndarray, where: str, places: Mapping[str, int], kinds: str) -> np.ndarray:
        steps = _has_steps(labels.shape)
        if labels.dtype.kind not in ("US" if steps else kinds):
            return labels
        texts = set(map(_text, np.unique(labels)))
        in_order(texts - {""} if steps else texts, self.names, where)
        return _numbers(labels, places)
