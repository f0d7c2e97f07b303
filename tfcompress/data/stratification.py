"""Drawing samples so that both parts have their share of every kind: classes, or marks of which a sample has any."""

from __future__ import annotations

import numpy as np

TRIED = 200
"""Most samples of each part that are tried for a change of places."""


def of_classes(classes: np.ndarray, held: int, rng: np.random.Generator) -> np.ndarray:
    """Draw *held* of the samples, of each class its share, the rest to the largest remainders.

    One of each class is not drawn, as long as there are others.

    Args:
        classes: of the samples, whole numbers, (samples,).
        held: how many to draw.
        rng: draws.

    Returns:
        bool, (samples,).
    """
    _, codes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    order = rng.permutation(len(codes))
    exact = held * counts / len(codes)
    most = counts - 1  # one of each class is to stay
    taken = np.minimum(np.floor(exact).astype(np.int64), most)
    ranking = np.lexsort((rng.random(len(counts)), taken - exact))
    while taken.sum() < held:
        open_classes = [place for place in ranking if taken[place] < most[place]]
        if not open_classes:
            most = counts
            continue
        taken[open_classes[: held - int(taken.sum())]] += 1
    by_class = order[np.argsort(codes[order], kind="stable")]
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    mask = np.zeros(len(codes), bool)
    mask[by_class[place < np.repeat(taken, counts)]] = True
    return mask


def of_marks(marks: np.ndarray, held: int, rng: np.random.Generator) -> np.ndarray:
    """Draw *held* of the samples, about its share of each mark; one that occurs twice is in both parts if that can be.

    The rarest mark is divided first, after Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label
    data", ECML PKDD, section 3; then samples change places for marks that one part still lacks. A mark that occurs
    once is not drawn.

    Args:
        marks: of the samples, bool, (samples, marks).
        held: how many to draw.
        rng: draws.

    Returns:
        bool, (samples,).
    """
    order = rng.permutation(len(marks))
    draw = _Draw(marks[order], held)
    draw.divide()
    draw.mend()
    mask = np.zeros(len(marks), bool)
    mask[order] = draw.drawn
    return mask


class _Draw:
    """Samples, in random order, that are drawn or not, and how many of each mark are.

    Args:
        marks: bool, (samples, marks).
        held: how many to draw.
    """

    def __init__(self, marks: np.ndarray, held: int) -> None:
        self._marks, self._held = marks, held
        self._counts = marks.sum(axis=0)
        self._several = self._counts >= 2
        share = held * self._counts / len(marks)
        self._wanted = np.where(self._several, np.clip(share, 1, np.maximum(self._counts - 1, 1)), 0)
        self._rare = self._several & (share < 1)
        self._taken = np.zeros(marks.shape[1], np.int64)
        self.drawn = np.zeros(len(marks), bool)

    def divide(self) -> None:
        """Divide the samples of each mark, the rarest first, and then those without."""
        is_open, left = np.ones(len(self._marks), bool), self._counts.copy()
        while left.any():
            mark = int(np.argmin(np.where(left > 0, left, len(self._marks) + 1)))
            rows = np.flatnonzero(is_open & self._marks[:, mark])
            self._take(self._best(rows)[: self._number(mark, len(rows), int(is_open.sum()))])
            is_open[rows] = False
            left -= self._marks[rows].sum(axis=0)
        self._take(np.flatnonzero(is_open)[: self._held - int(self.drawn.sum())])

    def _number(self, mark: int, rows: int, open_rows: int) -> int:
        """Return how many of the last *rows* samples of a mark to draw, while so many are open of all."""
        taken = int(self._taken[mark])
        left_out = int(self._counts[mark]) - rows - taken
        least = int(self._several[mark] and not taken)
        number = min(max(round(float(self._wanted[mark]) - taken), least), rows - (not left_out))
        to_draw = self._held - int(self.drawn.sum())
        return min(max(number, rows - (open_rows - to_draw)), to_draw)

    def _best(self, rows: np.ndarray) -> np.ndarray:
        """Put first the samples with rare marks of which none is drawn yet, and last those with a mark's last one."""
        missing = (self._rare & (self._taken == 0)).astype(np.int64)
        last = (self._counts - self._taken <= 1).astype(np.int64)
        marks = self._marks[rows].astype(np.int64)
        return np.asarray(rows[np.lexsort((-(marks @ missing), marks @ last))])

    def _take(self, rows: np.ndarray) -> None:
        self.drawn[rows] = True
        self._taken += self._marks[rows].sum(axis=0)

    def mend(self) -> None:
        """Let pairs of samples change places, as long as fewer marks are lacking in one part by that."""
        better = True
        while better:
            lacking = np.flatnonzero(self._lacking(self._taken))
            better = any(self._swap(int(mark)) for mark in lacking)

    def _lacking(self, taken: np.ndarray) -> np.ndarray:
        """Tell which marks could be in both parts and are not, where so many of each, (..., marks), are drawn."""
        found: np.ndarray = self._several & ((taken == 0) | (taken == self._counts))
        return found

    def _swap(self, mark: int) -> bool:
        """Move a sample with *mark* to the part that lacks it, and one back, if fewer marks are lacking then."""
        before = int(self._lacking(self._taken).sum())
        there = self.drawn if self._taken[mark] == 0 else ~self.drawn
        others = np.flatnonzero(there)[:TRIED]
        sign = 1 if self._taken[mark] == 0 else -1
        for one in np.flatnonzero(~there & self._marks[:, mark])[:TRIED]:
            taken = self._taken + sign * (self._marks[one].astype(np.int64) - self._marks[others])
            lacking = self._lacking(taken).sum(axis=1)
            best = int(np.argmin(lacking))
            if lacking[best] < before:
                self._taken = taken[best]
                self.drawn[[one, others[best]]] = ~self.drawn[[one, others[best]]]
                return True
        return False
