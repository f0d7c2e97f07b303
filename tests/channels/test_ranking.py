"""Which channels go: on networks that are nothing but widths, so that every cost is a product a reader can check."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.channels import ranking
from tfcompress.channels.ranking import Candidate, best_of, choose_channels


def candidate(name, scores, **more):
    return Candidate(name, np.asarray(scores, float), **more)


def chain(*widths, inputs=3, outputs=10):
    """Cost of dense layers one after the other: the products of neighbouring widths."""

    def cost(keep):
        sizes = [inputs, *(len(keep.get(f"g{n}", range(width))) for n, width in enumerate(widths)), outputs]
        return float(sum(a * b for a, b in pairwise(sizes)))

    return cost


def groups(rng, *widths, **more):
    return [candidate(f"g{n}", rng.random(width) + 0.1, **more) for n, width in enumerate(widths)]


def test_the_channels_that_matter_least_go():
    cost = chain(4)  # 3 * 4 + 4 * 10 = 52; two channels fewer: 26
    found = choose_channels([candidate("g0", [5, 1, 4, 2])], cost, 26.0)
    assert found.keep == {"g0": (0, 2)}
    assert found.cost == 26.0


def test_dead_channels_go_first_in_whatever_group_they_are():
    cost = chain(4, 4)  # 12 + 16 + 40
    found = choose_channels([candidate("g0", [1, 1, 1, 1]), candidate("g1", [1, 0, 1, 0])], cost, 12 + 8 + 20)
    assert found.keep == {"g1": (0, 2)}


def test_no_more_goes_than_the_target_takes():
    found = choose_channels([candidate("g0", np.ones(64))], chain(64), 0.5 * 64 * 13)
    assert found.cost == 32 * 13


def test_equal_groups_of_equal_cost_shrink_alike():
    found = choose_channels(
        [candidate("g0", np.ones(64)), candidate("g1", np.ones(64))], lambda k: _additive(k, 64, 64), 64.0
    )
    assert abs(len(found.keep["g0"]) - len(found.keep["g1"])) <= 2


def test_a_step_is_exchanged_for_one_that_is_worth_more():
    def cost(keep):  # a channel of g0 costs 3, one of g1 costs 2
        return float(3 * len(keep.get("g0", range(8))) + 2 * len(keep.get("g1", range(16))))

    light, heavy = candidate("g0", np.ones(8), round_to=4), candidate("g1", np.ones(16), round_to=8, weight=100.0)
    found = choose_channels([light, heavy], cost, 3 * 4 + 2 * 16)  # 44 of 56
    assert {name: len(kept) for name, kept in found.keep.items()} == {"g0": 4}
    assert found.cost == 44.0
    widths = ranking.Widths([light, heavy], cost)
    widths.now = {"g0": 8, "g1": 8}  # 40: as large as the target allows, and not the best for it
    widths.exchange_(44.0)
    assert (widths.now, widths.cost_now) == ({"g0": 4, "g1": 16}, 44.0)


def test_a_group_that_counts_more_keeps_more():
    candidates = [candidate("g0", np.ones(64)), candidate("g1", np.ones(64), weight=3.0)]
    found = choose_channels(candidates, lambda k: _additive(k, 64, 64), 64.0)
    kept = [len(found.keep[name]) for name in ("g0", "g1")]
    assert kept[1] / kept[0] == pytest.approx(3.0, rel=0.2)  # weight / width, the price of a channel, is equal


def _additive(keep, *widths):
    return float(sum(len(keep.get(f"g{n}", range(width))) for n, width in enumerate(widths)))


def test_a_group_that_saves_nothing_is_left_alone():
    found = choose_channels([candidate("g0", np.ones(8)), candidate("free", np.zeros(8))], chain(8), 0.5 * 8 * 13)
    assert set(found.keep) == {"g0"}


def test_a_target_below_all_floors_leaves_every_group_at_its_floor():
    found = choose_channels([candidate("g0", np.ones(8), floor=2)], chain(8), 1.0)
    assert len(found.keep["g0"]) == 2
    assert found.cost == found.least == 2 * 13


@pytest.mark.parametrize(
    ("channels", "round_to", "floor", "widths"),
    [
        (32, 8, 1, (32, 24, 16, 8)),
        (20, 8, 1, (20, 16, 8)),
        (32, 8, 9, (32, 24, 16)),
        (6, 8, 1, (6,)),
        (3, 1, 1, (3, 2, 1)),
    ],
)
def test_widths_are_multiples_above_the_floor_or_the_whole(channels, round_to, floor, widths):
    assert candidate("g", np.ones(channels), round_to=round_to, floor=floor).widths == widths


def test_a_group_without_any_score_loses_its_last_channels_first():
    assert candidate("g", np.zeros(4)).kept(2) == (0, 1)


@given(
    seed=st.integers(0, 2**16),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    round_to=st.sampled_from([1, 4, 8]),
    remove=st.floats(0.05, 0.9),
)
def test_the_target_is_met_with_allowed_widths_and_nothing_could_be_given_back(seed, widths, round_to, remove):
    candidates = groups(np.random.default_rng(seed), *widths, round_to=round_to)
    cost = chain(*widths)
    target = (1 - remove) * cost({})
    found = choose_channels(candidates, cost, target)
    assert found.cost == cost(found.keep)
    for one in candidates:
        assert len(found.keep.get(one.name, range(one.channels))) in one.widths
    if found.least > target:
        assert found.cost == found.least
        return
    assert found.cost <= target
    for one in candidates:
        width = len(found.keep.get(one.name, range(one.channels)))
        wider = min((w for w in one.widths if w > width), default=None)
        assert wider is None or cost({**found.keep, one.name: one.kept(wider)}) > target


def test_channels_that_always_stay_come_before_better_ones():
    candidate = Candidate("g", np.array([0.1, 0.9, 0.5, 0.7]), first=(0, 2))
    assert candidate.order.tolist() == [2, 0, 1, 3]
    assert candidate.widths == (4, 3, 2)
    assert candidate.kept(3) == (0, 1, 2)
    assert candidate.share.tolist() == pytest.approx([0, 0.5 / 2.2, 0.6 / 2.2, 1.5 / 2.2, 1])


def test_every_part_gets_its_best_channel_and_no_more_than_it_needs():
    scores = np.array([0.5, 0.1, 0.2, 0.9])
    assert best_of([(0, 1), (1, 2, 3)], scores) == (0, 3)
    assert best_of([(0, 1), (0, 2, 3)], scores) == (0,)
    assert best_of([], scores) == ()
