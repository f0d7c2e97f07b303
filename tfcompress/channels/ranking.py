"""Which channels go, over all groups at once, until the model costs as little as was asked.

Each group is scored by one criterion, and the scores of different groups have different scales. What is compared is
therefore the SHARE of its own score that a group would lose: removing channels multiplies the group's kept share, and
the channels that go are those for which ``-log(kept share)`` grows least for each unit of cost saved. It is the rule of
LAMP (Lee et al. 2021, arXiv:2010.07611, eq. 1: a weight is scored by its share of what is still there) for channels
instead of weights, divided by what the removal saves. A group that has lost much already becomes dear, so none is
emptied while others are whole; a group whose removal saves nothing is left alone. Groups count by their weight: a
residual stream saves much, since many layers use it, and each of these layers suffers from its loss.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import numpy as np

Keep = Mapping[str, Sequence[int]]
"""Group -> the channels that stay, rising."""

CostOfKept = Callable[[Keep], float]
"""What the model would cost with these channels; a group that is not named keeps all of its channels."""

STEPS = 32
"""A group goes from all channels to none in at most so many steps; what the last one took too much is given back."""

EXCHANGES = 64
"""Most steps of one group that are exchanged for another's; where widths are fine, each gains next to nothing."""

LEAST_GAIN = 1e-9
"""Exchanges that gain less are rounding, and could go on for ever."""


@dataclass(frozen=True)
class Candidate:
    """A group of channels that may shrink.

    Attributes:
        name: the group's.
        scores: how much each channel matters, shape (channels,), at least 0.
        floor: least number of channels that stay.
        round_to: widths are multiples of this; the whole width is always allowed.
        weight: how much a lost share of this group's score counts, above 0: the number of kernels that it sits in, or
            what a sensitivity analysis says.
        first: channels that always stay.
    """

    name: str
    scores: np.ndarray
    floor: int = 1
    round_to: int = 1
    weight: float = 1.0
    first: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return len(self.scores)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Return the numbers of channels that it can keep, from all of them downwards."""
        whole, step, least = self.channels, self.round_to, max(self.floor, len(self.first), 1)
        allowed = [width for width in range(whole - whole % step, 0, -step) if least <= width < whole]
        return (whole, *allowed)

    @cached_property
    def order(self) -> np.ndarray:
        """Return the channels, those that always stay and then those that matter most first."""
        always = np.isin(np.arange(self.channels), self.first)
        return np.lexsort((-self.scores, ~always))

    @cached_property
    def share(self) -> np.ndarray:
        """Return the share of the whole score in the first k channels of :attr:`order`, shape (channels + 1,)."""
        total = float(self.scores.sum())
        if total <= 0.0:
            return np.linspace(0.0, 1.0, self.channels + 1)
        return np.concatenate([[0.0], np.cumsum(self.scores[self.order]) / total])

    def kept(self, width: int) -> tuple[int, ...]:
        """Return the channels that stay when *width* of them do, rising."""
        return tuple(sorted(int(channel) for channel in self.order[:width]))

    def loss(self, width: int, narrower: int) -> float:
        """Return by how much ``-weight * log(kept share)`` grows at a narrower width; infinite: nothing is left."""
        before, after = self.share[width], self.share[narrower]
        return self.weight * math.log(before / after) if after > 0.0 else math.inf


@dataclass(frozen=True)
class ChannelChoice:
    """What the ranking came to.

    Attributes:
        keep: the channels that stay, of each group that loses any.
        cost: what is left, in the unit of the cost function.
        least: what is left with every group at its floor.
    """

    keep: dict[str, tuple[int, ...]]
    cost: float
    least: float


def best_of(parts: Sequence[Sequence[int]], scores: np.ndarray) -> tuple[int, ...]:
    """Return channels, few and with high scores, of which at least one is in every part.

    Example:
        >>> best_of([(0, 1), (1, 2, 3)], np.array([0.5, 0.1, 0.2, 0.9]))
        (0, 3)
    """
    found: set[int] = set()
    for part in parts:
        if not found.intersection(part):
            found.add(max(part, key=lambda channel: float(scores[channel])))
    return tuple(sorted(found))


def choose_channels(candidates: Sequence[Candidate], cost: CostOfKept, target: float) -> ChannelChoice:
    """Remove the channels that matter least until the cost is at most *target*, and no more than that takes.

    Args:
        candidates: the groups that may shrink.
        cost: computes what is left; must not grow when channels go.
        target: largest cost allowed, in the unit of *cost*.

    Returns:
        The choice; its cost is above *target* only where all the floors together do not reach it.
    """
    widths = Widths(candidates, cost)
    least = cost(widths.keep({c.name: c.widths[-1] for c in candidates}))
    if least > target:
        lowest = {c.name: c.widths[-1] for c in candidates}
        return ChannelChoice(widths.keep(lowest), least, least)
    widths.shrink_(target)
    widths.give_back_(target)
    widths.exchange_(target)
    widths.give_back_(target)
    return ChannelChoice(widths.keep(widths.now), widths.cost_now, least)


class Widths:
    """How many channels each group keeps, while they are being chosen.

    Attributes:
        now: channels by the name of the group.
        cost_now: what the model costs with them, in the unit of the cost function.
    """

    def __init__(self, candidates: Sequence[Candidate], cost: CostOfKept) -> None:
        self._candidates = {candidate.name: candidate for candidate in candidates}
        self._cost = cost
        self.now = {candidate.name: candidate.channels for candidate in candidates}
        self.cost_now = cost({})

    def keep(self, widths: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Return the channels behind the widths, of the groups that lose any."""
        known = self._candidates
        return {name: known[name].kept(width) for name, width in widths.items() if width < known[name].channels}

    def shrink_(self, target: float) -> None:
        """Take the step that costs least for what it saves, until the target is met.

        What a step saves only falls while other groups shrink, so a price that was worked out earlier is a lower bound:
        the cheapest one is worked out anew, and taken if it is still the cheapest (lazy greedy; Minoux 1978).
        """
        queue = [(0.0, name) for name in self._candidates]
        heapq.heapify(queue)
        while queue and self.cost_now > target:
            _, name = heapq.heappop(queue)
            narrower = self._step(name)
            if narrower is None:
                continue
            cost = self._cost(self.keep({**self.now, name: narrower}))
            price = self._price(name, narrower, self.cost_now - cost)
            if queue and price > queue[0][0]:
                heapq.heappush(queue, (price, name))
                continue
            self.now[name], self.cost_now = narrower, cost
            heapq.heappush(queue, (price, name))

    def _price(self, name: str, narrower: int, saved: float) -> float:
        loss = self._candidates[name].loss(self.now[name], narrower)
        return loss / saved if saved > 0.0 else math.inf

    def _step(self, name: str) -> int | None:
        """Return the next width of a group: a 32nd of it away, or as near as its multiples allow."""
        candidate, width = self._candidates[name], self.now[name]
        narrower = [w for w in candidate.widths if w < width]
        wanted = width - candidate.channels / STEPS
        return next((w for w in narrower if w <= wanted), narrower[-1] if narrower else None)

    def exchange_(self, target: float) -> None:
        """Narrow one group a step to widen another that gains more than the first loses, while there is such a pair.

        Where widths go in large steps, the steps taken one by one end some way below the target.
        """
        for _ in range(EXCHANGES):
            for _, change in sorted(self._pairs(target), key=itemgetter(0)):
                cost = self._cost(self.keep({**self.now, **change}))
                if cost <= target:
                    self.now.update(change)
                    self.cost_now = cost
                    break
            else:
                return

    def _pairs(self, target: float) -> Iterator[tuple[float, dict[str, int]]]:
        """Give the exchanges that gain more than they lose, and whose two costs, each by itself, fit the target.

        Yields:
            What is lost, below 0, and the two groups' new widths.
        """
        wider, narrower = {}, {}
        for name, candidate in self._candidates.items():
            now, up, down = self.now[name], self._next_wider(name), self._step(name)
            if up is not None:
                wider[name] = up, candidate.loss(up, now), self._change(name, up)
            if down is not None:
                narrower[name] = down, candidate.loss(now, down), self._change(name, down)
        for taken, (down, loss, saved) in narrower.items():
            for given, (up, gain, added) in wider.items():
                if given != taken and loss - gain < -LEAST_GAIN and self.cost_now + saved + added <= target:
                    yield loss - gain, {given: up, taken: down}

    def _change(self, name: str, width: int) -> float:
        return self._cost(self.keep({**self.now, name: width})) - self.cost_now

    def _next_wider(self, name: str) -> int | None:
        return min((width for width in self._candidates[name].widths if width > self.now[name]), default=None)

    def give_back_(self, target: float) -> None:
        """Widen groups again where the target allows it, those first that gain most for what they cost."""
        while True:
            best = max(self._wider(target), default=None)
            if best is None:
                return
            _, name, width, self.cost_now = best
            self.now[name] = width

    def _wider(self, target: float) -> list[tuple[float, str, int, float]]:
        found = []
        for name, width in self.now.items():
            wider = self._next_wider(name)
            if wider is None:
                continue
            cost = self._cost(self.keep({**self.now, name: wider}))
            if cost <= target:
                found.append((self._candidates[name].loss(wider, width), name, wider, cost))
        return found
