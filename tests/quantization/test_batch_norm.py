"""tfcompress.quantization.batch_norm."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.quantization.batch_norm import FreezableBatchNormalization  # noqa: E402

X = np.random.default_rng(0).normal(5.0, 2.0, size=(64, 3)).astype(np.float32)


def test_it_is_keras_s_own_until_it_is_frozen():
    layer, twin = FreezableBatchNormalization(), keras.layers.BatchNormalization()
    np.testing.assert_allclose(layer(X, training=True), twin(X, training=True), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, twin.moving_mean)


def test_once_frozen_it_trains_with_its_moving_statistics():
    layer = FreezableBatchNormalization()
    layer(X, training=True)
    layer.frozen.assign(1.0)
    before = np.asarray(layer.moving_variance)
    np.testing.assert_allclose(layer(X, training=True), layer(X, training=False), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, before, rtol=1e-6)
