"""tfcompress.quantization.fake_quant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.errors import UsageError

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tfcompress.quantization.fake_quant import MOMENTUM, WARM_UP, ConstantFakeQuant, FakeQuant  # noqa: E402


def ends(layer):
    return float(layer.low), float(layer.high)


def test_a_layer_that_has_seen_nothing_changes_nothing():
    x = np.array([[-3.3, 0.123]], np.float32)
    np.testing.assert_array_equal(FakeQuant()(x), x)


def test_the_first_batch_sets_the_range_and_zero_is_always_inside():
    layer = FakeQuant()
    layer(np.array([[2.0, 5.0]], np.float32), training=True)
    assert ends(layer) == (0.0, 5.0)
    assert layer.step == pytest.approx(5 / 255)


def test_a_range_shrinks_by_an_average_in_which_the_past_weighs_more_with_every_batch_up_to_the_momentum():
    layer = FakeQuant()
    layer(np.array([6.0], np.float32), training=True)
    layer(np.array([2.0], np.float32), training=True)
    assert ends(layer)[1] == pytest.approx(1 / 2 * 6.0 + 1 / 2 * 2.0)
    layer(np.array([1.0], np.float32), training=True)
    assert ends(layer)[1] == pytest.approx(2 / 3 * 4.0 + 1 / 3 * 1.0)
    layer.seen.assign(10_000.0)
    layer(np.array([2.0], np.float32), training=True)
    assert ends(layer)[1] == pytest.approx(MOMENTUM * 3.0 + (1 - MOMENTUM) * 2.0)


def test_a_range_grows_at_once_and_later_to_twice_its_span_at_most():
    layer = FakeQuant()
    layer(np.array([-1.0, 1.0], np.float32), training=True)
    assert np.asarray(layer(np.array([-50.0, 100.0], np.float32), training=True)).max() == pytest.approx(
        100.0, rel=0.01
    )
    assert ends(layer) == (-50.0, 100.0)
    layer.seen.assign(WARM_UP)
    layer(np.array([-60.0, 1000.0], np.float32), training=True)
    assert ends(layer) == (-60.0, 250.0)
    relus = FakeQuant(nonnegative=True)
    relus.seen.assign(WARM_UP)
    relus.high.assign(2.0)
    relus(np.array([9.0], np.float32), training=True)
    assert ends(relus) == (0.0, 4.0)


def test_a_frozen_range_stands_still():
    layer = FakeQuant()
    layer(np.array([1.0], np.float32), training=True)
    layer.frozen.assign(1.0)
    layer(np.array([100.0], np.float32), training=True)
    assert ends(layer) == (0.0, 1.0)


@settings(deadline=None, max_examples=30)
@given(st.floats(-50, 0), st.floats(0.1, 50), st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=8))
def test_values_in_the_range_move_by_half_a_step_at_most_and_others_to_its_end(low, high, values):
    x = np.array(values, np.float32)
    rounded = np.asarray(ConstantFakeQuant(low, high)(x))
    step = (high - low) / 255
    assert np.abs(rounded - np.clip(x, low, high)).max() <= 1.01 * step  # the grid is moved by up to half a step itself
    levels = rounded / step
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-2)  # zero is on the grid


def test_sixteen_bits_are_symmetric_around_zero():
    layer = FakeQuant(bits=16)
    layer(np.array([-1.0, 2.0], np.float32), training=True)
    assert layer.step == pytest.approx(2.0 / 32767)
    x = np.array([-1.99999, 0.3], np.float32)
    np.testing.assert_allclose(layer(x), np.round(x / layer.step) * layer.step, rtol=1e-6)


def test_a_fixed_range_has_no_weights_and_never_moves():
    layer = FakeQuant(fixed=(0.0, 255 / 256))
    assert layer.weights == []
    np.testing.assert_allclose(layer(np.array([0.5, 7.0], np.float32), training=True), [0.5, 255 / 256])


def test_one_instance_on_two_tensors_gives_both_one_scale():
    layer = FakeQuant()
    layer(np.array([4.0], np.float32), training=True)
    layer.seen.assign(10_000.0)
    layer(np.array([-4.0], np.float32), training=True)
    layer(np.array([4.0], np.float32), training=True)
    assert ends(layer)[1] == 4.0  # the other tensor does not narrow it
    assert ends(layer)[0] == pytest.approx(-4.0 * MOMENTUM)


def test_observing_takes_the_least_and_largest_value_and_rounds_nothing():
    layer = FakeQuant()
    layer.observing = True
    x = np.array([0.1234, 3.0], np.float32)
    np.testing.assert_array_equal(layer(x), x)
    layer(np.array([-1.0], np.float32))
    assert ends(layer) == (-1.0, 3.0)


def test_half_precision_stays_half_precision():
    assert FakeQuant(fixed=(-1.0, 1.0))(keras.ops.cast([0.3], "float16")).dtype == "float16"


def test_gradients_pass_inside_the_range_only():
    import tensorflow as tf

    x = tf.constant([-2.0, 0.3, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ConstantFakeQuant(-1.0, 1.0)(x)
    np.testing.assert_array_equal(tape.gradient(y, x), [0.0, 1.0, 0.0])


def test_a_learnt_range_rounds_to_the_same_grid_as_a_measured_one_and_has_gradients():
    import tensorflow as tf

    layer = FakeQuant(learn=True)
    x = tf.constant(np.random.default_rng(0).normal(size=(64,)).astype(np.float32))
    with tf.GradientTape() as tape:
        trained = layer(x, training=True)
        loss = tf.reduce_sum(trained**2)
    assert all(gradient is not None for gradient in tape.gradient(loss, layer.trainable_variables))
    np.testing.assert_allclose(trained, layer(x, training=False), atol=1e-5)


def test_a_learnt_step_has_the_gradient_of_lsq():
    import tensorflow as tf

    from tfcompress.quantization.fake_quant import learnt

    low, high = tf.Variable(0.0), tf.Variable(255.0)  # a step of 1
    x = tf.constant([3.3, 300.0])
    with tf.GradientTape() as tape:
        y = learnt(x, low, high, 8)
    # LSQ, equation 3: d y / d step = round(x/step) - x/step inside, 255 above; the step is (high - low) / 255.
    weight = 1 / np.sqrt(2 * 255)
    assert float(tape.gradient(y, high)) == pytest.approx((-0.3 + 255) / 255 * weight, rel=1e-4)


@pytest.mark.parametrize("bits", [4, 32])
def test_bits_that_no_activation_has_are_refused(bits):
    with pytest.raises(UsageError, match=f"FakeQuant bits must be 8 or 16, got {bits}; choose one"):
        FakeQuant(bits=bits)


@pytest.mark.parametrize(("kind", "largest"), [("relu", 8.0), ("relu6", 6.0)])
def test_rounding_in_place_of_a_relu_gives_its_values_and_gradients(kind, largest):
    import tensorflow as tf

    layer, relu = FakeQuant(nonnegative=True), getattr(keras.activations, kind)
    x = tf.constant([-3.0, -0.1, 0.3, 2.0, 5.5, 8.0])

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(relu(x), training=True)
        return y, tape.gradient(y, x)

    y, gradient = step(x)
    assert ends(layer) == (0.0, largest)
    np.testing.assert_array_equal(y, ConstantFakeQuant(0.0, largest)(relu(x)))
    np.testing.assert_array_equal(gradient, (x > 0) & ((x < 6.0) | (kind == "relu")))
    graph = step.get_concrete_function(x).graph
    (rounding,) = (op for op in graph.get_operations() if op.type == "FakeQuantWithMinMaxVars")
    assert rounding.inputs[0] is graph.inputs[0]  # the ReLU is still there, for nobody


def test_what_a_range_cuts_off_in_training_has_a_gradient_and_what_a_relu_does_has_none():
    import tensorflow as tf

    layer, relu = FakeQuant(), FakeQuant(nonnegative=True)
    x = tf.constant([-3.0, 2.0, 8.0])
    for quantizer in (layer, relu):
        quantizer.high.assign(2.0)
        quantizer.seen.assign(1.0)
        quantizer.frozen.assign(1.0)
    for training in (True, False):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            cut, rectified = layer(x, training=training), relu(tf.nn.relu(x), training=training)
        np.testing.assert_array_equal(cut, [0.0, 2.0, 2.0])
        np.testing.assert_array_equal(rectified, [0.0, 2.0, 2.0])
        np.testing.assert_array_equal(tape.gradient(cut, x), [1.0, 1.0, 1.0])
        np.testing.assert_array_equal(tape.gradient(rectified, x), [0.0, 1.0, 1.0])


def test_the_range_of_what_a_relu_made_is_the_same_traced_or_not():
    import tensorflow as tf

    x = np.array([-3.0, 1.5, 4.0], np.float32)
    eager, traced = FakeQuant(nonnegative=True), FakeQuant(nonnegative=True)
    np.testing.assert_array_equal(
        eager(keras.ops.relu(x), training=True), tf.function(lambda v: traced(keras.ops.relu(v), training=True))(x)
    )
    assert ends(eager) == ends(traced) == (0.0, 4.0)


@pytest.mark.parametrize("learn", [False, True])
def test_a_variance_that_is_rounded_to_zero_leaves_a_normalization_finite_in_training(learn: bool) -> None:
    inputs = keras.Input((2, 4))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LayerNormalization()(inputs)))
    x = np.zeros((8, 2, 4), "float32")  # the first of two positions is at rest, whose variance is nothing beside 2,500
    x[:, 1] = [50.0, -50.0, 50.0, -50.0]
    job = tfc.attach(model, tfc.QAT(learn_ranges=learn), samples=x)
    with tf.GradientTape() as tape:
        outputs = job.model(x, training=True)
        loss = tf.reduce_sum(tf.square(outputs))
    gradients = tape.gradient(loss, [v.value for v in job.model.trainable_variables])
    assert np.isfinite(outputs.numpy()).all()
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients if gradient is not None)
    assert np.isfinite(job.model(x, training=False).numpy()).all()
