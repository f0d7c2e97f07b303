"""Dividing unnamed data into a training and a test part, the same way each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfcompress.data.splits import BoundSplit, StreamSplit, TableSplit
from tfcompress.errors import DataError


def divided(split: BoundSplit, fraction: float, seed: int) -> tuple[BoundSplit, BoundSplit]:
    """Return the parts for training and for testing.

    Rows of a table are drawn by *seed*: exactly ``round(fraction * size)`` of them, and at least one. Samples of a
    stream are held out by a hash of their number and *seed*: about *fraction* of them.

    Raises:
        DataError: fewer than two samples, or a stream that comes in another order each time.
    """
    if isinstance(split, TableSplit):
        if split.size < 2:
            msg = f"data: {split.adapter.x_name} must hold at least 2 samples to be divided into train and test, got 1"
            raise DataError(msg)
        held = min(max(1, round(fraction * split.size)), split.size - 1)
        order = np.random.default_rng(seed).permutation(split.rows)
        train, test = np.sort(order[held:]), np.sort(order[:held])
        return replace(split, name="train", rows=train), replace(split, name="test", rows=test)
    _check_order(split)
    return (
        replace(split, name="train", keep=lambda rows: ~held_out(rows, fraction, seed), _counted=[]),
        replace(split, name="test", keep=lambda rows: held_out(rows, fraction, seed), _counted=[]),
    )


def _check_order(split: StreamSplit) -> None:
    first, again = (next(split.pieces(64)) for _ in range(2))
    same = all(np.array_equal(part, again.x[name]) for name, part in first.x.items())
    if not same:
        msg = (
            f"data: {split.adapter.x_name} comes in another order each time, so no part can be held out for testing; "
            "give it without shuffle(), or one data set for each split"
        )
        raise DataError(msg)


def held_out(rows: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Tell which sample numbers are held out: those whose hash, as a fraction of 2**64, is below *fraction*.

    The hash is the finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators",
    OOPSLA, figure 17, variant 13 of Stafford's).

    Args:
        rows: sample numbers, int64.
        fraction: of the samples, in (0, 1).
        seed: chooses another part.

    Returns:
        bool, as *rows*.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        z = (rows.astype(np.uint64) + np.uint64(1)) * golden + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z < np.uint64(int(fraction * 2**64))
