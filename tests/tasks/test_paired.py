from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.tasks import paired
from tfcompress.tasks.paired import Paired


def of_counts(both: int, only_first: int, only_second: int, neither: int = 0) -> Paired:
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return paired.of_right(first, second)


def test_mcnemar_counts_the_samples_that_one_alone_gets_right() -> None:
    found = of_counts(10, 1, 4)
    assert found.p == pytest.approx(2 * 6 / 32 - 5 / 32)  # P(X <= 1) = 6/32, P(X = 1) = 5/32
    assert found.value == 3 / 15
    assert of_counts(0, 0, 10).p == pytest.approx(2 / 2**10 - 1 / 2**10)


def test_the_interval_of_two_accuracies_is_agrestis_and_mins() -> None:
    found = of_counts(50, 10, 20, 20)
    b, c, n = 10.5, 20.5, 102
    spread = 1.959964 * math.sqrt((b + c) - (c - b) ** 2 / n) / n
    assert (found.low, found.high) == pytest.approx(((c - b) / n - spread, (c - b) / n + spread))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_exchanging_two_models_turns_the_difference_round(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    for compare in (paired.of_right, lambda a, b: paired.of_means(a.astype(float), b.astype(float))):
        one, two = compare(first, second), compare(second, first)
        assert one.value == pytest.approx(-two.value)
        assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
        assert one.p == pytest.approx(two.p)
        assert 0 <= one.p <= 1


def test_a_paired_t_is_students() -> None:
    """Differences 1, 2, 3, 4, 5: mean 3, s = sqrt(2.5), t = 3 / sqrt(0.5) with 4 degrees of freedom."""
    found = paired.of_means(np.zeros(5), np.arange(1.0, 6.0))
    assert found.p == pytest.approx(0.01324, abs=5e-6)
    assert (found.low, found.high) == pytest.approx((3 - 2.776445 * 0.5**0.5, 3 + 2.776445 * 0.5**0.5), rel=1e-6)


def test_equal_models_do_not_differ_and_a_shift_of_every_sample_does() -> None:
    errors = np.random.default_rng(0).random(20)
    assert paired.of_means(errors, errors).p == 1
    assert paired.of_means(errors, np.full(20, 2.0) + errors).p == pytest.approx(0, abs=1e-12)
    assert paired.of_means(errors[:1], errors[:1] + 1).p == 1


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.30265), (5, 2.57058), (30, 2.04227), (200, 1.97190), (201, 1.97183), (10_001, 1.96020)],
)
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert paired.student_quantile(freedom) == pytest.approx(quantile, abs=1e-5)
    assert paired.t_p_value(quantile, freedom) == pytest.approx(0.05, abs=1e-4)


def test_the_interval_of_a_mean_holds_it_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        low, high = paired.mean_interval(rng.exponential(size=50))
        assert low is not None
        assert high is not None
        held += low <= 1 <= high
    assert 900 <= held <= 970  # of a skewed distribution a little less than 950
    assert paired.mean_interval(np.ones(1)) == (None, None)


def test_the_interval_of_an_area_is_newcombes() -> None:
    low, high = paired.area_interval(0.8, 50, 50)
    for end in (low, high):
        variance = end * (1 - end) * (1 + 49 * (1 - end) / (2 - end) + 49 * end / (1 + end)) / 2500
        assert abs(0.8 - end) == pytest.approx(paired.Z_95 * math.sqrt(variance), rel=1e-6)
    assert low < 0.8 < high
    low, high = paired.area_interval(1.0, 5, 5)
    assert low < 0.7
    assert high == 1.0


@pytest.mark.parametrize(
    ("found", "better", "verdict"),
    [
        (Paired(-0.2, -0.3, -0.1, 0.001, ""), "higher", "worse"),
        (Paired(-0.2, -0.3, -0.1, 0.001, ""), "lower", "better"),
        (Paired(-0.2, -0.41, 0.01, 0.06, ""), "higher", "cannot tell"),
        (Paired(0.001, -0.004, 0.006, 0.5, ""), "higher", "same"),
    ],
)
def test_a_verdict_needs_significance_and_sameness_a_narrow_interval(found: Paired, better: str, verdict: str) -> None:
    assert found.verdict(better, 0.01) == verdict  # type: ignore[arg-type]  # "higher" or "lower"


def test_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must hold the same samples, got shapes \(3,\) and \(4,\)"):
        paired.of_right(np.ones(3, bool), np.ones(4, bool))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_difference_of_areas_varies_as_delong_says(ones: int, zeros: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 6, (2, ones + zeros)).astype(float)
    truth = np.arange(ones + zeros) < ones
    kernels = []
    for scores in (first, second):  # pair by pair: equation 3 of the paper
        kernels.append(np.array([[(a > b) + (a == b) / 2 for b in scores[ones:]] for a in scores[:ones]], float))
    by_one, by_zero = (np.array([kernel.mean(axis=axis) for kernel in kernels]) for axis in (1, 0))
    contrast = np.array([-1.0, 1.0])
    variance = contrast @ (np.cov(by_one) / ones + np.cov(by_zero) / zeros) @ contrast
    found = paired.of_areas(first, second, truth.astype(int))
    assert found.value == pytest.approx(kernels[1].mean() - kernels[0].mean())
    assert found.high - found.value == pytest.approx(
        min(1 - found.value, paired.Z_95 * np.sqrt(max(variance, 0))), abs=1e-7
    )


def test_areas_need_both_classes_and_two_of_each_for_a_test() -> None:
    with pytest.raises(ValueError, match="an area needs samples of both classes, got 2 and 0"):
        paired.of_areas(np.zeros(2), np.ones(2), np.ones(2))
    few = paired.of_areas(np.array([1.0, 0, 2]), np.array([3.0, 0, 2]), np.array([1, 0, 0]))
    assert (few.value, few.p, few.low) == (0.5, 1.0, -math.inf)
