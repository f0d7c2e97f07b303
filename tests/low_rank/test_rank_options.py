"""Ways to take a layer apart: what they cost by hand, and that the best of them under a limit are found."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.low_rank.places import Place, places_of
from tfcompress.low_rank.rank_choice import RankPlan, model_cost
from tfcompress.low_rank.rank_options import (
    CHOICES,
    LAYER_BYTES,
    FactorCost,
    RankOption,
    cost_of,
    options_of,
    whole_cost,
)
from tfcompress.models.profile import profile
from tfcompress.stages.low_rank import LowRank

costs = st.builds(FactorCost, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))


@given(costs, costs)
def test_costs_are_added_and_taken_away_figure_by_figure(one: FactorCost, other: FactorCost) -> None:
    assert one + other - other == one
    assert [(one + other).of(what) for what in ("macs", "parameters", "bytes", "latency")] == [
        *(one.of(what) + other.of(what) for what in ("macs", "parameters", "bytes")),
        one.macs + other.macs,
    ]


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_losses_add_up_as_what_is_kept_multiplies(one: float, other: float) -> None:
    losses = [RankOption("svd", (1,), kept, FactorCost(0, 0, 0)).loss for kept in (one, other, one * other)]
    assert min(losses) >= 0.0
    if one * other > 1e-9:
        assert losses[0] + losses[1] == pytest.approx(losses[2], abs=1e-9)


@pytest.fixture(scope="module")
def network() -> Any:
    """Return a model of layers with odd sizes and strides, one of which is called twice, and one in a nested model."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    given_tensor = keras.Input((9, 7, 6), name="image")
    shared = layers.Conv2D(6, 3, padding="same", activation="relu", name="shared")
    x = shared(shared(given_tensor))
    x = layers.Conv2D(9, (3, 2), strides=(2, 3), name="strided")(x)  # 4 x 2 places
    x = layers.Reshape((8, 9))(x)
    x = layers.Conv1D(8, 4, dilation_rate=2, padding="causal", name="series")(x)
    x = layers.TimeDistributed(layers.Dense(10, name="inner"), name="steps")(x)
    inside = keras.Sequential([keras.Input((80,)), layers.Dense(24, name="wide")], name="inside")
    return keras.Model(given_tensor, layers.Dense(12, name="scores")(inside(layers.Flatten()(x))))


@pytest.fixture(scope="module")
def places(network: Any) -> dict[str, Place]:
    return dict(places_of(network).found)


def test_what_layers_cost_by_hand(network: Any, places: dict[str, Place]) -> None:
    macs = {path: whole_cost(place).macs for path, place in places.items()}
    assert macs == {
        "shared": 2 * 9 * 7 * (3 * 3 * 6 * 6),
        "strided": 4 * 2 * (3 * 2 * 6 * 9),
        "series": 8 * (4 * 9 * 8),
        "steps": 8 * (8 * 10),
        "inside/wide": 80 * 24,
        "scores": 24 * 12,
    }
    assert model_cost(network).macs == sum(macs.values()) == profile(network).macs
    assert model_cost(network).parameters == network.count_params()


@pytest.mark.parametrize("method", ["auto", "svd", "tucker", "spatial"])
@pytest.mark.parametrize("round_to", [1, 3])
def test_every_option_is_cheaper_in_all_and_of_a_rank_that_is_wanted(
    places: dict[str, Place], method: str, round_to: int
) -> None:
    for path, place in places.items():
        whole, found = whole_cost(place), options_of(place, method, round_to, None)
        for each in found:
            assert each.cost.macs < whole.macs, path
            assert each.cost.parameters < whole.parameters
            assert each.cost.bytes < whole.bytes
            assert 0.0 <= each.kept <= 1.0
            assert all(rank % round_to == 0 or rank < round_to for rank in each.ranks)
        by_svd = [each for each in found if each.method == "svd"]
        assert len(by_svd) <= CHOICES
        assert [e.ranks for e in by_svd] == sorted(e.ranks for e in by_svd)
        assert [e.kept for e in by_svd] == sorted(e.kept for e in by_svd)
        assert [e.cost.macs for e in by_svd] == sorted(e.cost.macs for e in by_svd)
        assert len({each.name for each in found}) == len(found)


def test_a_further_layer_costs_its_bytes_and_strides_are_where_the_window_is(places: dict[str, Place]) -> None:
    from tfcompress.low_rank.decompositions import outlines

    place = places["strided"]  # 9 x 7 places go in, 4 x 2 come out
    cost = cost_of(place, outlines("spatial", (3, 2, 6, 9), (4,)))
    assert cost.parameters == 3 * 6 * 4 + 2 * 4 * 9
    assert cost.macs == 4 * 7 * (3 * 6 * 4) + 4 * 2 * (2 * 4 * 9)
    assert cost.bytes == 4 * cost.parameters + LAYER_BYTES
    tucker = cost_of(place, outlines("tucker", (3, 2, 6, 9), (2, 3)))
    assert tucker.macs == 9 * 7 * (6 * 2) + 4 * 2 * (3 * 2 * 2 * 3) + 4 * 2 * (3 * 9)
    assert tucker.bytes == 4 * tucker.parameters + 2 * LAYER_BYTES


@pytest.fixture(scope="module")
def options(places: dict[str, Place]) -> dict[str, list[RankOption]]:
    found = {path: options_of(place, "auto", 1, None)[::5][:2] for path, place in places.items()}
    return {path: each for path, each in found.items() if each}


def plan_of(network: Any, places: Any, options: Any, **asked: Any) -> RankPlan:
    before = model_cost(network)
    return RankPlan(LowRank(**asked), places, options, {}, before, before, first=True)


@settings(max_examples=8)
@given(share=st.floats(0.3, 0.99), of=st.sampled_from(["macs", "parameters", "bytes"]))
def test_the_ranks_chosen_lose_least_of_all_that_keep_the_limit(
    network: Any, places: Any, options: Any, share: float, of: Any
) -> None:
    plan = plan_of(network, places, options, target=share, of=of)
    before = plan.before.of(of)
    everything = []
    for chosen in itertools.product(*([None, *each] for each in options.values())):
        taken = [(path, each) for path, each in zip(options, chosen, strict=True) if each]
        left = before - sum(whole_cost(places[path]).of(of) - each.cost.of(of) for path, each in taken)
        everything.append((sum(each.loss for _, each in taken), left))
    assert plan.least_share == pytest.approx(min(left for _, left in everything) / before)
    kept = [loss for loss, left in everything if left <= share * before]
    if not kept:
        with pytest.raises(UsageError, match=r"low_rank\.target must be at least 0\.\d+ of the"):
            plan.choose(share)
        return
    choice = plan.choose(share)
    assert plan.cost(choice).of(of) <= share * before * (1 + 1e-9)
    assert sum(each.loss for each in choice.options.values()) == pytest.approx(min(kept), abs=1e-5)


def test_layers_left_whole_cost_what_they_cost(network: Any, places: Any, options: Any) -> None:
    plan = plan_of(network, places, options, target=0.8)
    choice = plan.choose(0.6)
    assert choice.options
    whole = choice.without(list(choice.options))
    assert (whole.options, plan.cost(whole)) == ({}, plan.before)
    first = next(iter(choice.options))
    saved = whole_cost(places[first]) - choice.options[first].cost
    assert plan.cost(choice.without([first])) == plan.cost(choice) + saved
    text = " ".join(plan.notes(choice, sampled=False, ratio=None))
    assert f"{plan.before.macs:,} → {plan.cost(choice).macs:,} multiply-accumulates" in text
    np.testing.assert_array_equal([path in text for path in choice.options], True)
