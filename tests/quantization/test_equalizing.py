"""tfcompress.quantization.equalizing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quantization.scaled import branched, network, rescaled
from tfcompress.quantization.equalizing import by_activations, by_statistics, by_weights
from tfcompress.quantization.post_training import Conditions, calibrated


def samples(model: Any, count: int = 16) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {t.name: generator.normal(size=(count, *t.shape[1:])).astype(np.float32) for t in model.inputs}


def without_samples(model: Any, _: Conditions) -> Any:
    return by_statistics(model)


def run(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model(next(iter(inputs.values())), training=False))


NETWORKS = pytest.mark.parametrize("draw", [network, branched])


@NETWORKS
@pytest.mark.parametrize("equalize", [by_activations, by_weights, without_samples])
@settings(max_examples=2)
@given(seed=st.integers(0, 10_000))
def test_the_function_stays_bit_for_bit(equalize, draw, seed: int) -> None:
    model = rescaled(draw(seed), seed)
    inputs = samples(model)
    weights = [value.copy() for value in model.get_weights()]
    new = equalize(model, Conditions(inputs=inputs))
    assert np.array_equal(run(new, inputs), run(model, inputs))
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))  # it is only read
    assert any(not np.array_equal(a, b) for a, b in zip(weights, new.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("equalize", "draw"), [(by_activations, network), (by_activations, branched), (without_samples, branched)]
)
@settings(max_examples=2)
@given(seed=st.integers(0, 10_000))
def test_channels_scaled_by_powers_of_two_come_to_the_same_weights(equalize, draw, seed: int) -> None:
    model = draw(seed)
    inputs = samples(model)
    scaled = rescaled(model, seed)
    assert np.array_equal(run(scaled, inputs), run(model, inputs))
    conditions = Conditions(inputs=inputs)
    for a, b in zip(equalize(model, conditions).weights, equalize(scaled, conditions).weights, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b)), a.path


def test_without_samples_a_normalization_still_tells_how_far_its_channels_reach(keras) -> None:
    layers = keras.layers
    given = keras.Input((4, 4, 3), name="image")
    tensor = layers.ReLU()(
        layers.BatchNormalization(scale=False, name="plain")(layers.Conv2D(4, 3, name="first")(given))
    )
    tensor = layers.ReLU()(layers.BatchNormalization(name="scaled")(layers.Conv2D(4, 1, name="second")(tensor)))
    model = keras.Model(given, layers.Dense(2, name="last")(layers.Flatten()(tensor)))
    draw = np.random.default_rng(0)
    model.get_layer("scaled").gamma.assign(draw.uniform(0.01, 10.0, 4))
    new = by_statistics(model)
    assert np.array_equal(*(np.asarray(each.get_layer("first").kernel) for each in (model, new)))
    spread = [np.ptp(np.log2(np.asarray(each.get_layer("scaled").gamma))) for each in (model, new)]
    assert spread[1] < spread[0]


@NETWORKS
def test_what_scaled_channels_cost_in_eight_bits_is_won_back(draw) -> None:
    model = draw(7)
    inputs, scaled = samples(model, 64), rescaled(model, 7)
    expected = run(model, inputs)

    def db(candidate: Any) -> float:
        error = run(calibrated(candidate, inputs).model, inputs) - expected
        return float(10 * np.log10(np.mean(expected**2) / np.mean(error**2)))

    assert db(by_activations(scaled, Conditions(inputs=inputs))) > db(scaled) + 10


@pytest.mark.parametrize(("weight", "scaled"), [(0.01, True), (5.0, False)])
def test_behind_a_relu6_only_channels_are_scaled_that_never_reach_six(keras, weight: float, scaled: bool) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,), name="x"),
            layers.Dense(3, activation="relu6", name="bounded"),
            layers.Dense(3, activation="relu6", name="first"),
            layers.Dense(2, name="last"),
        ]
    )
    model.get_layer("first").set_weights([np.full((3, 3), weight, np.float32), np.zeros(3, np.float32)])
    inputs = samples(model, 64)
    new = by_activations(model, Conditions(inputs=inputs))
    assert np.array_equal(run(new, inputs), run(model, inputs))
    changed = not np.array_equal(*(m.get_layer("first").kernel for m in (model, new)))
    assert changed == scaled


def test_a_clustered_kernel_keeps_its_values(keras) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((16,), name="x"), layers.Dense(32, activation="relu", name="first"), layers.Dense(4, name="last")]
    )
    kernel = np.random.default_rng(0).choice([-0.5, -0.1, 0.2, 0.7], (16, 32)).astype(np.float32)
    model.get_layer("first").set_weights([kernel, np.zeros(32, np.float32)])
    new = by_activations(model, Conditions(inputs=samples(model)))
    assert np.array_equal(np.asarray(new.get_layer("first").kernel), kernel)
