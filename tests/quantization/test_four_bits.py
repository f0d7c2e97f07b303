from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.quantization.four_bits import in_four_bits  # noqa: E402
from tfcompress.quantization.gptq import COLUMNS  # noqa: E402

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


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_a_convolution_along_a_line_is_one_of_a_row_that_computes_the_same(padding, strides, dilation):
    keras.utils.set_random_seed(0)
    line = L.Conv1D(4, 3, strides=strides, dilation_rate=dilation, padding=padding, activation="relu", name="line")
    line.build((None, 9, 2))
    levels = np.random.default_rng(0).integers(-7, 8, (3, 2, 4))
    levels[0, 0] = 7
    line.set_weights([(levels * 0.1).astype(np.float32), np.arange(4, dtype=np.float32)])
    x = np.random.default_rng(1).normal(size=(2, 9, 2)).astype(np.float32)
    np.testing.assert_allclose(in_four_bits(line)(x), line(x), atol=1e-5)
    rows = COLUMNS["Conv1D"](line, x) @ np.asarray(line.kernel).reshape(6, 4) + np.asarray(line.bias)
    np.testing.assert_allclose(np.maximum(rows, 0), np.asarray(line(x)).reshape(-1, 4), atol=1e-5)
