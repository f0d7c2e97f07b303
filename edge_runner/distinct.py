"""How many different values an output gives, in one pass: few of them are what a coarse step has left."""

from __future__ import annotations

import numpy as np

from edge_runner.ndarray import Array

MOST = 4096
"""So many values of a channel are told apart; of an output with a channel that gives more, nothing is known."""
_CHANNELS = 64
"""An output of more channels (the last axis) is not counted: its values cost more than the figure is worth."""


class DistinctValues:
    """Counts the different values of each channel, the last axis of an output."""

    def __init__(self) -> None:
        self._seen: list[Array] | None = []

    def add(self, outputs: Array) -> None:
        """Add a batch, (samples, ..., channels) of real numbers; of (samples,) all are of one channel."""
        if self._seen is None:
            return
        rows = outputs.reshape(-1, outputs.shape[-1] if outputs.ndim > 1 else 1)
        seen = self._seen or [rows[:0, 0]] * rows.shape[1]
        if rows.shape[1] > _CHANNELS or rows.shape[1] != len(seen):
            self._seen = None
            return
        self._seen = [np.unique(np.concatenate([known, rows[:, place]])) for place, known in enumerate(seen)]
        if min(map(len, self._seen)) > MOST:
            self._seen = None
            return
        # a channel beyond the limit is not the one with the fewest
        self._seen = [known[: MOST + 1] for known in self._seen]

    @property
    def fewest(self) -> int | None:
        """The number of the channel with the fewest; None: no values, or more than can be told apart."""
        return min(map(len, self._seen)) if self._seen else None
