"""How often values occur, before and after, in the same bins."""

from __future__ import annotations

import numpy as np

from tfcompress.reports.pictures import ValueCounts

_BINS = 48


def value_counts(
    name: str,
    before: np.ndarray,
    after: np.ndarray,
    distinct: int | None,
    grid: tuple[float, float] | None = None,
) -> ValueCounts:
    """Count values.

    Args:
        name: of what holds them.
        before: of any shape, finite, at least one.
        after: likewise, of any other shape.
        distinct: how many different ones there are after; None: it is not known.
        grid: the smallest and the largest number that can be held after; None: there is no such limit.
    """
    sides = before.astype(np.float64), after.astype(np.float64)  # half a step beside a large float32 is no other one
    low, high = min(float(v.min()) for v in sides), max(float(v.max()) for v in sides)
    room = max(0.5, abs(low) / 1024) if low == high else 0.0
    low, high = low - room, high + room
    one, two = (tuple(np.histogram(v, _BINS, (low, high))[0].tolist()) for v in sides)
    zeros = [float(np.mean(v == 0)) for v in sides]
    return ValueCounts(
        name=name,
        low=low,
        high=high,
        before=one,
        after=two,
        zeros_before=zeros[0],
        zeros_after=zeros[1],
        distinct_after=distinct,
        grid=grid,
        beyond=None if grid is None else float(np.mean((before < grid[0]) | (before > grid[1]))),
    )
