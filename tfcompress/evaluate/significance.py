"""How far chance alone explains an accuracy, or the difference of two on the same samples."""

from __future__ import annotations

import math

import numpy as np

Z_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution: a two-sided interval of 95 %."""


def wilson(right: int, samples: int, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a fraction.

    With p = right / samples, n = samples: ``(p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`` (Wilson 1927,
    "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, p. 209).

    Args:
        right: successes, 0 to *samples*.
        samples: trials.
        z: quantile of the normal distribution; the default gives 95 %.

    Returns:
        Lower and upper end, fractions in [0, 1]; (0, 1) for no samples.

    Raises:
        ValueError: *right* outside 0..*samples*.
    """
    if not 0 <= right <= samples:
        msg = f"right must be in 0..{samples}, got {right}"
        raise ValueError(msg)
    if samples == 0:
        return 0.0, 1.0
    p, each = right / samples, z * z / samples
    centre = p + each / 2
    spread = z * math.sqrt(p * (1 - p) / samples + each / (4 * samples))
    low, high = (centre - spread) / (1 + each), (centre + spread) / (1 + each)
    return (0.0 if right == 0 else low), (1.0 if right == samples else high)


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray, *, exact: bool = False) -> float:
    """Return the two-sided p-value that two classifiers are right equally often on the same samples.

    With n the samples on which exactly one is right, k the smaller share of them and X ~ Binomial(n, 1/2): exact
    ``min(1, 2·P(X ≤ k))`` (McNemar 1947, Psychometrika 12, p. 153), and mid-p ``2·P(X ≤ k) - P(X = k)`` (Fagerland,
    Lydersen & Laake 2013, BMC Medical Research Methodology 13:91), which is less conservative and the default.

    Args:
        correct_a: whether A was right, bool, shape (samples,).
        correct_b: whether B was right on the same samples, in the same order.
        exact: return the exact p-value instead of the mid-p.

    Returns:
        p in (0, 1]; 1 when both are right on the same samples.

    Raises:
        ValueError: arrays of different shapes.
    """
    if correct_a.shape != correct_b.shape:
        msg = f"both must hold the same samples, got shapes {correct_a.shape} and {correct_b.shape}"
        raise ValueError(msg)
    only_a = int(np.count_nonzero(correct_a & ~correct_b))
    only_b = int(np.count_nonzero(correct_b & ~correct_a))
    n, k = only_a + only_b, min(only_a, only_b)
    masses = [math.exp(_log_binomial(n, x) - n * math.log(2)) for x in range(k + 1)]
    tail = 2 * math.fsum(masses)
    return min(1.0, tail if exact else tail - masses[k])


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
