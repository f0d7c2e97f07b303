import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner import summary

SAMPLES = st.lists(st.integers(1, 10**9), min_size=1, max_size=50)


def test_the_statistics_of_five_samples():
    derived = summary.summarize([5_000_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000])
    assert derived["median_ms"] == derived["p50_ms"] == 3
    assert derived["mean_ms"] == (1 + 2 + 3 + 4 + 5) / 5
    assert derived["std_ms"] == pytest.approx(((4 + 1 + 0 + 1 + 4) / 4) ** 0.5)
    assert derived["mad_ms"] == 1  # the median of 2, 1, 0, 1, 2
    assert (derived["min_ms"], derived["max_ms"]) == (1, 5)
    assert derived["p90_ms"] == pytest.approx(4 + 0.9 * 4 - 3)
    assert derived["per_second"] == pytest.approx(5 / 0.015)


def test_one_sample_has_no_spread():
    derived = summary.summarize([7])
    assert derived["std_ms"] is None
    assert derived["p99_ms"] == 7e-6


@given(SAMPLES)
def test_the_median_is_the_standard_librarys(samples):
    assert summary.median(samples) == pytest.approx(statistics.median(samples))


def test_the_medians_interval_is_cut_from_both_ends():
    assert summary.median_interval(range(100)) == (37, 62)  # 100 / 2 -+ 2.576 * sqrt(100) / 2 = 37.1 and 62.9
    assert summary.median_interval([3, 1, 2]) == (1, 3)


@given(SAMPLES, st.floats(0, 1))
def test_a_percentile_lies_among_the_samples_and_grows_with_its_fraction(samples, fraction):
    ordered = sorted(samples)
    value = summary.percentile(ordered, fraction)
    assert ordered[0] <= value <= ordered[-1]
    assert value <= summary.percentile(ordered, 1) == ordered[-1]


@given(SAMPLES)
def test_order_does_not_matter_to_the_statistics(samples):
    assert summary.summarize(samples) == summary.summarize(samples[::-1])


def test_a_run_that_becomes_slower_has_drifted():
    found = summary.drift([1_000_000] * 50 + [1_200_000] * 50)
    assert found == {"first_tenth_ms": 1.0, "last_tenth_ms": 1.2, "ratio": pytest.approx(1.2), "drifted": True}


def test_a_steady_run_has_not_drifted():
    assert summary.drift([100, 101] * 50)["drifted"] is False


def test_a_few_samples_say_nothing_of_drift():
    assert set(summary.drift([1] * 19).values()) == {None}


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (8719, 10000, 0.8652, 0.8783)],
)
def test_the_interval_of_a_proportion(right, count, low, high):
    assert summary.wilson(right, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("right", "count"), [(0, 1), (0, 7), (7, 7), (1, 1)])
def test_a_certain_end_of_it_is_exactly_none_or_all(right, count):
    low, high = summary.wilson(right, count)
    assert (low == 0) is (right == 0)
    assert (high == 1) is (right == count)


def test_no_trials_say_nothing_and_more_right_than_trials_are_refused():
    assert summary.wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match=r"right must be in 0..3, got 4"):
        summary.wilson(4, 3)
