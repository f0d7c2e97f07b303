"""What every layer gives: the same as the model itself, in pieces that lead to one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.diagnosis.layer_values import LayerValue, layer_values

X = {"x": np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")}


def network(keras: Any) -> Any:
    """Return a net with a nested model, a layer that is called twice, and activations inside and outside of layers."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inside = keras.Sequential(
        [layers.Conv2D(4, 1, activation="tanh", name="deep"), layers.ReLU(name="cut")], name="inside"
    )
    given = keras.Input((6, 6, 2), name="x")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    first = shared(given)
    again = layers.Conv2D(2, 1, name="back")(first)
    x = layers.Add(name="sum")([first, shared(again)])
    x = layers.DepthwiseConv2D(3, name="each")(inside(x))
    return keras.Model(given, layers.Dense(3, activation="softmax", name="scores")(layers.Flatten(name="flat")(x)))


@pytest.fixture(scope="module")
def told(either_keras: Any) -> tuple[Any, list[LayerValue]]:
    model = network(either_keras)
    return model, layer_values(model, X)


def test_layers_are_told_in_the_order_of_their_calls_with_activations_held_back(told: Any) -> None:
    assert [value.path for value in told[1]] == [
        *("shared", "back", "shared", "sum", "inside/deep (before tanh)", "inside/deep", "inside/cut"),
        *("each", "flat", "scores (before softmax)", "scores"),
    ]


def test_the_last_value_is_the_models_and_an_activation_is_that_of_the_value_before_it(told: Any) -> None:
    model, values = told
    by_path = {value.path: value.values for value in values}
    np.testing.assert_allclose(by_path["scores"], np.asarray(model(X["x"], training=False)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_path["inside/deep"], np.tanh(by_path["inside/deep (before tanh)"]), atol=1e-5)
    np.testing.assert_allclose(by_path["inside/cut"], np.maximum(by_path["inside/deep"], 0))
    logits = by_path["scores (before softmax)"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(by_path["scores"], shares, rtol=1e-4)


def test_sources_say_what_a_value_is_made_of_and_inputs_are_none(told: Any) -> None:
    sources = [value.sources for value in told[1]]
    assert sources == [(), (0,), (1,), (0, 2), (3,), (4,), (5,), (6,), (7,), (8,), (9,)]


def test_kernel_sizes_are_those_of_the_value_that_the_kernel_gives_first(told: Any) -> None:
    sizes = {(number, value.path): value.kernel_size for number, value in enumerate(told[1]) if value.kernel_size}
    assert sizes == {
        (0, "shared"): 3 * 3 * 2 * 4,
        (1, "back"): 4 * 2,
        (2, "shared"): 3 * 3 * 2 * 4,
        (4, "inside/deep (before tanh)"): 4 * 4,
        (7, "each"): 3 * 3 * 4,
        (9, "scores (before softmax)"): 4 * 4 * 4 * 3,
    }


def test_the_model_keeps_its_activations(told: Any) -> None:
    model = told[0]
    assert model.get_layer("scores").activation.__name__ == "softmax"
    assert model.get_layer("inside").get_layer("deep").activation.__name__ == "tanh"
