"""Notices what begins again and again, as Keras takes it with ``steps_per_epoch``, instead of ending."""

from __future__ import annotations

import hashlib
from array import array

import numpy as np

from tfcompress.errors import DataError

PASS_SAMPLES = 50_000_000
"""What gives more samples in one pass is taken for something that never ends."""

REPEATED_SAMPLES = 1_000
"""So many samples must come again before that is no chance: two numbers in turn are honest data."""

REMEMBERED = 1_000_000
"""Most elements that are compared with those before."""


class Repetition:
    """Watches the elements of one pass.

    It follows the longest end of what came so far that is also its beginning (Knuth, Morris and Pratt 1977, "Fast
    pattern matching in strings", section 2), so that a whole pass that comes again is seen whatever its length.

    Args:
        name: what messages call the data.
        length: how it can say how long it is, in words; what says so ends, and is not watched.
    """

    def __init__(self, name: str, length: str) -> None:
        self._name = name
        self._length = length
        self._prints = array("Q")
        self._ends = array("q", [0])
        self._alike = True

    def check(self, x: np.ndarray, given: int) -> None:
        """Look at an element.

        Args:
            x: its first input, a batch or a sample.
            given: samples so far, those of *x* among them.

        Raises:
            DataError: everything came twice, or far too much came.
        """
        matched = self._matched(x) if len(self._prints) < REMEMBERED else 0
        count = len(self._prints)
        again = matched * given >= REPEATED_SAMPLES * count and 2 * matched >= count and not self._alike
        if not again and given <= PASS_SAMPLES:
            return
        how = "begins again from its start" if again else "does not end"
        msg = (
            f"data: {self._name} {how} after {given:,} samples; give one pass over them, without repeating, or say how "
            f"many there are ({self._length})"
        )
        raise DataError(msg)

    def _matched(self, x: np.ndarray) -> int:
        """Take an element; return how many of the last ones are as many of the first."""
        edges = np.ascontiguousarray(x[[0, -1]] if x.ndim and len(x) else x)
        digest = hashlib.blake2b(edges.tobytes(), digest_size=8, person=len(np.atleast_1d(x)).to_bytes(8, "little"))
        new = int.from_bytes(digest.digest(), "little")
        self._alike = self._alike and (not self._prints or new == self._prints[0])
        self._prints.append(new)
        if len(self._prints) == 1:
            return 0
        matched = self._ends[-1]
        while matched and self._prints[matched] != new:
            matched = self._ends[matched - 1]
        matched += self._prints[matched] == new
        self._ends.append(matched)
        return int(matched)
