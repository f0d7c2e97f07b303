"""Is one model faster than another? Ratios of turns that stood side by side, and how sure they are.

Two levels of chance matter. Turns within a process differ because the machine is busy; processes differ because memory
lies elsewhere in each (Kalibera & Jones 2013, "Rigorous benchmarking in reasonable time", ISMM, sections 6 and 7), and
no number of turns within one process averages that away. A process's ratio holds both, so processes are what is
resampled, whole (Davison & Hinkley 1997, Bootstrap Methods, section 3.8: for nested data, resampling the upper level
alone is right and resampling both counts the lower one twice).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_runner.summary import median, percentile

CONFIDENCE = 0.99
"""Of the interval: a verdict that is wrong once in twenty would be wrong in every second table of ten models."""
RESAMPLES = 2000
_Z = 2.5758293035489004
_T = {1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032, 6: 3.707, 7: 3.499, 8: 3.355, 9: 3.250}
"""Student's t for 99 %, two-sided, by degrees of freedom."""

Rounds = Mapping[int, Mapping[int, float]]
"""By process, by round: the median duration of a model's turns in it."""


def t_quantile(freedom: int) -> float:
    """Return Student's t for 99 %, two-sided; above the table by Fisher's expansion (Abramowitz & Stegun 26.7.5)."""
    if freedom in _T:
        return _T[freedom]
    z, n = _Z, freedom
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)


def rounds_of(blocks: Sequence[Mapping[str, Any]], samples_ns: Sequence[int]) -> dict[int, dict[int, float]]:
    """Return the mean of the turns' medians by process and round, in nanoseconds.

    Args:
        blocks: the document's, in order; throttled ones have no samples.
        samples_ns: the document's.
    """
    found: dict[int, dict[int, list[float]]] = {}
    start = 0
    for block in blocks:
        if block["throttled"]:
            continue
        turn = samples_ns[start : start + block["runs"]]
        start += block["runs"]
        found.setdefault(block["process"], {}).setdefault(block["round"], []).append(median(turn))
    return {
        process: {number: sum(turns) / len(turns) for number, turns in rounds.items()}
        for process, rounds in found.items()
    }


def compare_rounds(first: Rounds, second: Rounds, seed: int) -> dict[str, Any] | None:
    """Return how many times as long *first* takes as *second*, with an interval and a verdict on *second*.

    The estimate is the mean over processes of the median over rounds of the logarithm of the ratio. The bootstrap's
    deviations are widened for few processes, by ``sqrt(K / (K - 1))`` because resampling K values understates their
    spread, and by ``t(K - 1) / z`` because K values do not know it well (Hesterberg 2015, Am. Stat. 69:371, section
    3.1).

    Returns:
        None when no round holds both. With one process the interval is of its rounds, and there is no verdict.
    """
    logs = _logs(first, second)
    if not logs:
        return None
    units, estimate = ([median(rounds) for rounds in logs], _mean) if len(logs) > 1 else (logs[0], median)
    low, high = _ends(units, estimate, seed)
    return {
        "ratio": math.exp(estimate(units)),
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
        "processes": len(logs),
        "rounds": sum(map(len, logs)),
        "verdict": _verdict(low, high) if len(logs) > 1 else None,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ends(
    units: Sequence[float], estimate: Callable[[Sequence[float]], float], seed: int
) -> tuple[float | None, float | None]:
    """Return the ends of the interval of the ratio; None for a single unit, whose chance nobody knows."""
    count, chance = len(units), random.Random(seed)
    if count < 2:
        return None, None
    centre = estimate(units)
    deviations = sorted(estimate(chance.choices(units, k=count)) - centre for _ in range(RESAMPLES))
    widened = math.sqrt(count / (count - 1)) * t_quantile(count - 1) / _Z
    tail = (1 - CONFIDENCE) / 2
    return (
        math.exp(centre + widened * percentile(deviations, tail)),
        math.exp(centre + widened * percentile(deviations, 1 - tail)),
    )


def _logs(first: Rounds, second: Rounds) -> list[list[float]]:
    """Return by process the logarithms of the ratios of its rounds; processes and rounds that lack one are left out."""
    logs = [
        [math.log(turn / second[process][number]) for number, turn in rounds.items() if number in second[process]]
        for process, rounds in first.items()
        if process in second
    ]
    return [rounds for rounds in logs if rounds]


def _verdict(low: float | None, high: float | None) -> str:
    if low is None or high is None or low <= 1 <= high:
        return "indistinguishable"
    return "faster" if low > 1 else "slower"


def all_pairs(models: Sequence[Mapping[str, Any]], groups: Sequence[Sequence[int]], seed: int) -> list[dict[str, Any]]:
    """Compare the models that were timed in turns, every pair once.

    Args:
        models: the document's entries.
        groups: places in *models* of those that were timed together.
        seed: of the resampling.
    """
    found = []
    for group in groups:
        sound = [place for place in group if models[place]["status"] == "ok"]
        rounds = {p: rounds_of(models[p]["timing"]["blocks"], models[p]["timing"]["samples_ns"]) for p in sound}
        for index, one in enumerate(sound):
            for other in sound[index + 1 :]:
                result = compare_rounds(rounds[one], rounds[other], seed)
                if result:
                    found.append({"first": one, "second": other, **result})
    return found
