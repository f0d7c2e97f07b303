"""The evaluation data that goes to the device: an uncompressed ``.npz`` that edge_runner can map into memory."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from tfcompress.data.ondisk import Spool
from tfcompress.data.splits import BoundSplit
from tfcompress.files import output_errors


def write(path: Path, split: BoundSplit, batch_size: int = 256) -> None:
    """Write a split's samples as the model takes them, in order, one batch in memory at a time.

    The arrays are ``x.NAME`` for each input, in the model's dtype, and ``y`` (``y.NAME`` for several outputs): int32
    class numbers for tasks with classes, float32 targets for others; no ``y`` without labels.

    Args:
        path: the file; it appears whole or not at all.
        split: what to write.
        batch_size: samples read at a time.

    Raises:
        OutputError: the file cannot be written; what stood at *path* before still does.
    """
    columns: dict[str, _Column] = {}
    for x, y in split.batches(batch_size):
        arrays = {f"x.{name}": part for name, part in x.items()} | _labels(split, y)
        for name, part in arrays.items():
            columns.setdefault(name, _Column(name)).append(part)
    with output_errors(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                _write_zip(stream, columns)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _labels(split: BoundSplit, y: Any) -> dict[str, np.ndarray]:
    if y is None:
        return {}
    named = {f"y.{name}": part for name, part in y.items()} if isinstance(y, dict) else {"y": y}
    tasks = split.adapter.tasks
    only = next(iter(tasks.values()))
    return {key: tasks.get(key[2:], only).for_runner(part) for key, part in named.items()}


class _Column:
    """One array on its way to the file."""

    def __init__(self, name: str) -> None:
        self.spool = Spool(name)
        self.samples = 0
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype(np.float32)

    def append(self, part: np.ndarray) -> None:
        self.samples += len(part)
        self.shape, self.dtype = part.shape[1:], part.dtype
        self.spool.append(part)

    def header(self) -> bytes:
        stream = io.BytesIO()
        shape = (self.samples, *self.shape)
        description = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, description)
        return stream.getvalue()


def _write_zip(stream: BinaryIO, columns: dict[str, _Column]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, column in columns.items():
            # A fixed date, so that the same data gives the same bytes.
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(column.header())
                column.spool.copy_to(cast("BinaryIO", member))
