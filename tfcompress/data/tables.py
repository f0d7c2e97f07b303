"""CSV and Parquet files, read once in pieces by pandas into a temporary array that is then read by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data import table_files
from tfcompress.data.arrays import CLASS_NAME_BYTES, CLASSES, ArraySplit
from tfcompress.data.class_names import Named, alphabet_warning, in_order, said
from tfcompress.data.delimiters import is_decimal_comma
from tfcompress.data.ondisk import Rows, Spool
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
        assumed: whether the label column is the last one because nothing says which it is.
    """

    path: Path
    label_columns: tuple[str, ...]
    names: tuple[str, ...]
    assumed: bool = False
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
        names = table_files.names(self.path)
        unlabelled = self.assumed and not self.names and _is_unlabelled(signature, len(names))
        features = [name for name in names if unlabelled or name not in self.label_columns]
        inputs = {spec.name: _Column(spec, cols) for spec, cols in self._chosen(signature, features).items()}
        labels = {} if unlabelled else self._labels(signature)
        wanted = dict.fromkeys(name for column in (*inputs.values(), *labels.values()) for name in column.columns)
        row = 0
        for frame in table_files.frames(self.path, list(wanted)):
            for column in inputs.values():
                column.append(frame, self.path, row)
            for column in labels.values():
                column.append(frame, self.path, row, self.names)
            row += len(frame)
        x: dict[str, Rows] = {name: column.rows() for name, column in inputs.items()}
        y: Mapping[str, Rows] = {name: column.rows() for name, column in labels.items()}
        return ArraySplit(x, y[""] if set(y) == {""} else y or None, self.x_name, self.y_name)

    def _labels(self, signature: Signature) -> dict[str, _Column]:
        if len(signature.outputs) == 1:
            return {"": _Column(None, self.label_columns)}
        return {name: _Column(None, (name,)) for name in self.label_columns}

    def _chosen(self, signature: Signature, features: list[str]) -> dict[TensorSpec, tuple[str, ...]]:
        chosen = {}
        for spec in signature.inputs:
            columns = tuple(features)
            if len(signature.inputs) > 1:
                starts = (f"{spec.name}.", f"{spec.name}_")
                columns = tuple(name for name in features if name == spec.name or name.startswith(starts))
            wanted = _count(spec)
            if not columns or (wanted is not None and wanted != len(columns)):
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


class _Column:
    """Columns of a file on their way into one array."""

    def __init__(self, spec: TensorSpec | None, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._dtype: np.dtype = np.dtype(np.float64)
        self._shape: tuple[int, ...] = (len(columns),) if len(columns) > 1 else ()
        if spec is not None:
            self._dtype = np.dtype(np.float32 if np.dtype(spec.dtype).kind == "f" else np.int64)
            self._shape = (len(columns),) if None in spec.shape else tuple(size or 0 for size in spec.shape)
        self._samples = 0
        self._spool = Spool(", ".join(columns[:3]))

    def append(self, frame: Any, path: Path, first_row: int, names: tuple[str, ...] = ()) -> None:
        values = np.empty((len(frame), len(self.columns)), self._dtype)
        for position, column in enumerate(self.columns):
            values[:, position] = _numbers(
                frame[column], f"{path.name} column {column!r}", first_row, self._dtype, names
            )
        self._samples += len(frame)
        self._spool.append(values)

    def rows(self) -> Rows:
        return self._spool.rows((self._samples, *self._shape), self._dtype)


def _numbers(series: Any, where: str, first_row: int, dtype: np.dtype, names: tuple[str, ...]) -> np.ndarray:
    """Return a column as numbers; text that is in *names* by its place there."""
    import pandas as pd

    missing = np.flatnonzero(series.isna().to_numpy())
    if len(missing):
        msg = f"data: {where} has no value (NaN) in row {first_row + missing[0] + 1:,}; fill in or drop such rows"
        raise DataError(msg)
    if names:
        return _places(series, names).astype(dtype)
    if not (pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series)):
        raise _not_numbers(series, where)
    values = series.to_numpy()
    with np.errstate(invalid="ignore"):  # reported below
        whole = dtype.kind != "i" or np.array_equal(values.astype(np.int64), values)
    if not whole:
        msg = f"data: {where} must hold whole numbers, as the model's input does"
        raise DataError(msg)
    with np.errstate(over="ignore"):  # infinite then, which lint tells
        result: np.ndarray = values.astype(dtype)
    return result


def _not_numbers(series: Any, where: str) -> DataError:
    """Name the first value that is no number."""
    value = next((text for text in map(str, series) if not _is_number(text)), str(series.iloc[0]))
    if is_decimal_comma(value):
        return DataError(f"data: {where} holds {value!r}, a decimal comma; save the file with decimal points")
    return DataError(f"data: {where} must hold numbers, got {value!r:.80}; encode it as numbers or drop the column")


def _places(series: Any, names: tuple[str, ...]) -> np.ndarray:
    """Return the place in *names* of each text; of a dictionary's, each different text is looked up once."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        places = pd.Index(names).get_indexer(series.cat.categories.astype(str))
        return np.asarray(places[series.cat.codes.to_numpy()])
    return np.asarray(pd.Index(names).get_indexer(series.astype(str)))


def open_tables(files: Mapping[str, Path], label: str | None, given: Sequence[str] = ()) -> Named:
    """Open one table for each split.

    Args:
        files: the files by split.
        label: label column, or several separated by commas; None: one of :data:`DEFAULT_LABELS`, else the last.
        given: names of the classes in the order of their numbers; ``()``: alphabetical, where labels are text.

    Returns:
        The splits, and the class names where labels are text.

    Raises:
        DataError: a file that is no table, without rows, without a header line, or without the label column; a label
            that is none of the names given.
    """
    columns = {name: _label_columns(path, label) for name, path in files.items()}
    if len(set(columns.values())) > 1:
        listed = "; ".join(f"{files[name].name}: {', '.join(cols)}" for name, cols in columns.items())
        msg = f"data: every split must have the same label column, found {listed}; choose one with --label"
        raise DataError(msg)
    as_numbers = bool(given) and all(name.isdecimal() for name in given)
    texts = {text for name, path in files.items() for text in _texts(path, columns[name], as_numbers=as_numbers)}
    first = next(iter(columns.values()))
    where = f"column {', '.join(first)} of {', '.join(path.name for path in files.values())}"
    names = in_order(texts, given, where) if texts else ()
    assumed = label is None and first[0] not in DEFAULT_LABELS
    splits = {name: TableFile(path, columns[name], names, assumed) for name, path in files.items()}
    warnings = (alphabet_warning(f"labels of {where}", names),) if names and not given else ()
    return Named({**splits}, names or tuple(given), warnings, (*said(given), *_decimals(files)))


def _decimals(files: Mapping[str, Path]) -> list[str]:
    """Say where numbers are written with a comma."""
    commas = [path.name for path in files.values() if (how := table_files.dialect(path)) and how.decimal == ","]
    return [f"{', '.join(commas)}: numbers have decimal commas (1,5 is 1.5)"] if commas else []


def _label_columns(path: Path, label: str | None) -> tuple[str, ...]:
    names = table_files.names(path)
    if not names:
        msg = f"data {str(path)!r} has no columns; give one for the label and one for each value"
        raise DataError(msg)
    if all(_is_number(name) for name in names):
        msg = f"data {str(path)!r} must start with a line of column names, it starts with {', '.join(names[:5])}"
        raise DataError(msg)
    if label is None:
        return (next((name for name in DEFAULT_LABELS if name in names), names[-1]),)
    wanted = tuple(part.strip() for part in label.split(","))
    for part in wanted:
        if part not in names:
            msg = f"data {str(path)!r} has no column {part!r}{nearest(part, names)}; it has {', '.join(names[:20])}"
            raise DataError(msg)
    return wanted


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _texts(path: Path, columns: tuple[str, ...], *, as_numbers: bool) -> set[str]:
    """Return the different labels of a file whose only label column holds text; *as_numbers*: or whole numbers."""
    import pandas as pd

    found: set[str] = set()
    if len(columns) > 1:
        return found
    for frame in table_files.frames(path, columns):
        series = frame[columns[0]]
        numeric = pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series)
        if numeric and not (as_numbers and pd.api.types.is_integer_dtype(series)):
            return found  # numbers; should text follow, reading the column says so
        found.update(map(str, series.dropna().unique()))
        if len(found) > CLASSES or sum(map(len, found)) > CLASS_NAME_BYTES:
            msg = (
                f"data {str(path)!r} column {columns[0]!r} holds too many different texts to be classes; choose --label"
            )
            raise DataError(msg)
    return found
