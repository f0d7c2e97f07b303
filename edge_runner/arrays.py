"""Arrays of an .npz file without loading them: stored members are mapped, compressed ones unpacked to disk first."""

from __future__ import annotations

import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

Array = np.ndarray[Any, np.dtype[Any]]
_LOCAL_HEADER_BYTES = 30


class DataError(ValueError):
    """The data cannot be read, or does not fit the model; the message says what to do."""


def open_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of an .npz file by name; what a process does not touch takes no memory.

    Raises:
        DataError: no such file, not an .npz, or a member that is no plain array.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
            return {
                info.filename[: -len(".npy")]: _member(archive, info, stream)
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError, struct.error, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        msg = f"data {str(path)!r} cannot be read as .npz: {error}; write it with numpy.savez"
        raise DataError(msg) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, stream: IO[bytes]) -> Array:
    if info.compress_type == zipfile.ZIP_STORED:
        stream.seek(info.header_offset)
        header = stream.read(_LOCAL_HEADER_BYTES)
        name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
        return _map(stream, info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes, info.filename)
    with tempfile.TemporaryFile() as unpacked, archive.open(info) as member:  # the mapping keeps what it maps
        shutil.copyfileobj(member, unpacked, 1 << 20)
        return _map(unpacked, 0, info.filename)


def _map(stream: IO[bytes], start: int, name: str) -> Array:
    """Map the .npy that starts at byte *start* of *stream*."""
    stream.seek(start)
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        msg = f"data member {name!r} holds Python objects; save it as a numeric array"
        raise DataError(msg)
    if 0 in shape:
        return np.empty(shape, dtype)
    order = "F" if fortran else "C"
    mapped: Array = np.memmap(stream, dtype=dtype, shape=shape, order=order, mode="r", offset=stream.tell())  # type: ignore[call-overload]
    return mapped
