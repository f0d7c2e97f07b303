import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_runner import turns


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_every_round_goes_there_and_back(count, rounds, seed):
    plan = list(turns.there_and_back(count, rounds, random.Random(seed)))
    for number in range(rounds):
        places = [place for at, place in plan if at == number]
        assert places == places[::-1]
        assert sorted(places[:count]) == list(range(count))
    assert len(plan) == 2 * count * rounds


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_once_around_gives_each_one_turn_a_round(count, rounds, seed):
    plan = list(turns.once_around(count, rounds, random.Random(seed)))
    assert Counter(plan) == {(number, place): 1 for number in range(rounds) for place in range(count)}


def test_the_order_is_the_seeds():
    first, again, other = (list(turns.there_and_back(4, 3, random.Random(seed))) for seed in (1, 1, 2))
    assert first == again != other
