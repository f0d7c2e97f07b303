"""``.npz`` files, read without loading them: stored members where they lie, compressed ones unpacked once."""

from __future__ import annotations

import collections
import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np

from tfcompress.data import hidden, npy_header
from tfcompress.data.ondisk import BLOCK_BYTES, OnDisk, Rows, Spool
from tfcompress.errors import DataError

_LOCAL_HEADER = struct.Struct("<4s22xHH")

MEMBERS = 10_000
"""Most arrays in a file: each is named by hand (``x_train.NAME``), and each costs a look."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes. Deflate gives at most 1,032 bytes for one; what else a zip may hold knows no bound."""


_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
)
"""What zipfile raises for what is damaged, encrypted or of a newer kind."""


@dataclass(frozen=True)
class Member:
    """One array of an ``.npz`` file, not read yet.

    Attributes:
        path: the file.
        name: the array's name in it.
        shape: its shape.
        dtype: its dtype, numeric or text.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    _fortran: bool
    _header_bytes: int
    _info: zipfile.ZipInfo

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of *rows* (indices along the first axis), in that order.

        Raises:
            DataError: the member is damaged, or there is no space to unpack it.
        """
        return self._rows.take(rows)

    @cached_property
    def _rows(self) -> Rows:
        try:
            rows = self._stored() if self._info.compress_type == zipfile.ZIP_STORED else self._unpacked()
        except _BROKEN as error:
            raise _damaged(self.path, self.name, error) from error
        return self._c_order(rows) if self._fortran and len(self.shape) > 1 else rows

    def _stored(self) -> OnDisk:
        with self.path.open("rb") as file:  # the mapping keeps it open by itself
            file.seek(self._info.header_offset)
            magic, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            start = self._info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes + self._header_bytes
            size = self._info.file_size - self._header_bytes
            if magic != b"PK\3\4" or start + size > self.path.stat().st_size:
                raise _damaged(self.path, self.name, "the file ends too early")
            return OnDisk(file, *self._layout, offset=start)

    def _unpacked(self) -> OnDisk:
        spool = Spool(f"{self.path}: {self.name}")
        spool.reserve(self._info.file_size)
        unpacked = 0
        with zipfile.ZipFile(self.path) as archive, archive.open(self._info) as stream:
            while piece := stream.read(BLOCK_BYTES):
                spool.append(piece)
                unpacked += len(piece)
        if unpacked != self._info.file_size:
            raise _damaged(self.path, self.name, f"it unpacks to {unpacked:,} bytes, not {self._info.file_size:,}")
        return spool.rows(*self._layout, offset=self._header_bytes)

    @property
    def _layout(self) -> tuple[tuple[int, ...], np.dtype]:
        # An array in Fortran order lies in the file as its transpose does in C order.
        return (self.shape[::-1] if self._fortran else self.shape), self.dtype

    def _c_order(self, transposed: OnDisk) -> OnDisk:
        """Copy an array in Fortran order (a transposed one that was saved, say) so that samples lie together."""
        spool = Spool(f"{self.path}: {self.name}")
        size_bytes = math.prod(self.shape) * self.dtype.itemsize
        spool.reserve(size_bytes)
        step = max(1, self.shape[0] * BLOCK_BYTES * 8 // max(size_bytes, 1))
        for start in range(0, self.shape[0], step):
            spool.append(transposed.columns(start, start + step).T)
        return spool.rows(self.shape, self.dtype)


def read_members(path: Path) -> dict[str, Member]:
    """Look into an ``.npz`` file; nothing but headers is read.

    Args:
        path: the file; it stays as it is.

    Returns:
        Its arrays by name.

    Raises:
        DataError: the file is no ``.npz``, is cut short, holds Python objects (which are never unpickled), or members
            that lie over each other, have one name, or are packed as numpy packs none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if _is_array(info.filename)]
            _check_members(path, infos)
            members = {}
            for info in infos:
                with archive.open(info) as stream:
                    member = _member(path, info, stream)
                members[member.name] = member
    except _BROKEN as error:
        raise _not_npz(path, error) from error
    if not members:
        msg = f"data {str(path)!r} is a zip file without arrays, not an .npz; write it with numpy.savez"
        raise DataError(msg)
    return members


def _is_array(name: str) -> bool:
    """Tell an array from the rest; an archive that macOS packed holds ``__MACOSX/._NAME.npy`` beside each."""
    return name.endswith(".npy") and not hidden.is_apple_double(name)


def _check_members(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse members that no writer of arrays makes, before one of them is read."""
    if len(infos) > MEMBERS:
        msg = f"data {str(path)!r} holds {len(infos):,} arrays, at most {MEMBERS:,} are read; stack them into a few"
        raise DataError(msg)
    names = collections.Counter(info.filename for info in infos)
    end, before = 0, ""
    for info in sorted(infos, key=lambda info: info.header_offset):
        name = info.filename.removesuffix(".npy")
        if names[info.filename] > 1:
            raise _damaged(path, name, "another array has the same name")
        if info.header_offset < end:
            raise _damaged(path, name, f"it lies over {before}")
        if info.compress_type not in _METHODS:
            raise _damaged(path, name, f"zip method {info.compress_type} is none that numpy writes")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise _damaged(path, name, f"{info.compress_size:,} bytes are said to be {info.file_size:,}")
        end, before = info.header_offset + info.compress_size, name


def _member(path: Path, info: zipfile.ZipInfo, stream: IO[bytes]) -> Member:
    name = info.filename.removesuffix(".npy")
    try:
        header = npy_header.read_header(stream)
    except ValueError as error:
        raise _damaged(path, name, error) from error
    if header.dtype.hasobject:
        msg = (
            f"data {str(path)!r}: {name} holds Python objects (a pickle), which tfcompress never unpickles; "
            f"save it as an array of numbers: {name}.astype('float32')"
        )
        raise DataError(msg)
    given = info.file_size - header.size_bytes
    if given != header.wanted_bytes:
        wanted = f"shape {header.shape} of {header.dtype} needs {header.wanted_bytes:,} bytes, it holds {given:,}"
        raise _damaged(path, name, wanted)
    return Member(path, name, header.shape, header.dtype, header.fortran, header.size_bytes, info)


def _damaged(path: Path, name: str, reason: object) -> DataError:
    return DataError(f"data {str(path)!r}: {name} is damaged or cut short ({reason}); write the file again")


def _not_npz(path: Path, error: Exception) -> DataError:
    if path.is_file() and path.stat().st_size == 0:
        return DataError(f"data {str(path)!r} is an empty file; write it with numpy.savez")
    starts_as_zip = False
    if path.is_file():
        with path.open("rb") as stream:
            starts_as_zip = stream.read(4) == b"PK\3\4"
    if starts_as_zip:
        return DataError(f"data {str(path)!r} is cut short or damaged ({error}); copy or write it again")
    return DataError(f"data {str(path)!r} is not an .npz file ({error}); write it with numpy.savez")
