"""tfcompress.quantization.post_training."""

from __future__ import annotations

import numpy as np
import pytest

from tfcompress.quantization.calibrators import LeastSquares, MinMax, Percentile
from tfcompress.quantization.fake_quant import FakeQuant
from tfcompress.quantization.post_training import calibrated


@pytest.fixture
def outliers(keras):
    """Return a network of which one hidden unit is mostly silent and seldom huge."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16,), name="x"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(8, name="scores"),
        ]
    )
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[:, 0], bias[0] = 0.0, -300.0
    kernel[0, 0] = 100.0  # 100 * (x[0] - 3): one sample in 700
    model.get_layer("hidden").set_weights([kernel, bias])
    kernel, bias = model.get_layer("scores").get_weights()
    kernel[0] /= 100.0
    model.get_layer("scores").set_weights([kernel, bias])
    return model


def samples(seed: int, count: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)}


def sqnr_db(model, made) -> float:
    """Return the signal-to-noise ratio of the rounded outputs on samples that were not calibrated on."""
    fresh = samples(1, 2000)["x"]
    expected, got = (np.asarray(m(fresh, training=False)) for m in (model, made.model))
    return float(10 * np.log10(np.mean(expected**2) / np.mean((expected - got) ** 2)))


def test_where_outliers_are_rare_least_squares_and_percentile_beat_minmax(outliers) -> None:
    drawn = samples(0, 4000)
    found = {
        kind: sqnr_db(outliers, calibrated(outliers, drawn, kind())) for kind in (MinMax, Percentile, LeastSquares)
    }
    assert found[LeastSquares] > found[MinMax] + 0.5  # dB; the squared error counts the outliers themselves, too
    assert found[Percentile] > found[MinMax] + 10


def test_without_a_calibrator_the_ranges_are_those_of_minmax(outliers) -> None:
    drawn = samples(0, 200)
    plain, minmax = (ranges(calibrated(outliers, drawn, *given).model) for given in ((), (MinMax(),)))
    assert plain == minmax
    assert len(plain) == 3


def ranges(model) -> list[tuple[float, float]]:
    return [(float(layer.low), float(layer.high)) for layer in model.layers if isinstance(layer, FakeQuant)]


def test_the_model_itself_stays_as_it_is(outliers) -> None:
    before = [w.copy() for w in outliers.get_weights()]
    calibrated(outliers, samples(0, 50), LeastSquares())
    assert all(np.array_equal(a, b) for a, b in zip(before, outliers.get_weights(), strict=True))
