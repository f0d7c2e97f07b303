"""tfcompress.models.transformed_layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import UsageError

keras = pytest.importorskip("keras")

from tfcompress.models.transformed_layer import TransformedLayer  # noqa: E402
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant  # noqa: E402


def built(layer, shape):
    keras.utils.set_random_seed(0)
    layer.build(shape)
    return layer


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([4, 8]), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_weights_are_whole_multiples_of_their_channel_s_scale(bits, seed, size):
    weights = size * np.random.default_rng(seed).normal(size=(3, 3, 2, 4)).astype(np.float32)
    transform = WeightFakeQuant(bits=bits, axes=(3,))
    rounded = np.asarray(transform(weights))
    scale = np.abs(weights).max((0, 1, 2)) / (2 ** (bits - 1) - 1)
    levels = rounded / scale
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    assert np.abs(rounded - weights).max() <= 0.501 * scale.max()
    np.testing.assert_allclose(transform.final(weights), rounded, rtol=1e-5, atol=1e-6 * size)


def test_a_normalization_that_scales_channels_keeps_the_integers():
    weights = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    factor = np.array([0.01, -3.0, 17.0, 1.0], np.float32)
    transform = WeightFakeQuant(axes=(3,))
    before = transform.final(weights) / transform.scale(weights)
    after = transform.final(weights * factor) / transform.scale(weights * factor)
    np.testing.assert_allclose(after, before * np.sign(factor), atol=1e-3)


def test_a_channel_of_zeros_stays_zero():
    assert not np.asarray(WeightFakeQuant(axes=(1,))(np.zeros((3, 2), np.float32))).any()


def test_zeros_stay_zeros_for_pruning():
    weights = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    weights[::2] = 0.0
    assert not WeightFakeQuant(axes=(1,)).final(weights)[::2].any()


def test_the_gradient_passes_unchanged():
    import tensorflow as tf

    weights = tf.constant([[0.1, 0.7], [0.3, -1.0]])
    with tf.GradientTape() as tape:
        tape.watch(weights)
        y = 3.0 * WeightFakeQuant(axes=(1,))(weights)
    np.testing.assert_allclose(tape.gradient(y, weights), 3.0 * np.ones((2, 2)))


@pytest.mark.parametrize(
    ("layer", "shape", "path"),
    [
        (lambda: keras.layers.Conv2D(3, 2, name="c"), (None, 4, 4, 2), "kernel"),
        (lambda: keras.layers.EinsumDense("ab,bc->ac", 3, name="e"), (None, 5), "kernel"),
        (lambda: keras.layers.LSTM(3, name="l"), (None, 4, 2), "cell/recurrent_kernel"),
    ],
)
def test_a_layer_computes_with_the_transformed_weight_and_trains_its_own(layer, shape, path):
    inner = built(layer(), shape)
    wrapped = TransformedLayer(inner, {path: [WeightFakeQuant()]})
    x = np.random.default_rng(0).normal(size=(2, *shape[1:])).astype(np.float32)
    found = np.asarray(wrapped(x))
    twin = built(layer(), shape)
    twin.set_weights(inner.get_weights())
    variable = twin.kernel if path == "kernel" else twin.cell.recurrent_kernel
    assert not np.allclose(found, twin(x), atol=1e-7)
    variable.assign(wrapped.final(path))
    np.testing.assert_allclose(found, twin(x), atol=1e-5)
    assert [v.path for v in wrapped.trainable_variables] == [v.path for v in inner.trainable_variables]


def test_what_a_layer_assigns_during_its_call_is_kept():
    inner = built(keras.layers.BatchNormalization(name="n"), (None, 2))
    wrapped = TransformedLayer(inner, {"gamma": [WeightFakeQuant()]})
    wrapped(np.full((4, 2), 10.0, np.float32), training=True)
    np.testing.assert_allclose(inner.moving_mean, 0.01 * 10.0 * np.ones(2), rtol=1e-5)


def test_losses_of_the_layer_are_the_wrapper_s():
    inner = built(keras.layers.Dense(1, activity_regularizer="l2", name="d"), (None, 2))
    wrapped = TransformedLayer(inner, {"kernel": [WeightFakeQuant()]})
    wrapped(np.ones((1, 2), np.float32))
    assert len(wrapped.losses) == 1


def test_a_layer_without_weights_yet_is_refused():
    with pytest.raises(UsageError, match="layer 'd' must be built before its weights are transformed; call it once"):
        TransformedLayer(keras.layers.Dense(1, name="d"), {})


def test_bits_that_no_weight_has_are_refused():
    with pytest.raises(UsageError, match="WeightFakeQuant bits must be 4 or 8, got 3; choose one"):
        WeightFakeQuant(bits=3)
