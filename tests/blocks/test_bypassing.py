"""Models without blocks: equal where the branch gave zeros, and as cheap as is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.blocks.residual_models import network, networks, silence_
from tfcompress.blocks.bypassing import bypass_of, cost_of, without
from tfcompress.blocks.finding import find_blocks
from tfcompress.channels.cost import CostModel
from tfcompress.models.signature import signature_of

keras = pytest.importorskip("keras")
layers = keras.layers

IMAGES = np.random.default_rng(0).normal(size=(3, 4, 4, 3)).astype(np.float32)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(branches=networks, relu=st.booleans(), which=st.integers(0, 2), seed=st.integers(0, 9))
def test_a_block_whose_branch_gives_zeros_is_left_out_with_equal_outputs(
    branches: list[str], relu: bool, which: int, seed: int
) -> None:
    model = network(branches, relu=relu, seed=seed)
    blocks = find_blocks(model).blocks
    block = blocks[which % len(blocks)]
    silence_(model, block)
    shorter = without(model, [block])
    for one, other in zip(shorter(IMAGES), model(IMAGES), strict=True):
        np.testing.assert_array_equal(one, other)
    assert cost_of(model) == CostModel.of(model).of_kept({})
    assert cost_of(shorter) == cost_of(model, bypass_of([block]))
    assert cost_of(shorter).macs < cost_of(model).macs
    assert [spec.name for spec in signature_of(shorter).outputs] == [s.name for s in signature_of(model).outputs]
    assert len(find_blocks(shorter).blocks) == len(blocks) - 1


def test_all_blocks_may_go_at_once() -> None:
    model = network(["conv", "nested", "operators"])
    shorter = without(model, find_blocks(model).blocks)
    assert [layer.name for layer in shorter.layers] == ["image", "stem", "stem_relu", "pool", "first", "second"]
    assert not find_blocks(shorter).blocks


def test_the_model_stays_as_it_is_and_shares_nothing() -> None:
    model = network(["conv"])
    model.get_layer("stem").trainable = False
    before = [weight.numpy() for weight in model.weights]
    shorter = without(model, find_blocks(model).blocks)
    assert not shorter.get_layer("stem").trainable
    for weight in shorter.weights:
        weight.assign(weight + 1.0)
    for weight, values in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, values)


def test_a_sequential_model_stays_sequential_and_keeps_its_input() -> None:
    model = keras.Sequential(
        [keras.Input((5,), name="x"), layers.Dense(5, "relu", name="a"), layers.Dense(5, name="b"), layers.Dense(2)]
    )
    (first, second) = find_blocks(model).blocks
    shorter = without(model, [second])
    assert isinstance(shorter, keras.Sequential)
    assert [layer.name for layer in shorter.layers][:1] == ["a"]
    assert signature_of(shorter).inputs == signature_of(model).inputs
    assert first.name == "a"
    np.testing.assert_array_equal(shorter.layers[-1].kernel, model.layers[-1].kernel)


def test_a_shared_layer_stays_where_it_is_still_called_and_saves_no_parameters() -> None:
    given_ = keras.Input((6,), name="x")
    shared = layers.Dense(6, "relu", name="shared")
    x = shared(given_)
    y = layers.Add(name="sum")([x, shared(x)])
    model = keras.Model(given_, layers.Dense(2, name="out")(y))
    (block,) = (each for each in find_blocks(model).blocks if each.kind == "residual")
    shorter = without(model, [block])
    assert cost_of(shorter).parameters == cost_of(model).parameters
    assert cost_of(shorter).macs == cost_of(model).macs - 36
    values = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    np.testing.assert_allclose(shorter(values), model.get_layer("out")(shared(values)), rtol=1e-6)


def test_inputs_and_outputs_keep_their_names_and_their_nesting() -> None:
    one, two = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    x = layers.Add(name="join")([layers.Dense(4, name="a")(one), layers.Dense(4, name="b")(two)])
    y = layers.Add(name="sum")([x, layers.Dense(4, name="c")(x)])
    model = keras.Model({"left": one, "right": two}, {"u": layers.Dense(2, name="u")(y), "v": layers.Dense(1)(y)})
    (block,) = (each for each in find_blocks(model).blocks if each.kind == "residual")
    silence_(model, block)
    fed = {name: np.ones((2, 4), np.float32) for name in ("left", "right")}
    after, before = without(model, [block])(fed), model(fed)
    assert set(after) == {"u", "v"}
    np.testing.assert_array_equal(after["u"], before["u"])


def test_only_an_activation_that_comes_to_stand_behind_itself_goes_too() -> None:
    given_ = keras.Input((4,), name="x")
    x = layers.ReLU(name="twice")(layers.ReLU(name="once")(layers.Dense(4, name="stem")(given_)))
    y = layers.ReLU(6.0, name="capped")(layers.Add(name="sum")([x, layers.Dense(4, name="branch")(x)]))
    model = keras.Model(given_, layers.Dense(2, name="out")(y))
    (block,) = (each for each in find_blocks(model).blocks if each.kind == "residual")
    names = [layer.name for layer in without(model, [block]).layers]
    assert names == ["x", "stem", "once", "twice", "capped", "out"]
