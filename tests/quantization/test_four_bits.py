from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.quantization.four_bits import in_four_bits  # noqa: E402

L = keras.layers


@pytest.mark.parametrize("shape", [(None, 6), (None, 3, 6)])
def test_a_dense_layer_of_four_bits_is_a_convolution_that_computes_the_same(shape):
    keras.utils.set_random_seed(0)
    dense = L.Dense(4, activation="relu", name="dense")
    dense.build(shape)
    levels = np.random.default_rng(0).integers(-7, 8, (6, 4))
    levels[0] = 7  # so that every unit's scale is 1/7 of its largest weight
    dense.set_weights([(levels * 0.1).astype(np.float32), np.arange(4, dtype=np.float32)])
    x = np.random.default_rng(1).normal(size=(2, *shape[1:])).astype(np.float32)
    np.testing.assert_allclose(in_four_bits(dense)(x), dense(x), atol=1e-5)
