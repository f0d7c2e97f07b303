"""Statistics of raw timings: pure functions of the samples, so that anyone can derive them again from the JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

NS_PER_MS = 1e6
DRIFT_LIMIT = 0.1
"""A run whose last tenth differs from its first by more than this fraction has drifted (heat, frequency, load)."""


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Return the value below which *fraction* of the samples lie, by linear interpolation (Hyndman & Fan 1996, type 7).

    Args:
        ordered: at least one sample, smallest first.
        fraction: in [0, 1].
    """
    place = fraction * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    return percentile(sorted(values), 0.5)


def median_interval(values: Sequence[float], z: float = 2.5758293035489004) -> tuple[float, float]:
    """Return an interval that holds the median of what *values* were drawn from, whatever its distribution.

    Its ends are values themselves, the ``n / 2 ± z * sqrt(n) / 2``-th by size (David & Nagaraja 2003, Order Statistics,
    section 7.1, with the normal approximation of the binomial); of few values the smallest and the largest.

    Args:
        values: at least one.
        z: quantile of the normal distribution; the default gives 99 %.
    """
    ordered, count = sorted(values), len(values)
    below = max(0, math.floor(count / 2 - z * math.sqrt(count) / 2))
    return ordered[below], ordered[count - 1 - below]


def summarize(samples_ns: Sequence[int]) -> dict[str, float | None]:
    """Return what is quoted from raw timings.

    Args:
        samples_ns: one duration an inference, in nanoseconds, in the order measured; at least one.

    Returns:
        Milliseconds by name (``mad_ms`` is the median absolute deviation from the median, ``std_ms`` the sample
        standard deviation, None for one sample), and ``per_second``: inferences a second of time spent in them.
    """
    ordered = sorted(samples_ns)
    count, total = len(ordered), sum(ordered)
    mean, middle = total / count, percentile(ordered, 0.5)
    variance = sum((value - mean) ** 2 for value in ordered) / (count - 1) if count > 1 else None
    in_ns = {
        "median_ms": middle,
        "mean_ms": mean,
        "std_ms": None if variance is None else math.sqrt(variance),
        "mad_ms": median([abs(value - middle) for value in ordered]),
        "p50_ms": middle,
        "p90_ms": percentile(ordered, 0.90),
        "p95_ms": percentile(ordered, 0.95),
        "p99_ms": percentile(ordered, 0.99),
        "min_ms": ordered[0],
        "max_ms": ordered[-1],
    }
    derived = {name: None if value is None else value / NS_PER_MS for name, value in in_ns.items()}
    return {**derived, "per_second": count * 1e9 / total if total else None}


def drift(samples_ns: Sequence[int]) -> dict[str, float | bool | None]:
    """Compare the first tenth of a run with its last.

    Returns:
        ``first_tenth_ms`` and ``last_tenth_ms`` (medians), their ``ratio`` (above 1: it became slower) and ``drifted``;
        all None for fewer than 20 samples, which say nothing.
    """
    tenth = len(samples_ns) // 10
    if tenth < 2:
        return {"first_tenth_ms": None, "last_tenth_ms": None, "ratio": None, "drifted": None}
    first, last = median(samples_ns[:tenth]), median(samples_ns[-tenth:])
    ratio = last / first if first else None
    return {
        "first_tenth_ms": first / NS_PER_MS,
        "last_tenth_ms": last / NS_PER_MS,
        "ratio": ratio,
        "drifted": None if ratio is None else abs(ratio - 1) > DRIFT_LIMIT,
    }


def wilson(right: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927, JASA 22:209, equation for p).

    Args:
        right: successes, 0 to *count*.
        count: trials.
        z: quantile of the normal distribution; the default gives 95 %.

    Returns:
        Lower and upper end, in [0, 1]; (0, 1) for no trials.

    Raises:
        ValueError: *right* outside 0..*count*.
    """
    if not 0 <= right <= count:
        msg = f"right must be in 0..{count}, got {right}"
        raise ValueError(msg)
    if count == 0:
        return 0.0, 1.0
    share, square = right / count, z * z
    centre = share + square / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    scale = 1 + square / count
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return (0.0 if right == 0 else low), (1.0 if right == count else high)
