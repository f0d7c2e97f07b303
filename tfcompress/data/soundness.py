"""Samples that cannot be read, or hold no numbers: found by reading every one, left out, counted and named."""

from __future__ import annotations

import numpy as np

from tfcompress.data.raw import RowSplit, Stored
from tfcompress.data.recordings import skipped
from tfcompress.errors import DataError

BATCH = 64
"""Samples that are read together; one by one where one of them fails."""


def sound_rows(table: RowSplit, x_name: str, y_name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the rows that can be read and have finite inputs and labels, and the line on the others.

    Args:
        table: every row of it is read.
        x_name: what messages call the inputs.
        y_name: what messages call the labels.

    Returns:
        int64 indices, rising; and a warning, as a tuple of one, or empty.

    Raises:
        DataError: no row is sound; what is wrong with the first.
    """
    sound: list[int] = []
    errors: list[DataError] = []
    for start in range(0, table.size, BATCH):
        rows = np.arange(start, min(start + BATCH, table.size))
        faults = _faults(table, rows, x_name, y_name)
        sound += [int(row) for row in rows if row not in faults]
        errors += [faults[row] for row in sorted(faults)]
    if errors and not sound:
        raise errors[0]
    return np.array(sound, np.int64), skipped(x_name, errors)


def _faults(table: RowSplit, rows: np.ndarray, x_name: str, y_name: str) -> dict[int, DataError]:
    try:
        stored = table.read(rows)
    except DataError as error:
        if len(rows) == 1:
            return {int(rows[0]): error}
        return {
            place: fault
            for row in rows
            for place, fault in _faults(table, rows[[row - rows[0]]], x_name, y_name).items()
        }
    return _not_finite(stored, rows, x_name, y_name)


def _not_finite(stored: Stored, rows: np.ndarray, x_name: str, y_name: str) -> dict[int, DataError]:
    labels = stored.y if isinstance(stored.y, dict) else {} if stored.y is None else {"": stored.y}
    faults: dict[int, DataError] = {}
    for parts, where, what in ((stored.x, x_name, "NaN or Inf"), (labels, y_name, "no label (NaN)")):
        for part in parts.values():
            if part.dtype.kind == "f":
                bad = ~np.isfinite(part.reshape(len(part), -1)).all(axis=1)
                faults |= {int(row): DataError(f"{where} holds {what} at sample {row:,}") for row in rows[bad]}
    return faults
