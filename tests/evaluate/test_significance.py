from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfcompress.evaluate.significance import Z_95, mcnemar, wilson


def test_wilson_matches_its_formula_worked_by_hand() -> None:
    # p = 1/2, n = 4: centre (1/2 + z²/8) / (1 + z²/4) = 1/2, half width (z · sqrt(1/16 + z²/64)) / (1 + z²/4)
    half = Z_95 * math.sqrt(1 / 16 + Z_95**2 / 64) / (1 + Z_95**2 / 4)
    low, high = wilson(2, 4)
    assert low == pytest.approx(0.5 - half)
    assert high == pytest.approx(0.5 + half)


def test_wilson_of_all_right_ends_at_one_and_starts_at_n_over_n_plus_z_squared() -> None:
    low, high = wilson(10, 10)
    assert high == 1.0
    assert low == pytest.approx(10 / (10 + Z_95**2))


def test_wilson_of_no_samples_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_fraction_and_stays_within_zero_and_one(case: tuple[int, int]) -> None:
    right, samples = case
    low, high = wilson(right, samples)
    assert 0 <= low <= right / samples <= high <= 1


def test_wilson_refuses_more_right_than_samples() -> None:
    with pytest.raises(ValueError, match=r"right must be in 0\.\.3, got 4"):
        wilson(4, 3)


def _pair(only_a: int, only_b: int, both: int = 5) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * both + [True] * only_a + [False] * only_b
    b = [True] * both + [False] * only_a + [True] * only_b
    return np.array(a), np.array(b)


def test_exact_mcnemar_is_the_binomial_tail() -> None:
    # n = 5, k = 1: 2 · (C(5,0) + C(5,1)) / 2⁵ = 2 · 6 / 32
    assert mcnemar(*_pair(1, 4), exact=True) == pytest.approx(2 * 6 / 32)


def test_mid_p_takes_the_observed_mass_off_the_exact_p() -> None:
    assert mcnemar(*_pair(1, 4)) == pytest.approx(2 * 6 / 32 - 5 / 32)


def test_equal_disagreement_is_no_evidence() -> None:
    assert mcnemar(*_pair(3, 3)) == pytest.approx(1.0)
    assert mcnemar(*_pair(3, 3), exact=True) == 1.0


def test_no_disagreement_is_no_evidence() -> None:
    assert mcnemar(*_pair(0, 0)) == 1.0


def test_mcnemar_counts_pairs_not_totals() -> None:
    a = np.array([True] * 10 + [False] * 10)
    assert mcnemar(a, a) == 1.0
    assert mcnemar(a, ~a, exact=True) == pytest.approx(1.0)  # as many right, on no sample in common
    assert mcnemar(*_pair(0, 10)) == pytest.approx(2 / 2**10 - 1 / 2**10)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_symmetric_and_mid_p_never_exceeds_exact(only_a: int, only_b: int) -> None:
    a, b = _pair(only_a, only_b)
    assert mcnemar(a, b) == pytest.approx(mcnemar(b, a))
    assert 0 < mcnemar(a, b) <= mcnemar(a, b, exact=True) * (1 + 1e-9) <= 1 + 1e-9


def test_mcnemar_refuses_different_samples() -> None:
    with pytest.raises(ValueError, match=r"same samples, got shapes \(3,\) and \(4,\)"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))
