"""Blocks found on graphs: residual ones, layers of equal shape, and why others are none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.blocks.residual_models import BRANCHES, network
from tfcompress.blocks.finding import find_blocks

keras = pytest.importorskip("keras")
layers = keras.layers


def found(model: Any) -> dict[str, str]:
    return {block.name: block.kind for block in find_blocks(model).blocks}


def test_every_kind_of_branch_is_found_and_goes_whole() -> None:
    blocks = find_blocks(network(list(BRANCHES))).blocks
    assert [block.kind for block in blocks] == ["residual"] * len(BRANCHES)
    assert blocks[0].name == "b0_sum"
    assert blocks[2].layers == ("b2_wide", "b2_depth", "b2_conv", "b2_norm")
    assert blocks[3].layers == ("b3/one", "b3/two")
    assert set(blocks[4].kernels) == {"b4_in", "b4_gate", "b4_conv"}


def test_a_layer_goes_with_its_normalization_and_activation() -> None:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, padding="same", name="first"),
            layers.Conv2D(4, 3, padding="same", name="again"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(),
            layers.Dense(5, "relu", name="narrow"),
            layers.Dense(5, "softmax", name="scores"),
        ]
    )
    (block,) = find_blocks(model).blocks
    assert (block.name, block.kind, block.layers) == ("again", "layers", ("again", "norm"))
    assert block.exit is model.get_layer("relu").output
    assert find_blocks(model).fixed == {
        "first": "makes (6, 6, 4) of (6, 6, 2)",
        "narrow": "makes (5) of (36)",
        "scores": "makes an output",
    }


def test_a_projection_and_a_concatenation_are_no_identity() -> None:
    given = keras.Input((8,), name="x")
    left, right = (layers.Dense(6, name=name)(given) for name in ("left", "right"))
    both = layers.Add(name="sum")([left, right])
    out = layers.Dense(2, name="out")(layers.Concatenate()([both, layers.Dense(6, name="third")(both)]))
    reasons = find_blocks(keras.Model(given, out))
    assert reasons.blocks[0].name == "third"  # it makes the shape that it takes; the concatenation then has it twice
    assert reasons.fixed["sum"] == "adds nothing to what it was computed from"
    assert reasons.fixed["left"] == "makes (6) of (8)"


def test_what_is_used_elsewhere_too_is_no_block_of_layers_but_a_branch_may_share() -> None:
    given = keras.Input((6,), name="x")
    x = layers.Dense(6, name="one")(given)
    inner = layers.Dense(6, name="inner")(x)
    y = layers.Multiply(name="product")([layers.Dense(6, name="outer")(inner), x])
    model = keras.Model(given, [layers.Dense(2, name="a")(y), layers.Dense(2, name="b")(inner)])
    assert "product" not in found(model)
    assert set(found(model)) == {"one", "inner", "outer"}
    z = layers.Add(name="sum")([x, layers.Dense(6, name="branch")(inner)])
    model = keras.Model(given, [layers.Dense(2, name="c")(z), layers.Dense(2, name="d")(inner)])
    assert found(model)["sum"] == "residual"


def test_a_branch_may_take_a_second_input_but_not_the_last_use_of_one() -> None:
    image, time = keras.Input((6,), name="image"), keras.Input((6,), name="time")
    x = layers.Dense(6, name="stem")(image)

    def conditioned(*more: Any) -> Any:
        y = layers.Add(name="sum")([x, layers.Dense(6, name="branch")(layers.Concatenate()([x, time]))])
        return keras.Model([image, time], layers.Dense(2, name="out")(layers.Concatenate()([y, *more])))

    assert "sum" not in found(conditioned())
    assert found(conditioned(time))["sum"] == "residual"


def test_what_makes_an_output_stays() -> None:
    given = keras.Input((6,), name="x")
    x = layers.Dense(6, name="one")(given)
    model = keras.Model(given, layers.Add(name="sum")([x, layers.Dense(6, name="branch")(x)]))
    assert "sum" not in found(model)
    assert find_blocks(model).fixed["sum"] == "makes an output"


def test_a_long_branch_is_a_body_with_blocks_of_its_own() -> None:
    given = keras.Input((6,), name="x")
    start = x = layers.Dense(6, name="stem")(given)
    for number in range(7):
        x = layers.Dense(6, "relu", name=f"d{number}")(x)
    model = keras.Model(given, layers.Dense(2, name="out")(layers.Add(name="skip")([start, x])))
    assert found(model)["skip"] == "residual"
    assert {f"d{number}" for number in range(7)} <= set(found(model))


def test_a_nested_model_that_is_shared_is_looked_at_once() -> None:
    inner_in = keras.Input((6,), name="h")
    h = layers.Dense(6, name="a")(inner_in)
    inner = keras.Model(inner_in, layers.Add(name="s")([h, layers.Dense(6, name="b")(h)]), name="inner")
    given = keras.Input((6,), name="x")
    model = keras.Model(given, layers.Dense(2, name="out")(inner(inner(given))))
    names = list(found(model))
    assert names.count("inner/s") == 1
    assert "inner/a" in names
