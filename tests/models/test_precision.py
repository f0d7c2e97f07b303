"""tfcompress.models.precision: models of half precision compute in float32, whoever is asked."""

from __future__ import annotations

import numpy as np
import pytest

from tfcompress.errors import UnsupportedError
from tfcompress.models.loading import load_model, native_of
from tfcompress.models.precision import float32_policy, in_float32, other_precisions
from tfcompress.models.signature import call, signature_of

POLICIES = ["mixed_float16", "mixed_bfloat16", "float16"]


def convolutional(keras, policy: str):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            layers.Conv2D(8, 3, dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.ReLU(dtype=policy),
            layers.GlobalAveragePooling2D(dtype=policy),
            layers.Dense(4, activation="softmax", dtype=policy, name="scores"),
        ]
    )


def nested(keras):
    """Build a model with layers inside layers and raw operations, under the process's own policy."""
    layers = keras.layers
    steps = keras.Input((6, 4), name="steps")
    sequence = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(steps)
    sequence = keras.Sequential([keras.Input((6, 6)), layers.Dense(4), layers.LayerNormalization()])(sequence)
    attended = layers.MultiHeadAttention(2, 3)(sequence, sequence)
    return keras.Model(steps, layers.Dense(2, name="answer")(layers.Flatten()(attended * 2.0)))


@pytest.fixture(params=POLICIES)
def policy(request, keras, tf_keras):
    """Have both Kerases make their layers under a policy, for as long as a test takes."""
    with float32_policy():
        for module in (keras, tf_keras):
            module.mixed_precision.set_global_policy(request.param)
        yield request.param


@pytest.mark.filterwarnings("ignore")  # of float16 on a CPU
def test_every_layer_computes_in_float32_with_the_same_weights(keras_module, policy) -> None:
    for model in (convolutional(keras_module, policy), nested(keras_module)):
        made, note = in_float32(model)
        assert other_precisions(model)
        assert other_precisions(made) == {}
        assert f"computes in {policy.removeprefix('mixed_')}, TFLite in float32" in note
        for ours, theirs in zip(made.get_weights(), model.get_weights(), strict=True):
            assert np.array_equal(ours, theirs.astype(np.float32))


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_is_loaded_in_float32_and_says_so(keras_module, policy, ending, tmp_path) -> None:
    model = convolutional(keras_module, policy)
    model.save(tmp_path / f"model.{ending}")
    loaded = load_model(tmp_path / f"model.{ending}")
    assert other_precisions(loaded.native) == {}
    assert any("rebuilt in float32 with the same weights" in note for note in loaded.notes)
    image = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("f")
    (half,), (full,) = (call(each, {"image": image}).values() for each in (model, loaded.native))
    assert full.dtype == np.float32
    assert np.abs(half.astype("f") - full).max() < 0.02


def test_a_model_in_float32_is_given_back_itself(keras_module) -> None:
    model = convolutional(keras_module, "float32")
    assert in_float32(model) == (model, "")
    assert native_of(model) is model
    assert load_model(model).notes == ()


def test_a_subclassed_model_is_rebuilt_from_its_configuration(keras, policy) -> None:
    class Small(keras.Model):
        def __init__(self, **settings) -> None:
            super().__init__(**settings)
            self.first = keras.layers.Dense(3)

        def call(self, x):
            return self.first(x)

    model = Small()
    model(np.ones((2, 4), np.float32))
    made, _ = in_float32(model)
    assert other_precisions(made) == {}
    assert np.array_equal(made.first.kernel.numpy(), model.first.kernel.numpy().astype("f"))


def test_a_model_that_cannot_be_rebuilt_names_its_layers(keras) -> None:
    class Stubborn(keras.layers.Layer):
        def __init__(self, **settings) -> None:
            super().__init__(**{**settings, "dtype": "mixed_float16"})
            self.inner = keras.layers.Dense(2, dtype="mixed_float16", name="inner")

        def call(self, x):
            return self.inner(x)

    class Whole(keras.Model):
        def __init__(self, **settings) -> None:
            super().__init__(**settings)
            self.stubborn = Stubborn(name="stubborn")

        def call(self, x):
            return self.stubborn(x)

    model = Whole()
    model(np.ones((2, 4), np.float32))
    with pytest.raises(UnsupportedError, match=r"in half precision in layer .*'inner' \(float16\).*policy 'float32'"):
        in_float32(model)


def test_the_policies_of_this_process_are_put_back(keras, tf_keras, policy) -> None:
    with float32_policy():
        assert keras.layers.Dense(1).compute_dtype == tf_keras.layers.Dense(1).compute_dtype == "float32"
    assert (
        keras.layers.Dense(1).compute_dtype == tf_keras.layers.Dense(1).compute_dtype == policy.removeprefix("mixed_")
    )


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_inputs_are_float32_in_the_file_too(keras_module, dtype, sequential) -> None:
    layers = keras_module.layers
    x = keras_module.Input((3,), dtype=dtype, name="x")
    head = layers.Dense(2, name="head")
    model = keras_module.Sequential([x, head]) if sequential else keras_module.Model(x, head(x))
    made, note = in_float32(model)
    assert [(spec.name, spec.dtype) for spec in signature_of(made).inputs] == [("x", "float32")]
    assert "float32" in note
    values = {"x": np.ones((2, 3), np.float32)}
    (before,), (after,) = (call(each, values).values() for each in (model, made))
    assert np.allclose(before, after, atol=1e-2)
