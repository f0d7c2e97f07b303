"""Whether two models differ on the same samples by more than chance, and how far chance explains a mean.

Everything is closed form: no resampling, so that equal data gives equal figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcompress.tasks.figures import Better
from tfcompress.tasks.score import SIGNIFICANT, DifferenceVerdict

if TYPE_CHECKING:
    import numpy as np

Z_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution: a two-sided interval of 95 %."""

_EXACT_FREEDOM = 10_000
"""Up to so many degrees of freedom Student's t is summed; beyond, it is the normal distribution to four digits."""


@dataclass(frozen=True)
class Paired:
    """The mean of the second minus that of the first, over the same samples.

    Attributes:
        value: the difference.
        low: lower end of its 95 % interval.
        high: upper end.
        p: two-sided, that there is none.
        test: what it was tested with.
    """

    value: float
    low: float
    high: float
    p: float
    test: str

    def verdict(self, better: Better, margin: float) -> DifferenceVerdict:
        """Say what follows for the second.

        Args:
            better: which way of the mean is better.
            margin: a difference of at most this, either way, does not matter.
        """
        if self.p < SIGNIFICANT:
            return "better" if (self.value > 0) == (better == "higher") else "worse"
        return "same" if -margin <= self.low and self.high <= margin else "cannot tell"


def of_right(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare how often two models are right, by McNemar's test (:func:`edge_runner.mcnemar.mid_p`).

    The interval is Agresti and Min's (2005, Statistics in Medicine 24:729, "Wald+2"): half a sample is added to each of
    the four cells, then ``d = (c - b) / n`` with the variance ``((b + c) - (c - b)**2 / n) / n**2``.

    Args:
        first: whether each sample was right, bool, shape (samples,).
        second: the same of the other model.

    Raises:
        ValueError: other samples.
    """
    import numpy as np

    from edge_runner.mcnemar import mid_p

    _check(first, second)
    samples = len(first)
    only_first, only_second = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    b, c, n = only_first + 0.5, only_second + 0.5, samples + 2
    centre, spread = (c - b) / n, Z_95 * math.sqrt((b + c) - (c - b) ** 2 / n) / n
    value = (only_second - only_first) / samples if samples else 0.0
    low, high = max(-1.0, centre - spread), min(1.0, centre + spread)
    return Paired(value, low, high, mid_p(only_first, only_second), "McNemar")


def of_means(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two models by a number for each sample, by Student's paired t (Student 1908, Biometrika 6:1).

    Args:
        first: a number a sample, float, shape (samples,).
        second: the same of the other model.

    Returns:
        Of fewer than two samples, an interval without ends and p = 1.

    Raises:
        ValueError: other samples.
    """
    _check(first, second)
    differences = second - first
    value = float(differences.mean()) if len(differences) else 0.0
    if len(differences) < 2:
        return Paired(value, -math.inf, math.inf, 1.0, "paired t")
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    freedom = len(differences) - 1
    spread = student_quantile(freedom) * error
    p = (0.0 if value else 1.0) if error == 0 else t_p_value(value / error, freedom)
    return Paired(value, value - spread, value + spread, p, "paired t")


def of_areas(first: np.ndarray, second: np.ndarray, truth: np.ndarray) -> Paired:
    """Compare the areas under the ROC curves of two models' scores on the same samples, by DeLong's test.

    The chance that a sample of class 1 has the higher score is a mean over the samples of either class; how the two
    means vary with the samples gives the variance of the difference (DeLong, DeLong & Clarke-Pearson 1988, Biometrics
    44:837, equations 4 to 6).

    Args:
        first: a score a sample, float, shape (samples,).
        second: the same of the other model.
        truth: 0 and 1, shape (samples,).

    Returns:
        Of fewer than two samples of a class, an interval without ends and p = 1.

    Raises:
        ValueError: other samples, or a class that is missing.
    """
    _check(first, second)
    positive = truth == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        msg = f"an area needs samples of both classes, got {ones} and {zeros}"
        raise ValueError(msg)
    of_ones, of_zeros = (
        _shares(second[one], second[other]) - _shares(first[one], first[other])
        for one, other in ((positive, ~positive), (~positive, positive))
    )
    value = float(of_ones.mean())
    if ones < 2 or zeros < 2:
        return Paired(value, -math.inf, math.inf, 1.0, "DeLong")
    error = math.sqrt(float(of_ones.var(ddof=1)) / ones + float(of_zeros.var(ddof=1)) / zeros)
    p = (0.0 if value else 1.0) if error == 0 else math.erfc(abs(value) / error / math.sqrt(2))
    return Paired(value, max(-1.0, value - Z_95 * error), min(1.0, value + Z_95 * error), p, "DeLong")


def _shares(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return for each of *own* the share of *other* below it, ties one half."""
    import numpy as np

    ordered = np.sort(other)
    found: np.ndarray = (np.searchsorted(ordered, own) + np.searchsorted(ordered, own, side="right")) / 2 / len(other)
    return found


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        msg = f"both must hold the same samples, got shapes {first.shape} and {second.shape}"
        raise ValueError(msg)


def mean_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean that *values*, shape (samples,), were drawn from; None for fewer than two.

    ``mean ± t * s / sqrt(n)`` with n - 1 degrees of freedom (Student 1908).
    """
    if len(values) < 2:
        return None, None
    mean = float(values.mean())
    spread = student_quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean - spread, mean + spread


def area_interval(area: float, ones: int, zeros: int) -> tuple[float, float]:
    """Return the 95 % interval of an area under the ROC curve.

    Its ends are the areas from which the one that was seen lies 1.96 of *their* standard errors away, with Hanley and
    McNeil's variance ``A (1 - A) (1 + N (1 - A) / (2 - A) + N A / (1 + A)) / (ones * zeros)``,
    ``N = (ones + zeros) / 2 - 1`` (Newcombe 2006, Statistics in Medicine 25:559, method 5).

    Args:
        area: in [0, 1].
        ones: samples of class 1, at least 1.
        zeros: of class 0.
    """
    n = (ones + zeros) / 2 - 1

    def beyond(a: float) -> bool:
        variance = a * (1 - a) * (1 + n * (1 - a) / (2 - a) + n * a / (1 + a)) / (ones * zeros)
        return (area - a) ** 2 > Z_95**2 * variance

    return _boundary(0.0, area, beyond), _boundary(1.0, area, beyond)


def _boundary(outside: float, inside: float, beyond: Callable[[float], bool]) -> float:
    """Return by bisection where *beyond* becomes false on the way from *outside* to *inside*."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if beyond(middle):
            outside = middle
        else:
            inside = middle
    return inside


def t_p_value(t: float, freedom: int) -> float:
    """Return the two-sided p-value of Student's t.

    The finite sums of Abramowitz & Stegun, 26.7.3 and 26.7.4.

    Args:
        t: the statistic.
        freedom: degrees of freedom, at least 1.
    """
    if freedom > _EXACT_FREEDOM:
        return math.erfc(abs(t) / math.sqrt(2))
    angle = math.atan(abs(t) / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= square * (k + 1) / (k + 2)
    inside = math.sin(angle) * total
    return max(0.0, 1.0 - (2 / math.pi * (angle + inside) if odd else inside))


def student_quantile(freedom: int) -> float:
    """Return Student's t for a two-sided interval of 95 %; above 200 degrees by expansion (A & S 26.7.5)."""
    if freedom > 200:
        z, n = Z_95, freedom
        return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    low, high = 0.0, 16.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_p_value(middle, freedom) > SIGNIFICANT else (low, middle)
    return high
