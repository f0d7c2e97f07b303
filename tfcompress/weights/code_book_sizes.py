"""What a kernel of few values takes in a file, computed from its values: as a look-up table, or in a package."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_TABLE_BYTES = 112
"""Of a header, an op, two tensors and what lies between them, about."""

_MOST_BITS = 7
"""Of an index in a look-up table of TensorFlow Lite Micro."""


@dataclass(frozen=True)
class Storage:
    """How values are stored.

    Attributes:
        tables: as look-up tables of TensorFlow Lite Micro, whose indices have whole bits; else in a package, which
            codes them by their frequencies.
        value_bits: that a value itself takes in a package's code book.
    """

    tables: bool = False
    value_bits: int = 6


def stored_bytes(kernel: np.ndarray, count: int, axis: int | None, storage: Storage) -> float:
    """Return what a kernel takes, about.

    Args:
        kernel: weights of few values.
        count: values that one code book may hold.
        axis: of the channels that have a code book of their own; None: one for the kernel.
        storage: how it is stored.
    """
    rows = kernel.reshape(1, -1) if axis is None else np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
    books = [np.unique(row, return_inverse=True) for row in rows]
    longest = max(len(book) for book, _ in books)
    if storage.tables:
        return float(_in_tables(kernel, longest, axis))
    numbers = np.bincount(np.concatenate([places.reshape(-1) for _, places in books]), minlength=count)
    shares = numbers[numbers > 0] / kernel.size
    bits = -kernel.size * float((shares * np.log2(shares)).sum()) + sum(len(b) for b, _ in books) * storage.value_bits
    return bits / 8


def _in_tables(kernel: np.ndarray, longest: int, axis: int | None) -> int:
    """Return the bytes of indices and tables, or of the kernel as it is where that is less.

    A kernel whose channels have scales of their own needs a table for each of them, also where they share their values.
    """
    channels = kernel.shape[-1 if axis is None else axis]
    bits = max(1, math.ceil(math.log2(longest)))
    table = -(-kernel.size * bits // 8) + channels * longest + _TABLE_BYTES
    return min(kernel.size, table) if bits <= _MOST_BITS else kernel.size
