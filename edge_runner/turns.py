"""Whose turn it is: orders in which models are timed, so that a machine's moods fall on all of them alike."""

from __future__ import annotations

import random
from collections.abc import Iterator


def there_and_back(count: int, rounds: int, order: random.Random) -> Iterator[tuple[int, int]]:
    """Yield (round, place) for *count* subjects: every round in a random order and back again, A B C C B A.

    Whatever changes evenly during a round (a clock that sinks, a core that warms up) then weighs the same on each: the
    ABBA design (Box, Hunter & Hunter 2005, Statistics for Experimenters, section 4.2, on blocking).
    """
    for number in range(rounds):
        way = order.sample(range(count), count)
        yield from ((number, place) for place in (*way, *reversed(way)))


def once_around(count: int, rounds: int, order: random.Random) -> Iterator[tuple[int, int]]:
    """Yield (round, place): each subject once a round, in random order."""
    for number in range(rounds):
        yield from ((number, place) for place in order.sample(range(count), count))
