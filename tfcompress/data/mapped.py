"""Arrays that live in a file and pass through memory in pieces."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import weakref
from typing import BinaryIO, Protocol

import numpy as np

from tfcompress.errors import DataError

RESIDENT_BYTES = 256 << 20
"""How much of a mapped array may stay in this process's memory before its pages are handed back to the page cache.

Reading a page again costs a page fault: 0.5 ms for 64 images handed back at once, against 0.03 ms where they stay.
"""

FAULT_BYTES = 64 << 10
"""What the kernel maps around a touched page (fault-around), and so the least that reading one row costs."""

BLOCK_BYTES = 8 << 20
"""How much is copied at a time."""


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


class Mapped:
    """An array in a file: C order, *shape* and *dtype* from byte *offset* on.

    The pages that were read are given back every :data:`RESIDENT_BYTES`, so that a pass over a file of any size keeps
    the process's memory flat.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype, offset: int = 0) -> None:
        self.shape = shape
        self.dtype = dtype
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._touched = 0
        self._offset = offset
        if 0 in shape:
            self._map = None
            self._bytes = np.empty((shape[0], self._row_bytes), np.uint8)
        else:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            # As bytes: a member of a zip starts anywhere, and numpy copies an unaligned array whole before a take.
            self._bytes = np.ndarray((shape[0], self._row_bytes), np.uint8, self._map, offset)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of *rows*."""
        out = _take(self._bytes, rows).view(self.dtype).reshape(len(rows), *self.shape[1:])
        self._touched += len(rows) * max(self._row_bytes, FAULT_BYTES if not _consecutive(rows) else 0)
        if min(self._touched, self._bytes.nbytes) > RESIDENT_BYTES and self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
        return out

    def columns(self, start: int, stop: int) -> np.ndarray:
        """Return a copy of the slice *start* to *stop* of the last axis, shape (..., stop - start)."""
        if self._map is None:
            return np.empty((*self.shape[:-1], 0), self.dtype)
        out = np.array(np.ndarray(self.shape, self.dtype, self._map, self._offset)[..., start:stop])
        self._map.madvise(mmap.MADV_DONTNEED)
        return out


def _take(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if _consecutive(rows):
        return np.array(array[int(rows[0]) : int(rows[-1]) + 1])
    return np.take(array, rows, axis=0)


def _consecutive(rows: np.ndarray) -> bool:
    return len(rows) > 0 and int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool(np.all(np.diff(rows) == 1))


class Spool:
    """An array written in pieces to a nameless temporary file, then read back as :class:`Mapped`.

    The file has no name, so nothing is left behind even by a killed process. It lies where ``TMPDIR`` says.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object, see the next line
        weakref.finalize(self, self._file.close)

    def append(self, piece: np.ndarray | bytes) -> None:
        """Write one piece behind the others.

        Raises:
            DataError: the temporary folder is full.
        """
        try:
            self._file.write(piece if isinstance(piece, bytes) else np.ascontiguousarray(piece).data)
        except OSError as error:
            raise self._full(error) from error

    def reserve(self, size_bytes: int) -> None:
        """Refuse at once what would not fit.

        Raises:
            DataError: the temporary folder has less space than *size_bytes*.
        """
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if size_bytes > free:
            reason = f"{size_bytes:,} bytes needed, {free:,} free"
            raise self._full(reason)

    def mapped(self, shape: tuple[int, ...], dtype: np.dtype, offset: int = 0) -> Mapped:
        """Return what was written as an array; nothing may be appended afterwards."""
        self._file.flush()
        return Mapped(self._file, shape, dtype, offset)

    def copy_to(self, target: BinaryIO) -> None:
        """Copy what was written to an open file, in pieces."""
        self._file.flush()
        self._file.seek(0, os.SEEK_SET)
        shutil.copyfileobj(self._file, target, BLOCK_BYTES)

    def _full(self, reason: object) -> DataError:
        where = tempfile.gettempdir()
        return DataError(f"{self._what} cannot be unpacked into {where}: {reason}; free some space there or set TMPDIR")
