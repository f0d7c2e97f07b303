"""Are two models right equally often? McNemar's test on the samples that only one of them gets right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def compare_scored(rights: Sequence[Mapping[str, str] | None]) -> list[dict[str, Any]]:
    """Compare each model with the first that was scored, output by output.

    Outputs belong together by name; where both models have only one, whatever it is called.

    Args:
        rights: for each model, by output, ``SAMPLES:HEX``: one bit a sample, 1 where it was right, the first sample in
            the highest bit; None for a model without scores.

    Returns:
        One entry a pair and output: numbers of the two models in the sequence, how many samples only one of them got
        right, and the two-sided mid-p value that they are right equally often (see :func:`mid_p`).
    """
    known = [(number, right) for number, right in enumerate(rights) if right]
    if len(known) < 2:
        return []
    (first, of_first), *others = known
    return [
        _entry(first, second, output, bits, other)
        for second, of_second in others
        for output, bits, other in _pairs(of_first, of_second)
        if bits.partition(":")[0] == other.partition(":")[0]
    ]


def _pairs(first: Mapping[str, str], second: Mapping[str, str]) -> list[tuple[str, str, str]]:
    if len(first) == len(second) == 1:
        (output, bits), other = next(iter(first.items())), next(iter(second.values()))
        return [(output, bits, other)]
    return [(output, bits, second[output]) for output, bits in first.items() if output in second]


def _entry(first: int, second: int, output: str, bits: str, other: str) -> dict[str, Any]:
    samples, _, own = bits.partition(":")
    one, two = int(own, 16), int(other.partition(":")[2], 16)
    only_first, only_second = bin(one & ~two).count("1"), bin(two & ~one).count("1")
    return {
        "first": first,
        "second": second,
        "output": output,
        "samples": int(samples),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p": mid_p(only_first, only_second),
    }


def mid_p(only_first: int, only_second: int) -> float:
    """Return the two-sided mid-p value of McNemar's test.

    With n the samples that exactly one is right about, k the smaller share and X ~ Binomial(n, 1/2):
    ``2 * P(X <= k) - P(X = k)`` (Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91).
    """
    n, k = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    masses = [
        math.exp(math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(n - x + 1) - n * math.log(2))
        for x in range(k + 1)
    ]
    return min(1.0, 2 * math.fsum(masses) - masses[k])
