from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.models.keras_private import first_arguments, origin  # noqa: E402
from tfcompress.models.layer_copies import layer_copy  # noqa: E402

L = keras.layers


@pytest.mark.parametrize("layer", [L.Dense(3), L.Conv1D(2, 2), L.LSTM(2), L.BatchNormalization()])
def test_a_copy_has_the_weights_and_a_name_of_its_own(layer):
    layer.build((None, 5, 4))
    new = layer_copy(layer, "other")
    assert new.name == "other"
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), new.get_weights(), strict=True))
    new.set_weights([w + 1 for w in new.get_weights()])
    assert not np.array_equal(layer.get_weights()[0], new.get_weights()[0])


def test_a_copied_lambda_runs_the_same_function():
    given = L.Lambda(lambda x, by: x * by, arguments={"by": 3.0}, name="scaled")
    new = layer_copy(given, "other")
    assert new is not given
    np.testing.assert_array_equal(new(np.ones((1, 2), np.float32)), 3.0 * np.ones((1, 2)))


def test_a_copied_operation_starts_without_calls():
    tensor = keras.Input((4,))
    operation = origin(keras.ops.concatenate([tensor, tensor], axis=-1))
    new = layer_copy(operation, "other")
    assert new.name == "other"
    assert first_arguments(new) is None
    assert new([np.ones((1, 2)), np.ones((1, 3))]).shape == (1, 5)
    assert first_arguments(operation) is not None


def test_a_copied_normalization_computes_with_the_statistics_of_the_first():
    given = L.Normalization()
    given.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], np.float32))
    new = layer_copy(given, "other")
    np.testing.assert_allclose(new(np.array([[1.0, 30.0]], np.float32)), [[-1.0, 1.0]], rtol=1e-6)


def test_a_copied_lambda_keeps_its_precision_and_stays_frozen():
    given = L.Lambda(lambda x: x, dtype="float16", trainable=False, name="same")
    new = layer_copy(given, "other")
    assert (new.name, new.compute_dtype, new.trainable) == ("other", "float16", False)
    assert layer_copy(given, "other", dtype="float32").compute_dtype == "float32"


def test_a_copy_of_another_class_begins_with_the_weights():
    class Counted(L.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.count = self.add_weight(name="count", shape=(), initializer="zeros")

    given = L.Dense(3)
    given.build((None, 4))
    new = layer_copy(given, "other", kind=Counted)
    assert isinstance(new, Counted)
    assert all(np.array_equal(a, b) for a, b in zip(given.get_weights(), new.get_weights()[:2], strict=True))


def test_layers_inside_a_copied_wrapper_stay_frozen():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, trainable=False), L.Dense(2)])
    given = L.TimeDistributed(inner)
    given.build((None, 5, 4))
    assert len(given.trainable_variables) == 2
    assert len(layer_copy(given, "other").trainable_variables) == 2
