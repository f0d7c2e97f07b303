import importlib

import numpy as np
import pytest

from tests.models import small_models
from tests.models.small_models import GRAPHS, build
from tfcompress.errors import UnsupportedError, UntrustedCodeError
from tfcompress.models.bridge import to_keras2, to_keras3
from tfcompress.models.loading import load_model
from tfcompress.models.signature import call, random_inputs, signature_of


def there_and_back(keras_module):
    """Return the crossing away from *keras_module*, and the one back."""
    return (to_keras2, to_keras3) if keras_module.__name__ == "keras" else (to_keras3, to_keras2)


def outputs(model, seed=1):
    return call(model, random_inputs(signature_of(model), 3, seed))


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_model_computes_the_same_in_the_other_keras_and_after_coming_back(kind, keras_module):
    model = build(kind, keras_module)
    away, back = there_and_back(keras_module)
    other = away(model)
    again = back(other)
    expected = list(outputs(model).values())
    assert max(np.ptp(value) for value in expected) > 1e-3
    for carried in (other, again):
        for value, right in zip(outputs(carried).values(), expected, strict=True):
            np.testing.assert_allclose(value, right, atol=1e-5)
    assert type(again) is type(model)
    assert signature_of(again) == signature_of(other) == signature_of(model)
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]


@pytest.mark.parametrize("kind", [small_models.hard_silu, small_models.keras3_activations])
def test_activations_that_only_keras_3_has_come_along(keras, kind):
    model = build(kind, keras)
    other = to_keras2(model)
    again = to_keras3(other)
    for carried in (other, again):
        np.testing.assert_allclose(
            next(iter(outputs(carried).values())), next(iter(outputs(model).values())), atol=1e-6
        )
    assert [a for a in map(activation_name, again.layers) if a] == [a for a in map(activation_name, model.layers) if a]


def activation_name(layer):
    return getattr(getattr(layer, "activation", None), "__name__", None)


def test_what_stands_for_a_missing_activation_survives_clone_model(keras, tf_keras):
    other = to_keras2(build(small_models.hard_silu, keras))
    clone = tf_keras.models.clone_model(other)
    clone.set_weights(other.get_weights())
    np.testing.assert_allclose(next(iter(outputs(clone).values())), next(iter(outputs(other).values())), atol=1e-6)


def test_a_keras_operation_survives_clone_model(keras, tf_keras):
    other = to_keras2(build(small_models.raw_ops, keras))
    assert "KerasOperation" in {type(layer).__name__ for layer in other.layers}
    clone = tf_keras.models.clone_model(other)
    clone.set_weights(other.get_weights())
    np.testing.assert_allclose(next(iter(outputs(clone).values())), next(iter(outputs(other).values())), atol=1e-6)


def test_a_keras_2_model_with_raw_operations_and_hard_sigmoid_can_be_saved_by_keras_3_and_loaded_again(
    keras, tf_keras, tmp_path
):
    for kind in (small_models.raw_ops, small_models.hard, small_models.rare_ops):
        model = to_keras3(build(kind, tf_keras))
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_allclose(next(iter(outputs(again).values())), next(iter(outputs(model).values())), atol=1e-6)


def test_operations_become_the_layers_that_tfmot_knows(keras):
    i = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(2, 3, padding="same")(i)
    y = keras.ops.concatenate([keras.ops.relu(x + i), keras.ops.maximum(x, i)], axis=-1)
    other = to_keras2(keras.Model(i, keras.ops.relu6(y * y)))
    kinds = [type(layer).__name__ for layer in other.layers]
    assert sorted(kinds) == ["Add", "Concatenate", "Conv2D", "InputLayer", "Maximum", "Multiply", "ReLU", "ReLU"]


def test_a_tensorflow_function_without_counterpart_is_kept(tf_keras):
    model = build(small_models.rare_ops, tf_keras)
    other = to_keras3(model)
    assert {"math.cumsum", "linalg.matmul", "split"} <= {getattr(layer, "symbol", None) for layer in other.layers}
    again = to_keras2(other)
    for carried in (other, again):
        np.testing.assert_allclose(
            next(iter(outputs(carried).values())), next(iter(outputs(model).values())), atol=1e-6
        )


def test_trainable_flags_are_kept_inside_nested_models_too(keras_module):
    away, back = there_and_back(keras_module)
    model = build(small_models.nested, keras_module)
    backbone = model.get_layer("backbone")
    backbone.trainable = False
    backbone.layers[1].trainable = True
    for carried in (away(model), back(away(model))):
        inner = carried.get_layer("backbone")
        assert [layer.trainable for layer in inner.layers] == [layer.trainable for layer in backbone.layers]
        assert (inner.trainable, carried.trainable) == (False, True)


def test_names_are_kept_but_for_slashes(tf_keras):
    model = build(small_models.residual, tf_keras)
    other = to_keras3(model)
    assert [layer.name for layer in other.layers] == [layer.name.replace("/", "_") for layer in model.layers]
    assert "block/add" in [layer.name for layer in model.layers]
    assert other.name == "residual"


def test_two_names_that_would_become_one_stay_two(tf_keras):
    i = tf_keras.Input((2,))
    x = tf_keras.layers.ReLU(name="a_b")(tf_keras.layers.ReLU(name="a/b")(i))
    assert [layer.name for layer in to_keras3(tf_keras.Model(i, x)).layers[1:]] == ["a_b_", "a_b"]


def test_the_model_that_is_carried_is_left_alone(keras_module):
    away, _ = there_and_back(keras_module)
    model = build(small_models.residual, keras_module)
    before = [w.copy() for w in model.get_weights()]
    other = away(model)
    other.set_weights([np.zeros_like(w) for w in other.get_weights()])
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_shared_layer_is_still_one_layer(keras_module):
    away, _ = there_and_back(keras_module)
    model = build(small_models.shared, keras_module)
    assert away(model).count_params() == model.count_params() == (4 * 4 + 4) + (4 * 3 + 3) + (3 + 1)


def test_regularizers_and_constraints_come_along(keras_module):
    away, back = there_and_back(keras_module)
    i = keras_module.Input((3,))
    dense = keras_module.layers.Dense(
        2,
        kernel_regularizer=keras_module.regularizers.L2(0.25),
        bias_constraint=keras_module.constraints.MaxNorm(3.0),
        name="d",
    )
    for carried in (away(keras_module.Model(i, dense(i))), back(away(keras_module.Model(i, dense(i))))):
        assert float(carried.get_layer("d").kernel_regularizer.l2) == 0.25
        assert carried.get_layer("d").bias_constraint.max_value == 3.0


def test_a_model_of_half_precision_arrives_in_float32(keras, tf_keras, keras_module):
    away, back = there_and_back(keras_module)
    i = keras_module.Input((3,))
    mixed = "mixed_float16" if keras_module is keras else tf_keras.mixed_precision.Policy("mixed_float16")
    model = keras_module.Model(i, keras_module.layers.Dense(2, dtype=mixed, name="d")(i))
    for carried in (away(model), back(away(model))):
        assert carried.get_layer("d").compute_dtype == "float32"
        assert carried.get_layer("d").kernel.dtype == "float32"


def test_initial_states_of_recurrent_layers_come_along(keras_module):
    away, back = there_and_back(keras_module)
    x, h, c = keras_module.Input((5, 3)), keras_module.Input((4,)), keras_module.Input((4,))
    model = keras_module.Model([x, h, c], keras_module.layers.LSTM(4)(x, initial_state=[h, c]))
    for carried in (away(model), back(away(model))):
        np.testing.assert_allclose(
            next(iter(outputs(carried).values())), next(iter(outputs(model).values())), atol=1e-6
        )


def test_a_layer_applied_to_every_step_may_be_a_model(keras_module):
    away, back = there_and_back(keras_module)
    layers = keras_module.layers
    inner = keras_module.Sequential(
        [keras_module.Input((4,)), layers.Dense(3), layers.BatchNormalization()], name="inner"
    )
    i = keras_module.Input((5, 4))
    model = keras_module.Model(i, layers.TimeDistributed(inner)(i))
    model.set_weights([np.random.default_rng(0).uniform(0.3, 0.9, w.shape) for w in model.get_weights()])
    for carried in (away(model), back(away(model))):
        np.testing.assert_allclose(
            next(iter(outputs(carried).values())), next(iter(outputs(model).values())), atol=1e-6
        )


def test_a_subclassed_model_is_refused(keras_module):
    away, _ = there_and_back(keras_module)
    with pytest.raises(UnsupportedError, match="it is subclassed or was never built, so it has no graph of layers"):
        away(build(small_models.subclassed, keras_module))


def test_a_custom_layer_is_refused_by_name(keras_module):
    away, _ = there_and_back(keras_module)

    class Mine(keras_module.layers.Layer):
        def call(self, x):
            return x

    i = keras_module.Input((3,))
    with pytest.raises(UnsupportedError, match=r"layer 'mine' cannot be carried to .*: its class Mine is not"):
        away(keras_module.Model(i, Mine(name="mine")(i)))


def test_a_custom_activation_is_refused_by_name(keras_module):
    away, _ = there_and_back(keras_module)

    def cube(x):
        return x * x * x

    i = keras_module.Input((3,))
    with pytest.raises(UnsupportedError, match=r"layer 'd' cannot be carried to .*: its activation 'cube'"):
        away(keras_module.Model(i, keras_module.layers.Dense(2, activation=cube, name="d")(i)))


def test_a_layer_that_the_other_keras_lacks_is_refused_by_name(tf_keras):
    i = tf_keras.Input((8, 3))
    with pytest.raises(UnsupportedError, match="layer 'local' cannot be carried to Keras 3: there is no Local"):
        to_keras3(tf_keras.Model(i, tf_keras.layers.LocallyConnected1D(2, 3, name="local")(i)))


def test_an_option_that_the_other_keras_lacks_is_refused_with_its_value(tf_keras):
    i = tf_keras.Input((8, 3))
    with pytest.raises(UnsupportedError, match="layer 'rnn' cannot be carried to Keras 3: time_major=True has no"):
        to_keras3(tf_keras.Model(i, tf_keras.layers.LSTM(2, time_major=True, name="rnn")(i)))


def test_outputs_that_differ_are_refused_with_the_difference(keras):
    i = keras.Input((3,))
    model = keras.Model(
        i, keras.layers.Lambda(lambda x: x + keras.random.normal((1, 3)), name="noise")(i), name="noisy"
    )
    with pytest.raises(
        UnsupportedError, match=r"model 'noisy' cannot be carried to Keras 2 .* 'noise' would differ by"
    ):
        to_keras2(model)


def test_a_function_that_is_not_known_as_arithmetic_is_the_user_s_in_a_model_and_code_in_a_file(
    keras, tf_keras, tmp_path
):
    i = tf_keras.Input((3,))
    carried = to_keras3(tf_keras.Model(i, importlib.import_module("tensorflow").debugging.check_numerics(i, "x")))
    carried.save(tmp_path / "model.keras")
    with pytest.raises(UntrustedCodeError, match=r"holds a call of tf.debugging.check_numerics in layer '.*', that is"):
        load_model(tmp_path / "model.keras")
    with pytest.raises(
        UntrustedCodeError, match=r"calls tf.debugging.check_numerics, which is not known as arithmetic"
    ):
        keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert load_model(tmp_path / "model.keras", trust=True).native.count_params() == 0


def test_a_function_of_keras_2_is_keras_2_s_in_keras_3(tf_keras):
    i = tf_keras.Input((3,))
    called = {"class_name": "TFOpLambda", "config": {"function": "keras.activations.hard_sigmoid", "name": "hard"}}
    carried = to_keras3(tf_keras.Model(i, tf_keras.layers.deserialize(called, use_legacy_format=True)(i)))
    assert [layer.symbol for layer in carried.layers[1:]] == ["keras.activations.hard_sigmoid"]
    assert float(carried(np.full((1, 3), -2.0, np.float32))[0, 0]) == pytest.approx(0.2 * -2 + 0.5)


def test_tfmots_wrappers_are_refused(tf_keras):
    i = tf_keras.Input((3,))

    class PruneLowMagnitude(tf_keras.layers.Wrapper):
        def call(self, x):
            return self.layer(x)

    model = tf_keras.Model(i, PruneLowMagnitude(tf_keras.layers.Dense(2), name="prune_dense")(i))
    with pytest.raises(UnsupportedError, match=r"'prune_dense' is wrapped for training \(PruneLowMagnitude\)"):
        to_keras3(model)
