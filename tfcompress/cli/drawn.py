"""Samples that a command draws out of the data it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfcompress.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.data.dataset import BoundData

BATCH = 64


def chosen_split(bound: BoundData, asked: str | None, order: Sequence[str]) -> str:
    """Return the split that was asked for, or the first of *order* that there is.

    Raises:
        UsageError: there is no such split.
    """
    name = asked or next(each for each in order if each in bound.splits)
    if name not in bound.splits:
        msg = f"--split must be one of {', '.join(bound.splits)} (what the data holds), got {name!r}"
        raise UsageError(msg)
    return name


def drawn_inputs(bound: BoundData, split: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Return up to *count* samples of a split, drawn by *seed*: arrays of shape (samples, ...) by input name."""
    import numpy as np

    batches = [inputs for inputs, _ in bound.splits[split].sample(count, seed).batches(BATCH)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
