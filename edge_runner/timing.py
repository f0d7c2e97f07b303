"""The loops around ``invoke()``: as little as possible between two readings of the clock."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

MOST_RUNS = 100_000
"""Durations kept of a model, at most: a file that runs in a microsecond would fill the result with millions."""
ALIVE_NS = 1_000_000_000
"""How often a long loop says that it is still alive, between two inferences and outside any timing."""
LOOP_NS = 50_000
"""How long the calls between two readings of the clock last at least where a small difference is looked for: so long
that reading the clock, and its resolution, vanish beside them."""
MOST_CALLS = 1000
LEAST_PAIRS = 5


class Timed(NamedTuple):
    """What a loop saw.

    Attributes:
        samples: one duration a call, in nanoseconds, as far as they were kept.
        runs: how many calls there were.
        total_ns: how long all of them took.
    """

    samples: array[int]
    runs: int
    total_ns: int


def timed(
    invoke: Callable[[], object],
    runs: int,
    seconds: float,
    alive: Callable[[], object],
    most: int = MOST_RUNS,
    *,
    full_time: bool = False,
) -> Timed:
    """Call *invoke* until it ran *runs* times and for *seconds*, or *most* times; garbage collection is off meanwhile.

    Args:
        invoke: one inference.
        runs: at least so many calls, and at least one.
        seconds: at least for so long.
        alive: called about once a second.
        most: but not more often than this, unless *runs* is more.
        full_time: run for *seconds* all the same; only *most* durations are kept, the others counted.
    """
    samples, most = array("q"), max(most, runs)
    clock, add = time.perf_counter_ns, samples.append
    with _no_collecting():
        start = clock()
        deadline, beat = start + int(seconds * 1e9), start + ALIVE_NS
        while True:
            before = clock()
            invoke()
            after = clock()
            add(after - before)
            if after >= beat:
                alive()
                beat = after + ALIVE_NS
            count = len(samples)
            if (after >= deadline and count >= runs) or count >= most:
                break
        rest, rest_ns = _uncounted(invoke, deadline, alive) if full_time else (0, 0)
    return Timed(samples, len(samples) + rest, sum(samples) + rest_ns)


def _uncounted(invoke: Callable[[], object], deadline: int, alive: Callable[[], object]) -> tuple[int, int]:
    """Go on until *deadline* without keeping durations; return how many calls there were and how long they took."""
    clock, runs, spent = time.perf_counter_ns, 0, 0
    before = clock()
    beat = before + ALIVE_NS
    while before < deadline:
        invoke()
        after = clock()
        runs, spent = runs + 1, spent + after - before
        if after >= beat:
            alive()
            beat = after + ALIVE_NS
        before = clock()
    return runs, spent


@contextmanager
def _no_collecting() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def above(
    call: Callable[[], object], empty: Callable[[], object], seconds: float, alive: Callable[[], object]
) -> list[float]:
    """Return by how many nanoseconds *call* takes longer than *empty*, pair by pair; negative where it does not.

    A pair is a loop of one and a loop of the other, side by side and as many calls each, so that the loop's own cost
    falls out and the machine's moods fall on both; which of them comes first alternates (A B, B A).

    Args:
        call: what is timed.
        empty: the same kind of call that does nothing.
        seconds: as many pairs as fit into it when nothing disturbs them, and at least five.
        alive: called about once a second.
    """
    with _no_collecting():
        fastest = max(1, min(_loop(call, 1) for _ in range(3)))
        calls = min(MOST_CALLS, -(-LOOP_NS // fastest))
        pairs = max(LEAST_PAIRS, int(seconds * 1e9 / (2 * calls * fastest)))
        differences: list[float] = []
        beat = time.perf_counter_ns() + ALIVE_NS
        for number in range(pairs):
            if number % 2:
                nothing = _loop(empty, calls)
                something = _loop(call, calls)
            else:
                something = _loop(call, calls)
                nothing = _loop(empty, calls)
            differences.append((something - nothing) / calls)
            if time.perf_counter_ns() >= beat:
                alive()
                beat = time.perf_counter_ns() + ALIVE_NS
    return differences


def _loop(call: Callable[[], object], calls: int) -> int:
    """Return how many nanoseconds *calls* calls take."""
    before = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return time.perf_counter_ns() - before


def once(call: Callable[[], object]) -> int:
    """Return how many nanoseconds one call takes."""
    before = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - before
