"""Columns of a table on their way into one array: numbers, class names, words of a vocabulary, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data.delimiters import is_decimal_comma
from tfcompress.data.ondisk import Rows, Spool
from tfcompress.data.vocabulary import Vocabulary
from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import TensorSpec

GROUPS = 10_000_000
"""Most different groups."""


@dataclass(frozen=True)
class Cells:
    """How the cells of a column become numbers.

    Attributes:
        names: class names in the order of their numbers, where the column holds them.
        vocabulary: of words, where the column may hold text.
        lenient: whether what has no value, or is no number, becomes NaN, for whoever leaves such samples out.
    """

    names: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    lenient: bool = False


class Columns:
    """Some columns of a file that become one array.

    Args:
        spec: the model's input that they feed; None for labels.
        names: of the columns.
        cells: how they become numbers.
    """

    def __init__(self, spec: TensorSpec | None, names: tuple[str, ...], cells: Cells) -> None:
        self.names, self._cells = names, cells
        self._dtype: np.dtype = np.dtype(np.float64)
        self._shape: tuple[int, ...] = (len(names),) if len(names) > 1 else ()
        if spec is not None:
            whole = np.dtype(np.float64 if cells.lenient else np.int64)  # whole numbers below 2**53 either way
            self._dtype = np.dtype(np.float32) if np.dtype(spec.dtype).kind == "f" else whole
            self._shape = (len(names),) if None in spec.shape else tuple(size or 0 for size in spec.shape)
        self._samples = 0
        self._spool = Spool(", ".join(names[:3]))

    def append(self, frame: Any, path: Path, first_row: int) -> None:
        """Take the rows of a frame.

        Raises:
            DataError: a value that is missing, or no number.
        """
        values = np.empty((len(frame), len(self.names)), self._dtype)
        for position, column in enumerate(self.names):
            where = f"{path.name} column {column!r}"
            values[:, position] = _numbers(frame[column], where, first_row, self._dtype, self._cells)
        self._samples += len(frame)
        self._spool.append(values)

    def rows(self) -> Rows:
        """Return what was taken."""
        return self._spool.rows((self._samples, *self._shape), self._dtype)


class TextColumn:
    """A column of texts that become sequences of numbers, a word each.

    Args:
        name: of the column.
        length: numbers of a sequence.
        vocabulary: numbers the words.
    """

    def __init__(self, name: str, length: int, vocabulary: Vocabulary) -> None:
        self.names = (name,)
        self._vocabulary, self._length = vocabulary, length
        self._samples = self.cut = 0
        self._spool = Spool(name)

    def append(self, frame: Any, path: Path, first_row: int) -> None:
        """Take the rows of a frame; a cell without a value is a text without words."""
        texts = list(map(str, frame[self.names[0]].astype(object).fillna("")))
        self.cut += sum(len(text.split(None, self._length)) > self._length for text in texts)
        self._samples += len(texts)
        self._spool.append(self._vocabulary.sequences(texts, self._length))

    def rows(self) -> Rows:
        """Return what was taken."""
        return self._spool.rows((self._samples, self._length), np.dtype(np.int64))


class GroupColumn:
    """The column that says which rows belong together."""

    def __init__(self, name: str) -> None:
        self.names = (name,)
        self._places: dict[str, int] = {}
        self._numbers: list[np.ndarray] = []

    def append(self, frame: Any, path: Path, first_row: int) -> None:
        """Take the rows of a frame.

        Raises:
            DataError: a row without a group, or far too many groups.
        """
        series = frame[self.names[0]]
        missing = np.flatnonzero(series.isna().to_numpy())
        if len(missing):
            msg = (
                f"data: {path.name} column {self.names[0]!r} has no group in row {first_row + missing[0] + 1:,}; "
                "fill in or drop such rows"
            )
            raise DataError(msg)
        codes, different = series.astype(str).factorize()
        places = [self._places.setdefault(str(text), len(self._places)) for text in different]
        if len(self._places) > GROUPS:
            msg = (
                f"data: {path.name} column {self.names[0]!r} holds more than {GROUPS:,} groups; choose another --group"
            )
            raise DataError(msg)
        self._numbers.append(np.array(places, np.int64)[codes])

    def rows(self) -> Rows:
        """Return what was taken, as text."""
        return _Named(np.concatenate(self._numbers), np.array(list(self._places)))


class _Named:
    """Numbers read as the texts at their places."""

    def __init__(self, numbers: np.ndarray, texts: np.ndarray) -> None:
        self._numbers, self._texts = numbers, texts
        self.shape, self.dtype = numbers.shape, texts.dtype

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the texts of *rows*."""
        return np.asarray(self._texts[self._numbers[rows]])


def _numbers(series: Any, where: str, first_row: int, dtype: np.dtype, cells: Cells) -> np.ndarray:
    """Return a column as numbers: names by their places, words by their vocabulary's."""
    missing = series.isna().to_numpy()
    if missing.any() and not cells.lenient:
        row = first_row + np.flatnonzero(missing)[0] + 1
        msg = f"data: {where} has no value (NaN) in row {row:,}; fill in or drop such rows"
        raise DataError(msg)
    if cells.names:
        return np.where(missing, np.nan, _places(series, cells.names)).astype(dtype)
    if not _is_numeric(series):
        if cells.vocabulary is not None:
            return np.where(missing, np.nan, cells.vocabulary.ids(list(map(str, series)))).astype(dtype)
        if not cells.lenient:
            raise _not_numbers(series, where)
        series = _parsed(series)
    values = series.to_numpy()
    with np.errstate(invalid="ignore"):  # reported below
        whole = dtype.kind != "i" or np.array_equal(values.astype(np.int64), values)
    if not whole:
        msg = f"data: {where} must hold whole numbers, as the model's input does"
        raise DataError(msg)
    with np.errstate(over="ignore"):  # infinite then, which lint tells
        result: np.ndarray = values.astype(dtype)
    return result


def _is_numeric(series: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series))


def is_text(series: Any) -> bool:
    """Tell whether a column of a frame holds text."""
    return not _is_numeric(series)


def _parsed(series: Any) -> Any:
    import pandas as pd

    return pd.to_numeric(series.astype(object), errors="coerce").astype(np.float64)


def _not_numbers(series: Any, where: str) -> DataError:
    """Name the first value that is no number."""
    value = next((text for text in map(str, series) if not is_number(text)), str(series.iloc[0]))
    if is_decimal_comma(value):
        return DataError(f"data: {where} holds {value!r}, a decimal comma; save the file with decimal points")
    return DataError(f"data: {where} must hold numbers, got {value!r:.80}; encode it as numbers or drop the column")


def _places(series: Any, names: Sequence[str]) -> np.ndarray:
    """Return the place in *names* of each text; of a dictionary's, each different text is looked up once."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        places = pd.Index(names).get_indexer(series.cat.categories.astype(str))
        return np.asarray(places[series.cat.codes.to_numpy()])
    return np.asarray(pd.Index(names).get_indexer(series.astype(str)))


def is_number(text: str) -> bool:
    """Tell whether Python reads *text* as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
