import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.mcnemar import compare_scored, mid_p
from edge_runner.scorers import bits


def test_samples_that_only_one_gets_right_are_counted():
    first, second = bits([1, 1, 0, 0, 1, 1, 1, 1, 1]), bits([1, 0, 1, 0, 0, 1, 1, 1, 1])
    (entry,) = compare_scored([{"scores": first}, {"scores": second}])
    assert entry == {
        "first": 0,
        "second": 1,
        "output": "scores",
        "samples": 9,
        "only_first_right": 2,
        "only_second_right": 1,
        "p": mid_p(2, 1),
    }


def test_the_p_value_is_that_of_a_fair_coin():
    # one of three: P(X <= 1) = 4/8 and P(X = 1) = 3/8
    assert mid_p(2, 1) == pytest.approx(2 * 4 / 8 - 3 / 8)
    assert mid_p(0, 0) == mid_p(7, 7) == 1
    assert mid_p(0, 10) == pytest.approx(2 / 2**10 - 1 / 2**10)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_it_is_that_of_counting_every_way_the_coin_can_fall(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    (entry,) = compare_scored([{"a": bits(first)}, {"a": bits(second)}])
    a, b = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    ways = [math.comb(a + b, heads) for heads in range(a + b + 1)]
    twice = 2 * sum(ways[: min(a, b) + 1]) - ways[min(a, b)]
    assert entry["p"] == pytest.approx(min(1, twice / 2 ** (a + b)))
    assert (entry["only_first_right"], entry["only_second_right"]) == (a, b)


def test_each_model_is_compared_with_the_first_that_was_scored():
    right = {"scores": bits([1, 0])}
    entries = compare_scored([None, right, None, right, right])
    assert [(entry["first"], entry["second"]) for entry in entries] == [(1, 3), (1, 4)]
    assert compare_scored([None, right]) == compare_scored([]) == []


def test_a_single_output_is_compared_whatever_it_is_called():
    assert len(compare_scored([{"a": bits([1])}, {"b": bits([1])}])) == 1
    assert compare_scored([{"a": bits([1]), "b": bits([1])}, {"c": bits([1])}]) == []
    assert [
        e["output"] for e in compare_scored([{"a": bits([1]), "b": bits([1])}, {"b": bits([1]), "c": bits([0])}])
    ] == ["b"]


def test_different_samples_are_not_compared():
    assert compare_scored([{"a": bits([1])}, {"a": bits([1, 1])}]) == []
