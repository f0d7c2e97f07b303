"""Ranges from samples: what is seen, in whatever batches, and what no grid can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import ModelError
from tfcompress.quantization.calibration import calibrate_, freeze_ranges_, freeze_statistics_
from tfcompress.quantization.calibrators import LeastSquares, MinMax, Percentile
from tfcompress.quantization.fake_quant import LEAST_SPAN, PRIOR, FakeQuant
from tfcompress.quantization.transform import quantize
from tfcompress.recipe import QAT

CALIBRATORS = (None, MinMax(), Percentile(), LeastSquares())


@pytest.fixture(scope="module")
def two_ranges() -> Any:
    """Return a model that rounds its input, and half of it again."""
    import keras

    given = keras.Input((4,), name="x")
    half = keras.layers.Rescaling(0.5)(FakeQuant(name="whole")(given))
    return keras.Model(given, FakeQuant(name="half")(half))


def ends(model: Any, name: str) -> tuple[float, float]:
    layer = model.get_layer(name)
    return float(layer.low), float(layer.high)


@settings(max_examples=10)
@given(
    values=st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=24),
    batch_size=st.integers(1, 7),
    calibrator=st.sampled_from(CALIBRATORS),
)
def test_ranges_do_not_depend_on_batches_and_hold_zero(
    two_ranges: Any, values: list[float], batch_size: int, calibrator: Any
) -> None:
    x = np.float32(values[: len(values) // 4 * 4]).reshape(-1, 4)
    calibrate_(two_ranges, {"x": x}, batch_size, calibrator)
    found = [ends(two_ranges, name) for name in ("whole", "half")]
    calibrate_(two_ranges, {"x": x}, len(x), calibrator)
    assert [ends(two_ranges, name) for name in ("whole", "half")] == found
    for low, high in found:
        assert low <= 0.0 <= high
        assert high - low >= 0.99 * LEAST_SPAN


def test_an_earlier_calibration_is_forgotten(two_ranges: Any) -> None:
    calibrate_(two_ranges, {"x": np.full((2, 4), 50.0, np.float32)})
    calibrate_(two_ranges, {"x": np.full((2, 4), -2.0, np.float32)})
    assert ends(two_ranges, "whole") == (-2.0, 0.0)
    assert float(two_ranges.get_layer("whole").seen) == PRIOR


def test_ranges_are_seen_unrounded(two_ranges: Any) -> None:
    x = np.float32([[0.1234567, 100.0, 0.0, 0.0]])
    calibrate_(two_ranges, {"x": x})
    assert ends(two_ranges, "half") == (0.0, 50.0)
    calibrate_(two_ranges, {"x": x / 1000})
    assert ends(two_ranges, "half") == pytest.approx((0.0, 0.05))


@pytest.mark.parametrize("calibrator", CALIBRATORS)
@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_by_every_calibrator(two_ranges: Any, calibrator: Any, spoilt: float) -> None:
    x = np.ones((6, 4), np.float32)
    x[3, 1] = spoilt
    with pytest.raises(
        ModelError, match=r"calibration must see finite numbers .* got others at whole \(2 of 2 ranges\)"
    ):
        calibrate_(two_ranges, {"x": x}, 4, calibrator)


def test_a_span_beyond_float32_is_refused_and_the_largest_number_is_not(two_ranges: Any) -> None:
    calibrate_(two_ranges, {"x": np.float32([[3.3e38, 0.0, 0.0, 0.0]])})
    assert ends(two_ranges, "whole") == (0.0, pytest.approx(3.3e38))
    with pytest.raises(ModelError, match=r"got others at whole \(1 of 2 ranges\)"):  # half of it is fine
        calibrate_(two_ranges, {"x": np.float32([[3.3e38, -3.3e38, 0.0, 0.0]]) * np.float32(0.9)})


@pytest.fixture(scope="module")
def under_training() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    given = keras.Input((4,), name="x")
    x = layers.Activation("gelu")(layers.BatchNormalization(name="norm")(given))
    return quantize(keras.Model(given, layers.Dense(3, name="sums")(x)), QAT()).model


def test_frozen_ranges_and_statistics_stand_still_while_others_move(under_training: Any) -> None:
    model, draw = under_training, np.random.default_rng(0)
    calibrate_(model, {"x": draw.normal(size=(32, 4)).astype(np.float32)})

    def state() -> list[np.ndarray]:
        return [np.asarray(v) for v in model.variables if v.name in ("low", "high", "moving_mean", "moving_variance")]

    first = state()
    model(draw.normal(5, 20, (32, 4)).astype(np.float32), training=True)
    moved = state()
    assert sum(not np.array_equal(a, b) for a, b in zip(first, moved, strict=True)) >= 4
    freeze_ranges_(model)
    freeze_statistics_(model)
    model(draw.normal(-50, 90, (32, 4)).astype(np.float32), training=True)
    for before, after in zip(moved, state(), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-6)


def test_weights_can_be_left_as_they_are_for_the_ranges_alone(under_training: Any) -> None:
    x = {"x": np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)}
    weights = [np.asarray(v) for v in under_training.trainable_variables]
    spans = []
    for rounded in (True, False):
        calibrate_(under_training, x, round_weights=rounded)
        spans.append([np.asarray(v) for v in under_training.variables if v.name in ("low", "high")])
    assert any(not np.array_equal(a, b) for a, b in zip(*spans, strict=True)), "rounded kernels give other sums"
    for a, b in zip(*spans, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.05, atol=0.05)
    assert all(
        np.array_equal(a, np.asarray(b)) for a, b in zip(weights, under_training.trainable_variables, strict=True)
    )
    expected = np.asarray(under_training(x["x"]))
    assert np.array_equal(np.asarray(under_training(x["x"])), expected), "rounding is on again"
