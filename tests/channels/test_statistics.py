"""Averages of normalizations, taken anew from samples, are those that the samples have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.channels.statistics import renew_

keras = pytest.importorskip("keras")
layers = keras.layers


def network(momentum: float = 0.9) -> Any:
    given_tensor = keras.Input((3,), name="x")
    first = layers.BatchNormalization(momentum=momentum, name="first")(given_tensor)
    nested = keras.Sequential([keras.Input((3,)), layers.BatchNormalization(name="inner")], name="nested")
    return keras.Model(given_tensor, nested(layers.Rescaling(2.0, 1.0)(first)))


NETWORK = network()


@settings(max_examples=8)
@given(batches=st.integers(1, 4), seed=st.integers(0, 99), rest=st.integers(0, 7))
def test_the_averages_are_means_over_whole_batches_whatever_was_known(batches: int, seed: int, rest: int) -> None:
    draw = np.random.default_rng(seed)
    x = (draw.normal(size=(8 * batches + rest, 3)) * [1.0, 5.0, 0.1] + [0.0, 10.0, -3.0]).astype("float32")
    first = NETWORK.get_layer("first")
    first.moving_mean.assign(np.full(3, 1e6))
    assert renew_(NETWORK, {"x": x}, batch_size=8, seed=seed) == 2
    order = np.random.default_rng(seed).permutation(len(x))
    parts = [x[order[8 * n : 8 * n + 8]] for n in range(batches)]
    np.testing.assert_allclose(
        first.moving_mean, np.mean([p.mean(axis=0) for p in parts], axis=0), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(first.moving_variance, np.mean([p.var(axis=0) for p in parts], axis=0), rtol=1e-3)
    inner = NETWORK.get_layer("nested").get_layer("inner")
    np.testing.assert_allclose(inner.moving_mean, np.full(3, 1.0), atol=1e-2)  # 2 * 0 + 1 behind the first
    assert first.momentum == 0.9


def test_frozen_layers_keep_what_they_know_and_a_model_without_any_is_left_alone() -> None:
    model = network()
    model.get_layer("first").trainable = False
    x = {"x": np.full((4, 3), 7.0, "float32")}
    assert renew_(model, x) == 1
    assert not np.asarray(model.get_layer("first").moving_mean).any()
    plain = keras.Sequential([keras.Input((3,), name="x"), layers.Dense(2)])
    assert renew_(plain, x) == 0


def test_momenta_come_back_where_the_samples_do_not_fit() -> None:
    model = network(0.7)
    with pytest.raises(KeyError):
        renew_(model, {"y": np.ones((4, 3), "float32")})
    with pytest.raises(Exception, match=r"shape|dimension|incompatible"):
        renew_(model, {"x": np.ones((4, 5), "float32")})
    assert model.get_layer("first").momentum == 0.7
