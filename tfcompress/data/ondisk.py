"""Arrays that live in a file and pass through memory in pieces."""

from __future__ import annotations

import math
import mmap
import os
import shutil
import tempfile
import weakref
from typing import BinaryIO, Protocol

import numpy as np

from tfcompress.data import memory
from tfcompress.errors import DataError

MAPPED_BYTES = 256 << 20
"""Arrays up to this size are mapped into memory, larger ones are read row by row.

Mapping is faster (0.05 ms against 0.16 ms for 64 small images), but the kernel may map 2 MiB for a row that is
touched, so that only a bound on the array bounds the memory.
"""

BLOCK_BYTES = 8 << 20
"""How much is copied at a time."""

SPARE_BYTES = 1 << 30
"""What is left free where temporary files lie (a tenth of the disk, if that is less): others write there, too."""

CHECK_BYTES = 64 << 20
"""How much is written between two looks at what is free."""


class Rows(Protocol):
    """What is read by row: an array in memory, or in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, samples first."""

    @property
    def dtype(self) -> np.dtype:
        """Dtype as stored."""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of *rows* (indices along the first axis), in that order."""


class InMemory:
    """An array that is in memory already."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, samples first."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype as given."""
        return self.array.dtype

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of *rows*."""
        return _take(self.array, rows)


class OnDisk:
    """An array in a file: C order, *shape* and *dtype* from byte *offset* on.

    However large it is, a pass over it keeps the process's memory flat. The file may be closed meanwhile.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype, offset: int = 0) -> None:
        self.shape = shape
        self.dtype = dtype
        self._row_bytes = math.prod(shape[1:]) * dtype.itemsize
        self._offset = offset
        self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)
        # As bytes: a member of a zip starts anywhere, and numpy copies an unaligned array whole before a take.
        self._bytes: np.ndarray | None = None
        size_bytes = shape[0] * self._row_bytes
        if size_bytes == 0:
            self._bytes = np.empty((shape[0], self._row_bytes), np.uint8)
        elif size_bytes <= MAPPED_BYTES:
            self._bytes = self._mapped((shape[0], self._row_bytes), np.dtype(np.uint8))

    def _mapped(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.ndarray(shape, dtype, mmap.mmap(self._handle, 0, access=mmap.ACCESS_READ), self._offset)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of *rows*.

        Raises:
            DataError: the file was cut short meanwhile, or the rows do not fit into memory.
        """
        memory.need(len(rows) * self._row_bytes, f"{len(rows):,} samples of shape {self.shape[1:]} of {self.dtype}")
        taken = self._read(rows) if self._bytes is None else _take(self._bytes, rows)
        return taken.view(self.dtype).reshape(len(rows), *self.shape[1:])

    def _read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self._row_bytes), np.uint8)
        pieces = [(int(rows[0]), out)] if _consecutive(rows) else list(zip(rows.tolist(), out, strict=True))
        for row, piece in pieces:
            target, position = piece.data.cast("B"), self._offset + row * self._row_bytes
            while len(target):
                count = os.preadv(self._handle, [target], position)
                if count == 0:
                    msg = f"data: the file of an array {self.shape} was cut short while it was read; start again"
                    raise DataError(msg)
                target, position = target[count:], position + count
        return out

    def columns(self, start: int, stop: int) -> np.ndarray:
        """Return a copy of the slice *start* to *stop* of the last axis, shape (..., stop - start)."""
        if 0 in self.shape:
            return np.empty((*self.shape[:-1], 0), self.dtype)
        return np.array(self._mapped(self.shape, self.dtype)[..., start:stop])


def _take(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if _consecutive(rows):
        return np.array(array[int(rows[0]) : int(rows[-1]) + 1])
    return np.take(array, rows, axis=0)


def _consecutive(rows: np.ndarray) -> bool:
    return len(rows) > 0 and int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool(np.all(np.diff(rows) == 1))


class Spool:
    """An array written in pieces to a nameless temporary file, then read back as :class:`OnDisk`.

    The file has no name, so nothing is left behind even by a killed process. It lies where ``TMPDIR`` says.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._unchecked = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object, see the next line
        weakref.finalize(self, self._file.close)

    def append(self, piece: np.ndarray | bytes) -> None:
        """Write one piece behind the others.

        Raises:
            DataError: the temporary folder is full, but for :data:`SPARE_BYTES`.
        """
        size_bytes = len(piece) if isinstance(piece, bytes) else piece.nbytes
        self._unchecked += size_bytes
        if self._unchecked >= CHECK_BYTES:
            self._unchecked = 0
            self.reserve(size_bytes)
        try:
            self._file.write(piece if isinstance(piece, bytes) else np.ascontiguousarray(piece).data)
        except OSError as error:
            raise self._full(error) from error

    def reserve(self, size_bytes: int) -> None:
        """Refuse at once what would not fit.

        Raises:
            DataError: the temporary folder has less space than *size_bytes*, and :data:`SPARE_BYTES` beside them.
        """
        usage = shutil.disk_usage(tempfile.gettempdir())
        free = max(0, usage.free - min(SPARE_BYTES, usage.total // 10))
        if size_bytes > free:
            reason = f"{size_bytes:,} bytes needed, {free:,} free"
            raise self._full(reason)

    def rows(self, shape: tuple[int, ...], dtype: np.dtype, offset: int = 0) -> OnDisk:
        """Return what was written as an array; nothing may be appended afterwards."""
        self._file.flush()
        return OnDisk(self._file, shape, dtype, offset)

    def copy_to(self, target: BinaryIO) -> None:
        """Copy what was written to an open file, in pieces."""
        self._file.flush()
        self._file.seek(0, os.SEEK_SET)
        shutil.copyfileobj(self._file, target, BLOCK_BYTES)

    def _full(self, reason: object) -> DataError:
        where = tempfile.gettempdir()
        return DataError(f"{self._what} cannot be unpacked into {where}: {reason}; free some space there or set TMPDIR")
