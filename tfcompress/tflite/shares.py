"""Samples shared out: to calibrate on, to choose by, and to compare the finished file on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

HELD_BACK = 100
"""Samples by which one of several ways to quantize is chosen, where there are so many."""
_QUARTER = 4
NONE_HELD_BACK = f"too few samples to hold any back, which takes at least {_QUARTER}"
"""Why nothing can be chosen by samples."""


class SampleSource(Protocol):
    """Data that can be drawn from, such as :class:`tfcompress.data.BoundData`."""

    def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Draw up to *count* samples by *seed*: for each input by name an array of shape (samples, *shape)."""


@dataclass(frozen=True)
class Shares:
    """Samples by input name, arrays of shape (samples, *shape).

    Attributes:
        calibration: ranges and corrections follow from them.
        held_back: what was calibrated is judged by them; none of them is among the former.
        compared: the finished file's outputs are compared on them; where there are enough samples, others again.
    """

    calibration: dict[str, np.ndarray]
    held_back: dict[str, np.ndarray]
    compared: dict[str, np.ndarray]


def shares(data: SampleSource, seed: int, *, calibration: int, compared: int, hold_back: bool = False) -> Shares:
    """Draw samples and share them out at random.

    Whoever gives too few has all of them calibrate and all be compared; a quarter is held back where *hold_back*.

    Args:
        data: what is drawn from.
        seed: draws them.
        calibration: how many are to calibrate.
        compared: how many are to be compared on, at most.
        hold_back: whether some must be held back; without, they are only where there are enough for all.
    """
    reserved = HELD_BACK if calibration else 0
    drawn = data.representative(calibration + reserved + compared, seed)
    total = len(next(iter(drawn.values())))
    order = np.random.default_rng(seed).permutation(
        total
    )  # what is drawn comes in the order of the data: by class, say
    held = min(reserved, max(0, total - calibration))
    if hold_back and held < reserved:
        held = max(held, min(reserved, total // _QUARTER))
    used = min(calibration, total - held)

    def part(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[rows] for name, values in drawn.items()}

    return Shares(part(order[:used]), part(order[used : used + held]), part(order[-compared:]))
