"""Arrays of .npz and .npy files without loading them: mapped where they lie, compressed ones unpacked to disk first."""

from __future__ import annotations

import math
import mmap
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from edge_runner.ndarray import Array

_LOCAL_HEADER_BYTES = 30


class ArrayError(ValueError):
    """The data cannot be read, or does not fit the model; the message says what to do."""


def open_arrays(data: Path, labels: Path | None = None) -> dict[str, Array]:
    """Return the arrays to run and score by name; what a process does not touch takes no memory.

    Args:
        data: an .npz, or an .npy of the samples of a model's only input, which becomes ``x``.
        labels: an .npy of the labels of its only output, which becomes ``y``.

    Raises:
        DataError: a file that is missing or of another kind.
    """
    arrays = {"x": open_npy(data)} if _starts_with(data, npy.MAGIC_PREFIX) else open_npz(data)
    return arrays if labels is None else {**arrays, "y": open_npy(labels)}


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(magic)) == magic
    except OSError as error:
        msg = f"data {str(path)!r} cannot be read: {error.strerror or error}"
        raise ArrayError(msg) from error


def open_npy(path: Path) -> Array:
    """Return the array of an .npy file.

    Raises:
        DataError: no such file, not an .npy, or one of Python objects.
    """
    try:
        with path.open("rb") as stream:
            return _map(stream, 0, path.name)
    except (OSError, EOFError, ValueError, OverflowError) as error:
        if isinstance(error, ArrayError):
            raise
        msg = f"data {str(path)!r} cannot be read as .npy: {error}; write it with numpy.save"
        raise ArrayError(msg) from error


def open_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of an .npz file by name.

    Raises:
        DataError: no such file, not an .npz, or a member that is no plain array.
    """
    unreadable = (OSError, zipfile.BadZipFile, EOFError, ValueError, OverflowError, RuntimeError)
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
            return {
                info.filename[: -len(".npy")]: _member(archive, info, stream, path.parent)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except (*unreadable, struct.error, zlib.error) as error:
        if isinstance(error, ArrayError):
            raise
        msg = f"data {str(path)!r} cannot be read as .npz: {error}; write it with numpy.savez"
        raise ArrayError(msg) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, stream: IO[bytes], folder: Path) -> Array:
    if info.compress_type == zipfile.ZIP_STORED:
        stream.seek(info.header_offset)
        header = stream.read(_LOCAL_HEADER_BYTES)
        name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
        return _map(stream, info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes, info.filename)
    with _scratch(folder) as unpacked, archive.open(info) as member:  # the mapping keeps what it maps
        shutil.copyfileobj(member, unpacked, 1 << 20)
        unpacked.flush()
        return _map(unpacked, 0, info.filename)


def _scratch(folder: Path) -> IO[bytes]:
    """Return an unnamed file on the data's own disk: the system's folder for them often lies in memory."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()


def _map(stream: IO[bytes], start: int, name: str) -> Array:
    """Map the .npy that starts at byte *start* of *stream*."""
    stream.seek(start)
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        msg = f"data member {name!r} holds Python objects; save it as a numeric array"
        raise ArrayError(msg)
    if 0 in shape:
        return np.empty(shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    first = stream.tell()
    aligned = first - first % mmap.ALLOCATIONGRANULARITY
    mapping = mmap.mmap(stream.fileno(), first - aligned + size, access=mmap.ACCESS_READ, offset=aligned)
    return np.ndarray(shape, dtype, mapping, first - aligned, order="F" if fortran else "C")


def release(array: Array) -> None:
    """Give back the memory that the pages of a mapped array take; they are read again when they are touched."""
    base: object = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
