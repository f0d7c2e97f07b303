"""tfcompress.quantization.data_free."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import UnsupportedError
from tfcompress.quantization.data_free import DEVIATIONS, ChannelSpread, without_data
from tfcompress.quantization.fake_quant import FakeQuant


@settings(max_examples=40)
@given(mean=st.floats(-4, 8), deviation=st.floats(0.05, 3), cap=st.sampled_from([6.0, np.inf]))
def test_what_is_behind_a_relu_has_the_moments_of_a_gaussian_cut_off(mean: float, deviation: float, cap: float) -> None:
    found = ChannelSpread.gaussian(np.array([mean]), np.array([deviation])).through(lambda x: np.clip(x, 0, cap))
    drawn = np.clip(np.random.default_rng(0).normal(mean, deviation, 200_000), 0, cap)
    assert found.mean[0] == pytest.approx(drawn.mean(), abs=0.02 * deviation)
    assert found.deviation[0] == pytest.approx(drawn.std(), abs=0.02 * deviation)
    assert found.low[0] >= 0
    assert found.high[0] <= max(0.0, min(cap, mean + DEVIATIONS * deviation)) + 1e-9


@pytest.fixture
def normalized(keras) -> Any:
    """Return a network whose normalization tells what its own samples, drawn from [0, 1], are like."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="first"),
            layers.BatchNormalization(name="norm", momentum=0.0),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.0),
            layers.ReLU(6.0),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, name="scores"),
        ]
    )
    model(samples(), training=True)
    return model


def samples() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(128, 8, 8, 3)).astype(np.float32)


def test_ranges_follow_from_the_normalization_and_the_outputs_agree(normalized) -> None:
    before = [value.copy() for value in normalized.get_weights()]
    made = without_data(normalized, {"image": (0.0, 1.0)}).model
    ranges = [(float(r.low), float(r.high)) for r in made.layers if isinstance(r, FakeQuant)]
    assert ranges[0] == (0.0, 1.0)
    assert all(low == 0.0 and 0 < high <= 6.0 for low, high in ranges[1:-1])
    assert ranges[1][1] == pytest.approx(6.0, abs=0.1)  # beta 0 and gamma 1: six deviations, less epsilon's part
    expected, got = (np.asarray(model(samples(), training=False)) for model in (normalized, made))
    assert 10 * np.log10(np.mean(expected**2) / np.mean((expected - got) ** 2)) > 25  # dB
    assert all(np.array_equal(a, b) for a, b in zip(before, normalized.get_weights(), strict=True))  # it is only read


def test_no_value_leaves_its_range(normalized) -> None:
    made = without_data(normalized, {"image": (0.0, 1.0)}).model
    last = [layer for layer in made.layers if isinstance(layer, FakeQuant)][-1]
    outputs = np.asarray(normalized(samples(), training=False))
    assert float(last.low) <= outputs.min()
    assert outputs.max() <= float(last.high)


def test_what_nothing_bounds_is_named(keras) -> None:
    model = keras.Sequential(
        [keras.Input((4, 8), name="x"), keras.layers.Dense(8), keras.layers.LayerNormalization(name="norm")]
    )
    with pytest.raises(UnsupportedError, match=r"layer 'norm_.* has outputs that nothing bounds without samples"):
        without_data(model, {"x": (0.0, 1.0)})


def ends_of(made: Any, name: str) -> tuple[float, float]:
    (layer,) = (layer for layer in made.layers if isinstance(layer, FakeQuant) and layer.name.startswith(name))
    return float(layer.low), float(layer.high)


@pytest.mark.parametrize("flat", [False, True])
def test_an_input_that_is_joined_to_features_keeps_its_own_range(keras, flat: bool) -> None:
    """One range is known of all its channels: joined, it is that of each of them."""
    layers = keras.layers
    given = keras.Input((3, 4), name="x")
    features = layers.Dense(8, name="small")(given)
    joined = layers.Concatenate(name="both")([given, features])
    joined = layers.Flatten()(joined) if flat else joined
    model = keras.Model(given, layers.Dense(2, use_bias=False, name="sums")(joined))
    model.get_layer("small").set_weights([np.full((4, 8), 0.001), np.zeros(8)])
    kernel = np.zeros((36 if flat else 12, 2), np.float32)
    kernel[:4] = 1.0  # the four channels of the input, at one place or at each
    model.get_layer("sums").set_weights([kernel])
    x = np.random.default_rng(0).uniform(0, 100, (500, 3, 4)).astype(np.float32)
    outputs = np.asarray(model(x))
    low, high = ends_of(without_data(model, {"x": (0.0, 100.0)}).model, "sums")
    assert low <= outputs.min()
    assert outputs.max() <= high <= 400.0 * 1.01  # four numbers of up to 100


@settings(max_examples=3)
@given(
    seed=st.integers(0, 1000), kinds=st.lists(st.sampled_from(["Add", "Subtract", "Multiply", "Maximum"]), max_size=2)
)
def test_sums_of_merged_tensors_stay_inside_their_ranges(seed: int, kinds: list[str]) -> None:
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    given = keras.Input((6,), name="x")
    first, second = layers.Dense(5, activation="relu")(given), layers.Dense(5, activation="tanh")(given)
    for kind in kinds:
        first = getattr(layers, kind)()([first, second])
    model = keras.Model(given, layers.Dense(3, name="sums")(layers.Concatenate()([first, given, second])))
    x = np.random.default_rng(seed).uniform(-2, 3, (2000, 6)).astype(np.float32)
    outputs = np.asarray(model(x))
    low, high = ends_of(without_data(model, {"x": (-2.0, 3.0)}).model, "sums")
    assert low <= outputs.min()
    assert outputs.max() <= high


@settings(max_examples=60)
@given(
    low=st.floats(-10, 0),
    span=st.floats(0.1, 20),
    name=st.sampled_from(["relu", "tanh", "square", "negative", "identity"]),
)
def test_a_function_of_evenly_spread_values_keeps_them_between_its_least_and_largest(
    low: float, span: float, name: str
) -> None:
    function = {
        "relu": lambda x: np.maximum(x, 0.0),
        "tanh": np.tanh,
        "square": np.square,
        "negative": np.negative,
        "identity": lambda x: x,
    }[name]
    given_spread = ChannelSpread.of_range(low, low + span)
    found = given_spread.through(function)
    values = function(np.linspace(low, low + span, 1001))
    assert found.low[0] == pytest.approx(values.min(), abs=1e-3 * span**2)
    assert found.high[0] == pytest.approx(values.max(), abs=1e-9 + 1e-9 * abs(values.max()))
    assert found.low[0] <= found.mean[0] <= found.high[0]
    assert found.deviation[0] <= (found.high[0] - found.low[0]) / 2 + 1e-9  # of anything between two ends (Popoviciu)
