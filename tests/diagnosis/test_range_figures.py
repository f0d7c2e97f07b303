"""Kurtosis, spread of channels, and what an 8-bit grid leaves."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.diagnosis.range_figures import grid_ratio_db, kernel_of, kurtosis, spread  # noqa: E402 - after keras


def test_kurtosis_is_that_of_known_distributions() -> None:
    assert kurtosis(np.array([-1.0, 1.0])) == pytest.approx(1.0)
    assert kurtosis(np.random.default_rng(0).normal(size=200_000)) == pytest.approx(3.0, abs=0.05)
    assert kurtosis(np.ones(4)) is None


def test_spread_is_the_widest_channel_over_the_middle_one_without_dead_ones() -> None:
    assert spread(np.array([0.0, 1.0, 2.0, 64.0])) == 32.0
    assert spread(np.array([0.0, 3.0])) is None


def test_a_full_grid_leaves_what_bennett_says() -> None:
    uniform = np.linspace(-1, 1, 100_001)
    assert grid_ratio_db(uniform) == pytest.approx(20 * np.log10(255), abs=0.05)  # 12 * (1/3) / (2/255)^2
    power = 1 / 3 + 100**2 / 100_002
    outlier = grid_ratio_db(np.array([*uniform, 100.0]))
    assert outlier == pytest.approx(10 * np.log10(12 * power / (101 / 255) ** 2), abs=0.05)
    assert grid_ratio_db(np.zeros(3)) is None


def test_a_kernel_reaches_by_its_output_channels_with_the_normalization_behind_it() -> None:
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    layer.set_weights([np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 1.0]]), np.zeros(2)])
    found = kernel_of(layer, np.array([4.0, -1.0]))
    assert found is not None
    assert list(found[1]) == [4.0, 2.0]
    assert kernel_of(keras.layers.ReLU(), None) is None
