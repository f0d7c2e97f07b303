"""Which samples training and calibration may look at: where a task says so, not all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tfcompress.data.labels import LabelCoder
from tfcompress.data.splits import BoundSplit, TableSplit
from tfcompress.errors import DataError

BATCH = 8192
"""Samples whose labels are looked at together."""


def learnt_part(split: BoundSplit) -> tuple[BoundSplit, str]:
    """Return a split without the samples that its tasks may not learn; their labels are read once.

    Args:
        split: with its tasks; a stream is read once.

    Returns:
        The part that may be learnt, and a line on what was left out; empty where nothing was.

    Raises:
        DataError: nothing may be learnt.
    """
    asking = {name: coder for name, coder in split.adapter.coders.items() if _asks(coder)}
    if not asking:
        return split, ""
    chosen, total = [], 0
    for rows, labels in _labels(split):
        kept = np.ones(len(rows), bool)
        for name, coder in asking.items():
            mask = coder.task.learnt(labels[name] if isinstance(labels, dict) else labels)
            kept &= True if mask is None else mask
        chosen.append(rows[kept])
        total += len(rows)
    learnt = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
    first = next(iter(asking.values()))
    where = first.where
    tasks = ", ".join(coder.task.name for coder in asking.values())
    if not len(learnt):
        takes = first.task.allowed(first.form.shape)
        msg = f"data: of the {total:,} samples of {where} task {tasks} can learn none; labels it takes: {takes}"
        raise DataError(msg)
    if len(learnt) == total:
        return split, ""
    said = f"{where}: {total - len(learnt):,} of {total:,} samples are not trained on, as task {tasks} has it"
    if isinstance(split, TableSplit):
        return replace(split, rows=learnt), said
    return replace(split, keep=lambda rows: np.isin(rows, learnt), _counted=[len(learnt)]), said


def _asks(coder: LabelCoder) -> bool:
    nothing = np.zeros((0,), np.int64)
    return coder.task.learnt(nothing) is not None


def _labels(split: BoundSplit) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield the samples' numbers and their labels in their one form, in order."""
    if isinstance(split, TableSplit):
        for start, labels in zip(range(0, split.size, BATCH), split.labels(BATCH), strict=True):
            yield split.rows[start : start + BATCH], labels
        return
    for piece in split.pieces(BATCH):
        yield piece.rows, split.adapter.labels(piece.y, piece.rows)
