"""Is one model faster than another? Ratios of turns that stood side by side, and how sure they are.

Two levels of chance matter. Turns within a process differ because the machine is busy; processes differ because memory
lies elsewhere in each (Kalibera & Jones 2013, "Rigorous benchmarking in reasonable time", ISMM, sections 6 and 7), and
no number of turns within one process averages that away. So ratios are resampled on both levels: processes first, then
the rounds within each (a hierarchical bootstrap).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from edge_runner.summary import median, percentile

CONFIDENCE = 0.99
"""Of the interval: a verdict that is wrong once in twenty would be wrong in every second table of ten models."""
RESAMPLES = 1000
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


def compare(first: Rounds, second: Rounds, seed: int) -> dict[str, Any] | None:
    """Return how many times as long *first* takes as *second*, with an interval and a verdict on *second*.

    The estimate is the mean over processes of the median over rounds of the logarithm of the ratio. The bootstrap's
    deviations are widened for few processes, by ``sqrt(K / (K - 1))`` because resampling K values understates their
    spread, and by ``t(K - 1) / z`` because K values do not know it well (Hesterberg 2015, Am. Stat. 69:371, section
    3.1): without that, an interval from 5 processes that claims 99 % keeps about 90 %.

    Returns:
        None when no round holds both. With one process the interval is of its rounds, and there is no verdict.
    """
    logs = _logs(first, second)
    if not logs:
        return None
    centre = _centre(logs)
    deviations = sorted(_centre(resampled) - centre for resampled in _resamples(logs, seed))
    units = len(logs) if len(logs) > 1 else len(logs[0])
    low = high = None
    if units > 1:
        widened = math.sqrt(units / (units - 1)) * t_quantile(units - 1) / _Z
        tail = (1 - CONFIDENCE) / 2
        low, high = (math.exp(centre + widened * percentile(deviations, share)) for share in (tail, 1 - tail))
    return {
        "ratio": math.exp(centre),
        "low": low,
        "high": high,
        "confidence": CONFIDENCE,
        "processes": len(logs),
        "rounds": sum(map(len, logs)),
        "verdict": _verdict(low, high) if len(logs) > 1 else None,
    }


def _logs(first: Rounds, second: Rounds) -> list[list[float]]:
    """Return by process the logarithms of the ratios of its rounds; processes and rounds that lack one are left out."""
    logs = [
        [math.log(turn / second[process][number]) for number, turn in rounds.items() if number in second[process]]
        for process, rounds in first.items()
        if process in second
    ]
    return [rounds for rounds in logs if rounds]


def _centre(logs: Sequence[Sequence[float]]) -> float:
    return sum(map(median, logs)) / len(logs)


def _resamples(logs: Sequence[Sequence[float]], seed: int) -> list[list[list[float]]]:
    chance = random.Random(seed)
    return [
        [chance.choices(rounds, k=len(rounds)) for rounds in chance.choices(logs, k=len(logs))]
        for _ in range(RESAMPLES)
    ]


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
                result = compare(rounds[one], rounds[other], seed)
                if result:
                    found.append({"first": one, "second": other, **result})
    return found
