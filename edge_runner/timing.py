"""The loops around ``invoke()``: as little as possible between two readings of the clock."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable

MOST_RUNS = 100_000
"""Timed inferences of a model, at most: a file that runs in a microsecond would fill the result with millions."""
ALIVE_NS = 1_000_000_000
"""How often a long loop says that it is still alive, between two inferences and outside any timing."""


def timed(
    invoke: Callable[[], object], runs: int, seconds: float, alive: Callable[[], object], most: int = MOST_RUNS
) -> array[int]:
    """Call *invoke* until it ran *runs* times and for *seconds*, or *most* times; garbage collection is off meanwhile.

    Args:
        invoke: one inference.
        runs: at least so many calls, and at least one.
        seconds: at least for so long.
        alive: called about once a second.
        most: but not more often than this, unless *runs* is more.

    Returns:
        One duration a call, in nanoseconds.
    """
    samples, most = array("q"), max(most, runs)
    clock, add = time.perf_counter_ns, samples.append
    collecting = gc.isenabled()
    gc.disable()
    try:
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
                return samples
    finally:
        if collecting:
            gc.enable()


def once(call: Callable[[], object]) -> int:
    """Return how many nanoseconds one call takes."""
    before = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - before
