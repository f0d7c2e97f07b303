"""tfcompress.quantization.scalable_channels: which channels have one factor, and where they end."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")

from tests.quantization.scaled import branched
from tfcompress.quantization.scalable_channels import ScalableChannels, scalable_channels
from tfcompress.quantization.steps import read_steps


def takers(found: ScalableChannels) -> dict[str, list[str]]:
    """Return by the name of a layer that makes scalable channels who takes them."""
    sets = {layer.step.path: (set(layer.ins) - {-1}, set(layer.outs) - {-1}) for layer in found.layers}
    return {
        maker: [taker for taker, (ins, _) in sets.items() if ins & outs] for maker, (_, outs) in sets.items() if outs
    }


def test_channels_end_where_they_are_mixed_or_seen(keras) -> None:
    layers = keras.layers
    given = keras.Input((8, 8, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(given)
    second = layers.Conv2D(4, 3, padding="same", name="second")(first)
    added = layers.Add()([layers.ReLU()(second), second])
    seen = layers.Conv2D(4, 1, activation="relu", name="seen")(added)
    sigmoid = layers.Conv2D(4, 1, activation="sigmoid", name="sigmoid")(seen)
    last = layers.Dense(2, name="last")(layers.Flatten()(sigmoid))
    model = keras.Model(given, [last, seen])
    found = scalable_channels(read_steps(model), model)
    assert takers(found) == {"first": ["second"], "second": ["seen"]}
    assert found.count == 8


def test_what_is_added_has_one_factor_and_what_is_joined_its_own(keras) -> None:
    layers = keras.layers
    given = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 3, padding="same", name="stem")(given)
    branch = layers.Conv2D(4, 3, padding="same", name="branch")(layers.ReLU()(stem))
    total = layers.ReLU()(layers.Add()([stem, branch]))
    other = layers.Conv2D(2, 1, activation="relu", name="other")(total)
    joined = layers.Concatenate()([total, other])
    multiplied = layers.Multiply()([joined, joined])
    model = keras.Model(given, [layers.Dense(3, name="last")(layers.Flatten()(joined)), multiplied])
    fixed = scalable_channels(read_steps(model), model)
    assert fixed.count == 0  # a product has another factor
    model = keras.Model(given, layers.Dense(3, name="last")(layers.Flatten()(joined)))
    found = scalable_channels(read_steps(model), model)
    assert found.count == 4 + 2
    assert takers(found) == {
        "stem": ["branch", "other", "last"],
        "branch": ["branch", "other", "last"],
        "other": ["last"],
    }


@pytest.mark.parametrize("capped", [False, True])
def test_what_is_added_before_a_relu6_is_left_alone(keras, capped: bool) -> None:
    layers = keras.layers
    given = keras.Input((4, 4, 2))
    both = layers.Add()([layers.Conv2D(3, 1, name=name)(given) for name in ("one", "two")])
    model = keras.Model(given, layers.Dense(2, name="last")(layers.ReLU(6.0 if capped else None)(both)))
    assert scalable_channels(read_steps(model), model).count == (0 if capped else 3)


def test_weights_are_those_of_the_file_and_every_channel_has_its_place() -> None:
    model = branched(0)
    found = scalable_channels(read_steps(model), model)
    by_name = {layer.step.path: layer for layer in found.layers}
    stem, deep = by_name["stem"], by_name["deep"]
    norm = model.get_layer("stem_norm")
    factor = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    expected = np.abs(np.asarray(model.get_layer("stem").kernel) * factor).max(axis=(0, 1))
    np.testing.assert_allclose(stem.magnitudes(), expected, rtol=1e-5)
    assert deep.is_depthwise
    assert deep.magnitudes().shape == (6, 1)
    assert set(stem.outs) == set(by_name["second"].outs) == set(deep.ins)  # the residual connection
    assert np.array_equal(np.sort(by_name["scores"].ins), np.sort(np.concatenate([by_name["short"].outs, deep.outs])))
    assert set(stem.ins) == {-1}  # pictures come as they are
    assert found.bound.tolist() == [0.0] * found.count
