"""The evaluation data that goes to the device: an uncompressed ``.npz`` that edge_runner can map into memory."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from tfcompress.data.ondisk import BLOCK_BYTES, Spool
from tfcompress.data.splits import BoundSplit
from tfcompress.files import atomic_stream
from tfcompress.tasks.task import Task

NARROW = ("uint8", "float16")
"""What float32 inputs may be stored in, narrowest first."""

PEEK = 16
"""Samples that show how many bytes each takes."""

MOST_BYTES = 32 << 20
"""What a file may take unless asked otherwise: it is copied to each device."""


def write_runner_file(
    path: Path,
    split: BoundSplit,
    limit: int | None = None,
    seed: int = 0,
    *,
    most_bytes: int | None = MOST_BYTES,
    input_dtype: str | None = None,
    batch_size: int = 256,
) -> int:
    """Write samples of a split as the model takes them, in order, one batch in memory at a time.

    The arrays are ``x.NAME`` for each input, and ``y`` (``y.NAME`` for several outputs): int32 class numbers for tasks
    with classes, float32 targets for others; no ``y`` without labels; and ``task``, which tells edge_runner what the
    labels mean (:mod:`edge_runner.told`). Inputs of float32 are stored in a narrower dtype
    where every value survives: uint8 (images that the model scales itself) or float16.

    Args:
        path: the file; it appears whole or not at all.
        split: what to write.
        limit: at most so many samples, drawn by *seed*; None: all.
        seed: see *limit*.
        most_bytes: at most so many bytes, by drawing fewer samples (at least one); None: no limit.
        input_dtype: dtype of the inputs of the file that is to read this. edge_runner takes values of that very dtype
            as quantized already, so float values never come in it; None: it may be any.
        batch_size: samples read at a time.

    Returns:
        How many samples were written.

    Raises:
        OutputError: the file cannot be written; what stood at *path* before still does.
    """
    narrow = [np.dtype(name) for name in NARROW if input_dtype is not None or name == "float16"]
    narrow = [dtype for dtype in narrow if dtype != np.dtype(input_dtype or "float32")]
    limit = _affordable(split, limit, narrow, most_bytes)
    together = max((task.together for task in split.adapter.tasks.values()), default=1)
    drawn = split if limit is None else split.sample(limit, seed, together=together)
    columns = _collected(drawn, narrow, batch_size)
    samples = next(iter(columns.values())).samples
    each = -(-sum(column.size_bytes for column in columns.values()) // samples)
    if (
        most_bytes is not None and samples > 1 and each * samples > most_bytes
    ):  # later samples were wider than the first
        fewer = split.sample(max(1, most_bytes // each), seed, together=together)
        columns = _collected(fewer, narrow, batch_size)
    _save(path, columns, split.adapter.tasks)
    return next(iter(columns.values())).samples


def _affordable(split: BoundSplit, limit: int | None, narrow: Sequence[np.dtype], most_bytes: int | None) -> int | None:
    """Return how many samples fit, if all are as narrow as the first ones."""
    if most_bytes is None:
        return limit
    first = _collected(split, narrow, PEEK, only=PEEK)
    samples = next(iter(first.values())).samples
    each = -(-sum(column.size_bytes for column in first.values()) // samples)
    fitting = max(1, most_bytes // max(each, 1))
    return fitting if limit is None else min(limit, fitting)


def _collected(
    split: BoundSplit, narrow: Sequence[np.dtype], batch_size: int, only: int | None = None
) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for x, y in split.batches(batch_size, limit=only):
        arrays = {f"x.{name}": part for name, part in x.items()} | _labels(split, y)
        for name, part in arrays.items():
            fitting = narrow if name.startswith("x.") else ()
            columns.setdefault(name, _Column(name, fitting)).append(part)
    return columns


def _save(path: Path, columns: dict[str, _Column], tasks: Mapping[str, Task]) -> None:
    with atomic_stream(path) as stream:
        _write_zip(stream, columns, tasks)


def _labels(split: BoundSplit, y: Any) -> dict[str, np.ndarray]:
    if y is None:
        return {}
    named = {f"y.{name}": part for name, part in y.items()} if isinstance(y, dict) else {"y": y}
    tasks = split.adapter.tasks
    only = next(iter(tasks.values()))
    return {key: tasks.get(key[2:], only).for_runner(part) for key, part in named.items()}


class _Column:
    """One array on its way to the file, and the narrowest dtype that holds all of it so far."""

    def __init__(self, name: str, narrow: Sequence[np.dtype]) -> None:
        self._spool = Spool(name)
        self._narrow = list(narrow)
        self._stored = np.dtype(np.float32)
        self._shape: tuple[int, ...] = ()
        self.samples = 0

    def append(self, part: np.ndarray) -> None:
        self.samples += len(part)
        self._shape, self._stored = part.shape[1:], part.dtype
        if part.dtype != np.float32:
            self._narrow = []
        self._narrow = [dtype for dtype in self._narrow if _survives(part, dtype)]
        self._spool.append(part)

    @property
    def dtype(self) -> np.dtype:
        """What is written."""
        return self._narrow[0] if self._narrow else self._stored

    @property
    def size_bytes(self) -> int:
        """What it takes in the file, but for its header."""
        return self.samples * math.prod(self._shape) * self.dtype.itemsize

    def header(self) -> bytes:
        stream = io.BytesIO()
        shape = (self.samples, *self._shape)
        description = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, description)
        return stream.getvalue()

    def copy_to(self, target: BinaryIO) -> None:
        if self.dtype == self._stored:
            self._spool.copy_to(target)
            return
        rows = self._spool.rows((self.samples, *self._shape), self._stored)
        step = max(1, BLOCK_BYTES // max(1, math.prod(self._shape) * self._stored.itemsize))
        for start in range(0, self.samples, step):
            block = rows.take(np.arange(start, min(start + step, self.samples)))
            target.write(block.astype(self.dtype).tobytes())


def _survives(part: np.ndarray, dtype: np.dtype) -> bool:
    """Whether *part*, float32, is the same after a stay in *dtype*."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is out of range does not survive
        there_and_back = part.astype(dtype).astype(np.float32)
    return there_and_back.tobytes() == part.tobytes()  # bits, so that -0.0 and NaN count


def _write_zip(stream: BinaryIO, columns: dict[str, _Column], tasks: Mapping[str, Task]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, column in columns.items():
            with archive.open(_dated(name), "w", force_zip64=True) as member:
                member.write(column.header())
                column.copy_to(cast("BinaryIO", member))
        if tasks:
            told = {name: {"task": task.name, "options": task.options()} for name, task in tasks.items()}
            with archive.open(_dated("task"), "w", force_zip64=True) as member:
                np.lib.format.write_array(cast("BinaryIO", member), np.array(json.dumps(told)), version=(1, 0))


def _dated(name: str) -> zipfile.ZipInfo:
    """Return an entry with a fixed date, so that the same data gives the same bytes."""
    return zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
