"""The rows of CSV and Parquet files, in pieces of bounded size; of what else a file says, nothing is interpreted."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tfcompress import plain
from tfcompress.data import delimiters
from tfcompress.data.delimiters import Dialect
from tfcompress.errors import DataError, MissingDependencyError

T = TypeVar("T")

CHUNK_ROWS = 16_384
"""Most rows in memory at a time."""

CHUNK_CELLS = 4_000_000
"""Most cells in memory at a time."""

COLUMNS = 200_000
"""Most columns: an RGB image of 224 x 224 has 150,528."""

HEADER_BYTES = 4 << 20
"""Longest line of column names: 200,000 names of 20 characters."""

SAMPLE_BYTES = 256 << 10
"""Text that is looked at to find how a table is written; more only where its first line is longer."""

PIECE_BYTES = 512 << 20
"""Most text that a piece may take: 4,000,000 numbers of 25 characters take 100 MB, an open quote all that follows."""

LOOKS_LIKE = {
    b"PK\x03\x04": "a zip or Excel file; export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file; export it as CSV",
    b"\x1f\x8b": "a gzip file; call it .csv.gz",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
    b"PAR1": "a Parquet file; call it .parquet",
}
"""First bytes of files that are called .csv by mistake."""


def names(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns, in the order of the file.

    Raises:
        DataError: the file is no table, or one of more columns than anybody has, or of two with one name.
    """
    found = _reading(path, lambda: _parquet_names(path) if _is_parquet(path) else _csv_names(path))
    if len(found) > COLUMNS:
        msg = f"data {str(path)!r} has {len(found):,} columns, at most {COLUMNS:,} are read; save it as an .npz"
        raise DataError(msg)
    twice = next((name for name in found if found.count(name) > 1), None) if len(set(found)) < len(found) else None
    if twice is not None:
        msg = f"data {str(path)!r} has two columns {twice!r:.80}; rename one of them"
        raise DataError(msg)
    return found


def frames(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Yield pandas frames of some rows each, of the *columns* named, never an empty one.

    Raises:
        DataError: the file is damaged, takes more memory than there is, or holds zero rows.
    """
    pieces = (_parquet if _is_parquet(path) else _csv)(path, columns)
    rows = 0
    while (frame := _reading(path, lambda: next(pieces, None))) is not None:
        rows += len(frame)
        if len(frame):
            yield frame
    if rows == 0:
        msg = f"data {str(path)!r} holds zero samples; give at least one row"
        raise DataError(msg)


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _reading(path: Path, read: Callable[[], T]) -> T:
    """Return what *read* gives; whatever pandas and pyarrow make of a damaged file becomes one line."""
    try:
        return read()
    except (DataError, MissingDependencyError):
        raise
    except Exception as error:  # the boundary to foreign decoders: pyarrow alone has ten classes, zlib one of its own
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        msg = f"data {str(path)!r} cannot be read as a table: {reason}"
        raise DataError(msg) from error


def dialect(path: Path) -> Dialect | None:
    """Tell how a text table is written; None for Parquet.

    Raises:
        DataError: the file is no table, or has one column.
    """
    return None if _is_parquet(path) else _reading(path, lambda: _dialect(path))


def _dialect(path: Path) -> Dialect:
    with _Text(path) as text:
        lines = text.first_lines()
    try:
        found = delimiters.detect(lines, "\t" if path.name.endswith((".tsv", ".tsv.gz")) else ",")
    except ValueError as error:
        msg = f"data {str(path)!r} cannot be read as a table: {error}"
        raise DataError(msg) from error
    if any(line.count(found.separator) > COLUMNS for line in lines[1:]):  # pandas would make an index of each value
        raise _too_wide(path)
    return found


def _too_wide(path: Path) -> DataError:
    return DataError(f"data {str(path)!r} has rows of more values than there are column names; name every column")


def _csv_names(path: Path) -> tuple[str, ...]:
    separator = _dialect(path).separator
    with _Text(path) as text:
        return tuple(text.header(separator))


def _csv(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    import pandas as pd

    written = _dialect(path)
    with _Text(path) as text:
        header = text.header(written.separator)
        places = {name: place for place, name in enumerate(header)}
        wanted = [places[name] for name in columns]
        options = {"header": None, "names": range(len(header)), "low_memory": False, **_options(written)}
        with pd.read_csv(text.lines, chunksize=_chunk_rows(len(header)), **options) as reader:
            for frame in reader:
                if not isinstance(frame.index, pd.RangeIndex):
                    raise _too_wide(path)
                text.taken = 0
                chosen = frame.iloc[:, wanted]
                chosen.columns = list(columns)
                yield chosen


def _options(written: Dialect) -> dict[str, str]:
    return {"sep": written.separator, "decimal": written.decimal}


def _chunk_rows(width: int) -> int:
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // max(width, 1)))


class _Text(io.RawIOBase):
    """The bytes of a text file, unpacked where its name ends in .gz, refused when too many are taken in one go.

    Attributes:
        taken: bytes read since this was last set to 0, which the reader does after each piece.
        at_most: how many may be.
        lines: the same as text, which a reader goes on with behind the header.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self.taken, self.at_most = path, 0, HEADER_BYTES
        self._file: BinaryIO = plain.open_regular(path)
        start = self._file.read(4)
        self._file.seek(0)
        packed = path.suffix == ".gz"
        for magic, what in LOOKS_LIKE.items():
            if start.startswith(magic) and not (packed and magic == b"\x1f\x8b"):
                self._file.close()
                msg = f"data {str(path)!r} cannot be read as a table: it is {what}"
                raise DataError(msg)
        self._stream: Any = gzip.GzipFile(fileobj=self._file, mode="rb") if packed else self._file
        self.lines = io.TextIOWrapper(io.BufferedReader(self), "utf-8-sig", newline="")

    def first_lines(self) -> list[str]:
        """Read some whole lines, at least two where there are as many."""
        lines: list[str] = []
        held = 0
        for line in self.lines:
            lines.append(line)
            held += len(line)
            self.taken, self.at_most = 0, PIECE_BYTES
            if (held > SAMPLE_BYTES and len(lines) > 1) or len(lines) > 2 * delimiters.ROWS:
                break
        return lines

    def header(self, separator: str) -> list[str]:
        """Read the first row that is not empty, as column names as pandas makes them: no two alike, none empty.

        Pandas would take half a minute for 150,000 names.

        Raises:
            DataError: there is none, or it holds more columns than anybody has.
        """
        row = next((row for row in csv.reader(self.lines, delimiter=separator) if row), None)
        if row is None:
            msg = f"data {str(self._path)!r} cannot be read as a table: No columns to parse from file"
            raise DataError(msg)
        if len(row) > COLUMNS:
            msg = f"data {str(self._path)!r} has {len(row):,} columns, at most {COLUMNS:,} are read; save it as an .npz"
            raise DataError(msg)
        self.taken, self.at_most = 0, PIECE_BYTES
        return _different([name or f"Unnamed: {place}" for place, name in enumerate(row)])

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer*, as far as there is text.

        Raises:
            DataError: more is taken in one go than honest rows need.
        """
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        self.taken += len(content)
        if self.taken > self.at_most:
            msg = (
                f"data {str(self._path)!r} has rows of more than {self.at_most:,} bytes; "
                "is a quote left open, or a line break lost?"
            )
            raise DataError(msg)
        return len(content)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


def _different(names: Sequence[str]) -> list[str]:
    """Return names of which the second ``a`` is ``a.1``, as pandas has it."""
    counts: dict[str, int] = {}
    taken, found = set(names), []
    for name in names:
        place = counts.get(name, 0)
        other = f"{name}.{place}" if place else name
        while place and other in taken:
            place += 1
            other = f"{name}.{place}"
        counts[name] = place + 1
        taken.add(other)
        found.append(other)
    return found


def _parquet_file(path: Path, **options: Any) -> Any:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        msg = f"data {str(path)!r}: Parquet needs pyarrow: pip install 'tfcompress[parquet]'"
        raise MissingDependencyError(msg) from error
    return pq.ParquetFile(path, **options)


def _parquet_names(path: Path) -> tuple[str, ...]:
    with _parquet_file(path) as file:
        schema = file.schema_arrow
    index = _index_columns(schema.metadata or {})
    return tuple(str(name) for name in schema.names if name not in index)


def _index_columns(metadata: dict[bytes, bytes]) -> set[str]:
    """Return the columns in which pandas stored a frame's index: the one thing of its metadata that is used."""
    try:
        stored = plain.parse_json(metadata.get(b"pandas", b"{}").decode("utf-8"))["index_columns"]
        return {name for name in stored if isinstance(name, str)}
    except (ValueError, KeyError, TypeError):
        return set()


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    with _parquet_file(path) as file:
        texts = [name for name in columns if _check_type(path, file.schema_arrow.field(name))]
    # Text comes as a dictionary, each value once: a column of some KB may hold a long text a million times.
    with _parquet_file(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(_chunk_rows(len(columns)), columns=list(columns)):
            frame = batch.to_pandas(ignore_metadata=True)
            yield frame[list(columns)]


def _check_type(path: Path, column: Any) -> bool:
    """Tell whether a column holds text; refuse what holds neither text nor numbers nor what pandas has a word for."""
    kind = str(column.type)
    if re.search(r"[<]|extension|binary", kind) and not kind.startswith(("dictionary<", "timestamp", "time")):
        msg = f"data: {path.name} column {column.name!r:.80} must hold numbers, got {kind:.80}; drop the column"
        raise DataError(msg)
    return kind in ("string", "large_string")
