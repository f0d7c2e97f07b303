"""CSV and Parquet files, read once in pieces by pandas into a temporary array that is then read by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data import table_files
from tfcompress.data.arrays import CLASS_NAME_BYTES, CLASSES, ArraySplit
from tfcompress.data.class_names import Named, in_order, ordered, said
from tfcompress.data.ondisk import Rows
from tfcompress.data.raw import RawSplit, Told
from tfcompress.data.reading import Reading
from tfcompress.data.table_columns import Cells, Columns, GroupColumn, TextColumn, is_number, is_text
from tfcompress.data.vocabulary import Vocabulary, read_vocabulary
from tfcompress.data.windows import WindowedSplit
from tfcompress.errors import DataError, nearest

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature, TensorSpec

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
"""Files that count as tables."""

DEFAULT_LABELS = ("label", "y")
"""Columns taken for the label when none is named; failing these, the last one."""


@dataclass(frozen=True)
class TableFile:
    """One split in one file.

    Attributes:
        path: the file.
        label_columns: columns that hold labels or targets.
        names: class names in the order of their numbers, when labels are text.
        named: the label columns that are text.
        unlike: whether they hold other names each, of which nobody said the order: then they can be one output's steps,
            and not the classes of several outputs.
        assumed: whether the label column is the last one because nothing says which it is.
        group: the column that says which rows belong together; None: there is none.
        vocabulary: numbers the words of text columns; None: there are none.
        lenient: whether what has no value, or is no number, becomes NaN, for whoever leaves such samples out.
    """

    path: Path
    label_columns: tuple[str, ...]
    names: tuple[str, ...]
    named: tuple[str, ...] = ()
    unlike: bool = False
    assumed: bool = False
    group: str | None = None
    vocabulary: Vocabulary | None = None
    lenient: bool = False
    _fitted: dict[Signature, ArraySplit] = field(default_factory=dict, compare=False, repr=False)

    @property
    def x_name(self) -> str:
        """What messages call the inputs."""
        return self.path.name

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return f"{self.path.name} column {', '.join(self.label_columns)}"

    def fit(self, signature: Signature) -> ArraySplit:
        """Read the columns that the model's inputs want.

        One input takes every column that is no label, in the order of the file, reshaped to its shape; several inputs
        take the columns called like them, or starting with their name and ``.`` or ``_``.

        Raises:
            DataError: columns that do not fit, text or missing values among the numbers, a damaged file.
        """
        if signature not in self._fitted:
            self._fitted[signature] = self._read(signature)
        return self._fitted[signature]

    def _read(self, signature: Signature) -> ArraySplit:
        names = [name for name in table_files.names(self.path) if name != self.group]
        unlabelled = self.assumed and not self.names and _is_unlabelled(signature, len(names))
        features = [name for name in names if unlabelled or name not in self.label_columns]
        inputs = {spec.name: self._columns(spec, cols) for spec, cols in self._chosen(signature, features).items()}
        labels = {} if unlabelled else self._labels(signature)
        groups = GroupColumn(self.group) if self.group else None
        every = (*inputs.values(), *labels.values(), *([groups] if groups else []))
        wanted = dict.fromkeys(name for columns in every for name in columns.names)
        row = 0
        for frame in table_files.frames(self.path, list(wanted)):
            for columns in every:
                columns.append(frame, self.path, row)
            row += len(frame)
        x: dict[str, Rows] = {name: columns.rows() for name, columns in inputs.items()}
        y: Mapping[str, Rows] = {name: columns.rows() for name, columns in labels.items()}
        return ArraySplit(
            x,
            y[""] if set(y) == {""} else y or None,
            self.x_name,
            self.y_name,
            group=groups.rows() if groups else None,
            told=Told(tuple(self._cut_texts(inputs))),
        )

    def _cut_texts(self, inputs: Mapping[str, Columns | TextColumn]) -> list[str]:
        return [
            f"{self.path.name}: {columns.cut:,} texts of column {columns.names[0]!r} have more words than the model "
            "takes and lose those behind"
            for columns in inputs.values()
            if isinstance(columns, TextColumn) and columns.cut
        ]

    def _columns(self, spec: TensorSpec, names: tuple[str, ...]) -> Columns | TextColumn:
        """Return what takes the columns of an input: a text column is a sequence of words, several are a word each."""
        wanted = _count(spec)
        if self.vocabulary is None or len(names) > 1 or wanted == 1 or not self._is_text(names[0]):
            return Columns(spec, names, Cells((), self.vocabulary, self.lenient))
        return TextColumn(names[0], wanted or self._longest(names[0]), self.vocabulary)

    def _is_text(self, name: str) -> bool:
        return any(is_text(frame[name]) for frame in table_files.frames(self.path, [name]))

    def _longest(self, name: str) -> int:
        """Return the words of the longest text, at least one."""
        frames = table_files.frames(self.path, [name])
        return max(1, *(len(str(text).split()) for frame in frames for text in frame[name].dropna()))

    def _labels(self, signature: Signature) -> dict[str, Columns]:
        if len(signature.outputs) == 1:
            return {"": Columns(None, self.label_columns, self._cells(self.label_columns))}
        if self.unlike:
            msg = (
                f"data: {self.path.name} has labels that are names in columns {', '.join(self.named)}, of other "
                "classes each; give those of one output as names and the others as whole numbers 0..k-1"
            )
            raise DataError(msg)
        return {name: Columns(None, (name,), self._cells((name,))) for name in self.label_columns}

    def _cells(self, columns: tuple[str, ...]) -> Cells:
        """Return how the cells of label columns become numbers: by their names where all of them are text."""
        return Cells(self.names if set(columns) <= set(self.named) else (), None, self.lenient)

    def _chosen(self, signature: Signature, features: list[str]) -> dict[TensorSpec, tuple[str, ...]]:
        chosen = {}
        for spec in signature.inputs:
            columns = tuple(features)
            if len(signature.inputs) > 1:
                starts = (f"{spec.name}.", f"{spec.name}_")
                columns = tuple(name for name in features if name == spec.name or name.startswith(starts))
            wanted = _count(spec)
            words = self.vocabulary is not None and len(columns) == 1 and self._is_text(columns[0])
            if not columns or (wanted is not None and wanted != len(columns) and not words):
                listed = ", ".join(columns[:5]) + (", ..." if len(columns) > 5 else "")
                label = ", ".join(self.label_columns)
                has = f"{len(columns)} columns ({listed})"
                msg = (
                    f"data: {self.path.name} has {has} for the model's input {spec.name!r}, which wants "
                    f"{wanted or 'some'} (shape {spec.shape}); {label} is the label (choose it with --label)"
                )
                raise DataError(msg)
            chosen[spec] = columns
        return chosen


def _is_unlabelled(signature: Signature, columns: int) -> bool:
    """Whether every column of a file feeds the model's only input, and none is left for the label."""
    return len(signature.inputs) == 1 and _count(signature.inputs[0]) == columns > 1


def _count(spec: TensorSpec) -> int | None:
    sizes = [size for size in spec.shape if size is not None]
    return int(np.prod(sizes, dtype=np.int64)) if len(sizes) == len(spec.shape) else None


def open_tables(files: Mapping[str, Path], how: Reading, given: Sequence[str] = ()) -> Named:
    """Open one table for each split.

    Args:
        files: the files by split.
        how: the options: the label columns (else one of :data:`DEFAULT_LABELS`, else the last), windows, groups, the
            vocabulary.
        given: names of the classes in the order of their numbers; ``()``: alphabetical, where labels are text.

    Returns:
        The splits, and the class names where labels are text.

    Raises:
        DataError: a file that is no table, without rows, without a header line, or without the label column; a label
            that is none of the names given.
    """
    for path in files.values():
        _check_columns(path, how)
    vocabulary = None if how.vocabulary is None else read_vocabulary(how.vocabulary)
    columns = {name: _label_columns(path, how) for name, path in files.items()}
    if len(set(columns.values())) > 1:
        listed = "; ".join(f"{files[name].name}: {', '.join(cols)}" for name, cols in columns.items())
        msg = f"data: every split must have the same label column, found {listed}; choose one with --label"
        raise DataError(msg)
    as_numbers = bool(given) and all(name.isdecimal() for name in given)
    first = next(iter(columns.values()))
    texts = _texts(files.values(), first, as_numbers=as_numbers)
    where = f"column {', '.join(tuple(texts) or first)} of {', '.join(path.name for path in files.values())}"
    names = in_order(set().union(*texts.values()), given, where) if texts else ()
    unlike = not given and len(set(map(frozenset, texts.values()))) > 1
    assumed = how.label is None and first[0] not in DEFAULT_LABELS
    splits: dict[str, RawSplit] = {
        name: TableFile(path, first, names, tuple(texts), unlike, assumed, how.group, vocabulary, how.skip_corrupt)
        for name, path in files.items()
    }
    if how.window is not None:
        splits = {name: WindowedSplit(split, how.window, how.stride or how.window) for name, split in splits.items()}
    words = (vocabulary.note,) if vocabulary else ()
    outputs = tuple(texts) if len(first) > 1 else ()
    notes = (*said(given), *_decimals(files), *words)
    named = Named(splits, names or tuple(given), notes=notes, outputs=outputs)
    return ordered(named, f"labels of {where}", given)


def _decimals(files: Mapping[str, Path]) -> list[str]:
    """Say where numbers are written with a comma."""
    commas = [path.name for path in files.values() if (how := table_files.dialect(path)) and how.decimal == ","]
    return [f"{', '.join(commas)}: numbers have decimal commas (1,5 is 1.5)"] if commas else []


def _check_columns(path: Path, how: Reading) -> None:
    """Refuse a table without columns, or without those that the options name."""
    names = table_files.names(path)
    if not names:
        msg = f"data {str(path)!r} has no columns; give one for the label and one for each value"
        raise DataError(msg)
    if all(is_number(name) for name in names):
        msg = f"data {str(path)!r} must start with a line of column names, it starts with {', '.join(names[:5])}"
        raise DataError(msg)
    wanted = how.label or ()
    for part in [*wanted, *([how.group] if how.group is not None else [])]:
        if part not in names:
            msg = f"data {str(path)!r} has no column {part!r}{nearest(part, names)}; it has {', '.join(names[:20])}"
            raise DataError(msg)
    if how.group in wanted:
        msg = f"data {str(path)!r}: column {how.group!r} cannot be the label and the group; choose another --group"
        raise DataError(msg)


def _label_columns(path: Path, how: Reading) -> tuple[str, ...]:
    if how.label is not None:
        return how.label
    names = [name for name in table_files.names(path) if name != how.group]
    if not names:
        msg = f"data {str(path)!r} has no column beside the group {how.group!r}; give one for the label and each value"
        raise DataError(msg)
    return (next((name for name in DEFAULT_LABELS if name in names), names[-1]),)


def _texts(paths: Iterable[Path], columns: tuple[str, ...], *, as_numbers: bool) -> dict[str, set[str]]:
    """Return the different labels of all files by column, of those columns that hold text.

    Args:
        paths: of the files.
        columns: that hold labels.
        as_numbers: whether whole numbers count as text, where there is one column.
    """
    found: dict[str, set[str]] = {}
    numbers = as_numbers and len(columns) == 1
    for path in paths:
        for column in columns:
            texts = _texts_of(path, column, as_numbers=numbers)
            if texts:
                found.setdefault(column, set()).update(texts)
    return found


def _texts_of(path: Path, column: str, *, as_numbers: bool) -> set[str]:
    import pandas as pd

    found: set[str] = set()
    for frame in table_files.frames(path, [column]):
        series = frame[column]
        numeric = pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series)
        if numeric and not (as_numbers and pd.api.types.is_integer_dtype(series)):
            return found  # numbers; should text follow, reading the column says so
        found.update(map(str, series.dropna().unique()))
        if len(found) > CLASSES or sum(map(len, found)) > CLASS_NAME_BYTES:
            msg = f"data {str(path)!r} column {column!r} holds too many different texts to be classes; choose --label"
            raise DataError(msg)
    return found
