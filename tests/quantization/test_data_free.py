"""tfcompress.quantization.data_free."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.quantization.data_free import DEVIATIONS, ChannelSpread, range_of_inputs, without_data
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
    made = without_data(normalized, (0.0, 1.0)).model
    ranges = [(float(r.low), float(r.high)) for r in made.layers if isinstance(r, FakeQuant)]
    assert ranges[0] == (0.0, 1.0)
    assert all(low == 0.0 and 0 < high <= 6.0 for low, high in ranges[1:-1])
    assert ranges[1][1] == pytest.approx(6.0, abs=0.1)  # beta 0 and gamma 1: six deviations, less epsilon's part
    expected, got = (np.asarray(model(samples(), training=False)) for model in (normalized, made))
    assert 10 * np.log10(np.mean(expected**2) / np.mean((expected - got) ** 2)) > 25  # dB
    assert all(np.array_equal(a, b) for a, b in zip(before, normalized.get_weights(), strict=True))  # it is only read


def test_no_value_leaves_its_range(normalized) -> None:
    made = without_data(normalized, (0.0, 1.0)).model
    last = [layer for layer in made.layers if isinstance(layer, FakeQuant)][-1]
    outputs = np.asarray(normalized(samples(), training=False))
    assert float(last.low) <= outputs.min()
    assert outputs.max() <= float(last.high)


def test_what_nothing_bounds_is_named(keras) -> None:
    model = keras.Sequential([keras.Input((4, 8)), keras.layers.Dense(8), keras.layers.LayerNormalization(name="norm")])
    with pytest.raises(UnsupportedError, match=r"layer 'norm_.* has outputs that nothing bounds without samples"):
        without_data(model, (0.0, 1.0))


@pytest.mark.parametrize(
    ("scale", "offset", "expected"), [(1 / 255, 0.0, (0.0, 255.0)), (1 / 127.5, -1.0, (0.0, 255.0)), (0.5, 0.0, None)]
)
def test_the_range_of_inputs_is_known_from_a_rescaling_of_bytes(keras, scale, offset, expected) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4,)), layers.Rescaling(scale, offset), layers.Dense(2)])
    assert range_of_inputs(model, (-1.0, 1.0)) == (-1.0, 1.0)
    if expected:
        assert range_of_inputs(model) == expected
    else:
        with pytest.raises(UsageError, match="needs the range of the model's inputs: give --input-range LOW,HIGH"):
            range_of_inputs(model)
