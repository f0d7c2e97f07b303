import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import comparison


def rounds(*processes):
    """Durations by process and round."""
    return {p: dict(enumerate(values)) for p, values in enumerate(processes)}


def test_turns_are_gathered_by_process_and_round_and_throttled_ones_left_out():
    blocks = [
        {"process": 0, "round": 0, "runs": 3, "throttled": False},
        {"process": 0, "round": 0, "runs": 2, "throttled": True},
        {"process": 0, "round": 0, "runs": 1, "throttled": False},
        {"process": 1, "round": 2, "runs": 1, "throttled": False},
    ]
    assert comparison.rounds_of(blocks, [1, 2, 90, 6, 5]) == {0: {0: (2 + 6) / 2}, 1: {2: 5}}


def test_the_ratio_is_the_geometric_mean_of_the_processes_median_ratios():
    result = comparison.compare_rounds(rounds([20, 20, 90], [40, 40, 40]), rounds([10, 10, 10], [10, 10, 10]), seed=0)
    assert result["ratio"] == pytest.approx(math.sqrt(2 * 4))
    assert (result["processes"], result["rounds"]) == (2, 6)


def test_what_is_steadily_twice_as_fast_is_faster_and_the_other_way_round_slower():
    slow, fast = rounds(*[[20.1, 19.9, 20]] * 5), rounds(*[[10, 10.1, 9.9]] * 5)
    assert comparison.compare_rounds(slow, fast, 0)["verdict"] == "faster"
    assert comparison.compare_rounds(fast, slow, 0)["verdict"] == "slower"


def test_equal_durations_are_indistinguishable_and_their_interval_is_a_point():
    result = comparison.compare_rounds(rounds([5, 5], [5, 5]), rounds([5, 5], [5, 5]), 0)
    assert (result["ratio"], result["low"], result["high"]) == (1, 1, 1)
    assert result["verdict"] == "indistinguishable"


def test_one_process_gives_an_interval_and_no_verdict():
    result = comparison.compare_rounds(rounds([20, 21, 20]), rounds([10, 10, 10]), 0)
    assert result["low"] <= 2 <= result["high"]
    assert (result["processes"], result["verdict"]) == (1, None)


def test_one_round_in_all_gives_no_interval():
    result = comparison.compare_rounds(rounds([20]), rounds([10]), 0)
    assert (result["ratio"], result["low"], result["high"], result["verdict"]) == (pytest.approx(2), None, None, None)


def test_rounds_and_processes_that_lack_one_model_do_not_count():
    result = comparison.compare_rounds(
        {0: {0: 20.0, 1: 99.0}, 1: {0: 1.0}, 2: {1: 1.0}}, {0: {0: 10.0}, 2: {0: 1.0}}, 0
    )
    assert (result["processes"], result["rounds"]) == (1, 1)
    assert comparison.compare_rounds({0: {0: 1.0}}, {1: {0: 1.0}}, 0) is None


@given(st.lists(st.lists(st.floats(1, 1e6), min_size=2, max_size=4), min_size=2, max_size=4), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_the_interval_holds_the_ratio_and_turns_with_it(processes, factor):
    first = rounds(*processes)
    second = {p: {r: value * factor for r, value in values.items()} for p, values in first.items()}
    result = comparison.compare_rounds(first, second, 0)
    assert result["ratio"] == pytest.approx(1 / factor)
    assert result["low"] <= result["ratio"] * (1 + 1e-9)
    assert result["high"] >= result["ratio"] * (1 - 1e-9)


def test_processes_that_differ_by_chance_are_hardly_ever_told_apart():
    chance, wrong = random.Random(5), 0
    for trial in range(100):
        lots = [
            rounds(
                *([chance.gauss(100 + shift, 1) for _ in range(5)] for shift in (chance.gauss(0, 3) for _ in "12345"))
            )
            for _ in "ab"
        ]
        wrong += comparison.compare_rounds(*lots, trial)["verdict"] != "indistinguishable"
    assert wrong <= 4  # 1 % are promised: five in a hundred would come once in 300 times


def test_a_difference_that_all_processes_show_is_found_in_spite_of_theirs():
    chance = random.Random(6)
    first = rounds(*([chance.gauss(110, 1) for _ in range(5)] for _ in range(5)))
    second = rounds(*([chance.gauss(100, 1) for _ in range(5)] for _ in range(5)))
    assert comparison.compare_rounds(first, second, 0)["verdict"] == "faster"


def test_students_t_joins_its_table_smoothly():
    values = [comparison.t_quantile(freedom) for freedom in range(1, 40)]
    assert values == sorted(values, reverse=True)
    assert values[9] == pytest.approx(3.169, abs=0.03)
    assert values[28] == pytest.approx(2.756, abs=0.002)
