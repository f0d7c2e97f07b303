"""tfcompress.quantization.layer_copies and four_bits."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.quantization.four_bits import in_four_bits  # noqa: E402
from tfcompress.quantization.layer_copies import copied  # noqa: E402

L = keras.layers


@pytest.mark.parametrize("layer", [L.Dense(3), L.Conv1D(2, 2), L.LSTM(2), L.BatchNormalization()])
def test_a_copy_has_the_weights_and_a_name_of_its_own(layer):
    layer.build((None, 5, 4))
    new = copied(layer, "other")
    assert new.name == "other"
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), new.get_weights(), strict=True))
    new.set_weights([w + 1 for w in new.get_weights()])
    assert not np.array_equal(layer.get_weights()[0], new.get_weights()[0])


def test_a_copied_lambda_runs_the_same_function():
    given = L.Lambda(lambda x, by: x * by, arguments={"by": 3.0}, name="scaled")
    new = copied(given, "other")
    assert new is not given
    np.testing.assert_array_equal(new(np.ones((1, 2), np.float32)), 3.0 * np.ones((1, 2)))


def test_a_copied_operation_starts_without_calls():
    tensor = keras.Input((4,))
    operation = keras.ops.concatenate([tensor, tensor], axis=-1)._keras_history.operation
    new = copied(operation, "other")
    assert (new.name, new._inbound_nodes) == ("other", [])
    assert new([np.ones((1, 2)), np.ones((1, 3))]).shape == (1, 5)
    assert len(operation._inbound_nodes) == 1


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


def test_a_copied_normalization_computes_with_the_statistics_of_the_first():
    given = L.Normalization()
    given.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], np.float32))
    new = copied(given, "other")
    np.testing.assert_allclose(new(np.array([[1.0, 30.0]], np.float32)), [[-1.0, 1.0]], rtol=1e-6)
