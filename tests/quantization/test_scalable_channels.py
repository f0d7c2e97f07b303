"""tfcompress.quantization.scalable_channels: which channels have one factor, and where they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

from tests.quantization.scaled import branched
from tfcompress.quantization.equalizing import scaled_by
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


BETWEEN: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "relu": (lambda layers: layers.ReLU(), True),
    "leaky": (lambda layers: layers.LeakyReLU(negative_slope=0.3), True),
    "relu with a threshold": (lambda layers: layers.ReLU(threshold=0.5), False),
    "relu to three": (lambda layers: layers.ReLU(3.0), False),
    "leaky relu to six": (lambda layers: layers.ReLU(6.0, negative_slope=0.1), False),
    "prelu": (lambda layers: layers.PReLU(alpha_initializer="ones", shared_axes=[1]), True),
    "elu": (lambda layers: layers.ELU(), False),
    "mean": (lambda layers: layers.AveragePooling1D(2, padding="same"), True),
    "zeros": (lambda layers: layers.ZeroPadding1D(1), True),
    "wider": (lambda layers: layers.UpSampling1D(2), True),
    "turned": (lambda layers: layers.Permute((2, 1)), False),
    "softmax": (lambda layers: layers.Softmax(), False),
    "shifted": (lambda layers: layers.Rescaling(2.0, 1.0), False),
}
"""What lies between two layers, and whether it commutes with a positive factor as it is known to."""


@pytest.fixture(scope="module")
def branches() -> tuple[Any, dict[str, bool]]:
    """Return one model of a branch for each of these, its channels of unlike size, and which of them may be scaled."""
    import keras

    layers, draw = keras.layers, np.random.default_rng(0)
    given_tensor = keras.Input((4, 3), name="x")
    unlike, outputs, commute = 8.0 ** np.arange(-2, 2), {}, {}

    def first(name: str) -> Any:
        return layers.Conv1D(4, 1, name=name)(given_tensor)

    for number, (make, commutes) in enumerate(BETWEEN.values()):
        outputs[f"{number}"] = layers.Conv1D(2, 1, name=f"last_{number}")(make(layers)(first(f"first_{number}")))
        commute[f"first_{number}"] = commutes
    for kind in ("Subtract", "Average", "Multiply"):
        both = getattr(layers, kind)()([first(f"{kind}_one"), first(f"{kind}_other")])
        outputs[kind] = layers.Conv1D(2, 1, name=f"last_{kind}")(both)
        commute |= dict.fromkeys((f"{kind}_one", f"{kind}_other"), kind != "Multiply")
    model = keras.Model(given_tensor, outputs)
    for name in commute:
        model.get_layer(name).set_weights([draw.normal(size=(1, 3, 4)) * unlike, draw.normal(size=4) * unlike])
    return model, commute


def test_whatever_lies_between_two_layers_the_function_stays_and_what_commutes_is_scaled(branches: Any) -> None:
    model, commute = branches
    x = np.random.default_rng(3).normal(size=(8, 4, 3)).astype(np.float32)
    draw = np.random.default_rng(1)
    new = scaled_by(model, read_steps(model), lambda count: 2.0 ** draw.choice([-3, -1, 2, 4], count))
    expected, got = (each(x, training=False) for each in (model, new))
    for name, values in expected.items():
        np.testing.assert_array_equal(np.asarray(got[name]), np.asarray(values), err_msg=name)
    factors = {n: np.asarray(new.get_layer(n).kernel) / np.asarray(model.get_layer(n).kernel) for n in commute}
    assert {name: bool((factor != 1.0).any()) for name, factor in factors.items()} == commute
    for kind in ("Subtract", "Average"):
        assert np.array_equal(factors[f"{kind}_one"], factors[f"{kind}_other"]), "what is merged has one factor"
