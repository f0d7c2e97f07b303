import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models import small_models
from tests.models.small_models import build
from tfcompress.errors import DataError, ModelError, UnsupportedError, UsageError
from tfcompress.models.signature import Signature, TensorSpec, call, check_finite, random_inputs, signature_of


def test_a_signature_names_inputs_and_outputs_after_their_layers(keras_module):
    model = build(small_models.multi_io, keras_module)
    assert signature_of(model) == Signature(
        inputs=(TensorSpec("img", (6, 6, 1), "float32"), TensorSpec("meta", (3,), "float32")),
        outputs=(TensorSpec("cls", (3,), "float32"), TensorSpec("reg", (1,), "float32")),
    )


def test_integer_inputs_keep_their_dtype(keras_module):
    model = build(small_models.tokens, keras_module)
    assert signature_of(model).inputs == (TensorSpec("ids", (10,), "int32"),)
    with pytest.raises(DataError, match=r"input 'ids' must hold whole numbers \(int32\), got float32"):
        call(model, {"ids": np.zeros((2, 10), np.float32)})


@pytest.mark.parametrize("kind", [small_models.mlp, small_models.multi_io, small_models.dict_io, small_models.tokens])
def test_a_call_by_name_gives_what_predict_gives_whatever_the_batch_size(kind, keras_module):
    model = build(kind, keras_module)
    inputs = random_inputs(signature_of(model), 7, seed=3)
    expected = model.predict(inputs if len(inputs) > 1 else next(iter(inputs.values())), verbose=0)
    if not isinstance(expected, dict):
        several = isinstance(expected, list)
        expected = dict(zip(call(model, inputs), expected if several else [expected], strict=True))
    for batch_size in (2, 7, 64):
        outputs = call(model, inputs, batch_size)
        assert list(outputs) == [s.name for s in signature_of(model).outputs]
        for name, value in outputs.items():
            np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_an_output_that_is_there_twice_gets_a_number(keras_module):
    i = keras_module.Input((2,), name="x")
    y = keras_module.layers.Dense(2, name="y")(i)
    assert [s.name for s in signature_of(keras_module.Model(i, [y, y])).outputs] == ["y", "y_1"]


def test_dropout_and_batch_normalization_run_as_in_inference(keras_module):
    model = build(small_models.convnet, keras_module)
    inputs = random_inputs(signature_of(model), 4, seed=0)
    first = call(model, inputs)
    np.testing.assert_array_equal(next(iter(first.values())), next(iter(call(model, inputs).values())))


def test_changed_weights_are_seen(keras_module):
    model = build(small_models.mlp, keras_module)
    inputs = random_inputs(signature_of(model), 2, seed=0)
    call(model, inputs)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    np.testing.assert_array_equal(call(model, inputs)["y"], np.zeros((2, 3)))


def test_a_model_that_was_called_can_be_forgotten(keras_module):
    model = build(small_models.mlp, keras_module)
    call(model, random_inputs(signature_of(model), 2, seed=0))
    watch = weakref.ref(model)
    del model
    keras_module.backend.clear_session()
    gc.collect()
    assert watch() is None


def test_a_model_with_a_fixed_batch_size_is_fed_in_that_size(keras_module):
    i = keras_module.Input(batch_shape=(4, 3), name="x") if keras_module.__name__ == "keras" else None
    i = keras_module.Input((3,), batch_size=4, name="x") if i is None else i
    model = keras_module.Model(i, keras_module.layers.Rescaling(2.0, name="y")(i))
    x = np.arange(18, dtype=np.float32).reshape(6, 3)
    np.testing.assert_array_equal(call(model, {"x": x})["y"], 2 * x)


def test_a_subclassed_model_is_known_once_it_has_been_called(keras_module):
    model = build(small_models.subclassed, keras_module)
    signature = signature_of(model)
    assert [s.shape for s in signature.inputs] == [(4,)]
    assert signature.outputs == (TensorSpec("output_0", (2,), "float32"),)
    inputs = random_inputs(signature, 3, seed=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(call(model, inputs)["output_0"], next(iter(inputs.values())) @ kernel + bias, atol=1e-6)


def test_a_model_that_was_never_built_is_refused(keras_module):
    with pytest.raises(ModelError, match="never built, its inputs are unknown; call it once on a sample"):
        signature_of(keras_module.Sequential([keras_module.layers.Dense(2)]))


def test_a_saved_model_is_called_by_its_signature(tmp_path, keras_module):
    model = build(small_models.mlp, keras_module)
    model.export(tmp_path / "saved") if keras_module.__name__ == "keras" else model.save(tmp_path / "saved")
    signature = signature_of(tmp_path / "saved")
    assert signature.inputs == (TensorSpec("x", (8,), "float32"),)
    inputs = random_inputs(signature, 3, seed=0)
    (value,) = call(tmp_path / "saved", inputs).values()
    np.testing.assert_allclose(value, call(model, inputs)["y"], atol=1e-6)


def test_a_saved_model_without_serving_signature_is_refused(tmp_path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"))
    with pytest.raises(ModelError, match="must have a signature 'serving_default', it has none"):
        signature_of(tmp_path / "saved")


def test_a_folder_without_saved_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read as a SavedModel"):
        signature_of(tmp_path)


def test_a_nested_structure_into_a_subclassed_model_is_refused():
    import keras

    class Pair(keras.Model):
        def call(self, pair):
            return pair[0] + pair[1]

    model = Pair()
    model([np.zeros((1, 2), "float32"), np.zeros((1, 2), "float32")])
    with pytest.raises(UnsupportedError, match="takes a nested structure"):
        signature_of(model)


def test_something_else_is_refused():
    with pytest.raises(UsageError, match="must be a Keras 3 model, a tf_keras model or the path of one, got int"):
        signature_of(3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"z": np.zeros((2, 8))}, "inputs must be named x, got z"),
        ({"x": np.zeros((2, 7))}, r"input 'x' must have the shape \(samples, 8\), got \(2, 7\)"),
        ({"x": np.zeros(8)}, r"input 'x' must have the shape \(samples, 8\), got \(8,\)"),
        ({"x": np.zeros((0, 8))}, "inputs must hold at least one sample"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    import keras

    with pytest.raises(DataError, match=message):
        call(build(small_models.mlp, keras), inputs)


def test_inputs_of_different_lengths_are_refused(keras_module):
    model = build(small_models.multi_io, keras_module)
    with pytest.raises(DataError, match=r"the same number of samples, got \{'img': 2, 'meta': 3\}"):
        call(model, {"img": np.zeros((2, 6, 6, 1)), "meta": np.zeros((3, 3))})


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_weight_that_is_not_finite_is_found_by_its_layer(value, word, keras_module):
    model = build(small_models.frozen, keras_module)
    check_finite(model)
    kernel, bias = model.get_layer("body").get_weights()
    kernel[0, 0] = value
    model.get_layer("body").set_weights([kernel, bias])
    with pytest.raises(ModelError, match=f"layer 'body' holds {word} in 1 of 12 values of its 'kernel'"):
        check_finite(model)


def test_a_facade_is_read_and_run_through_its_graph():
    import keras
    import tf_keras

    graph = build(small_models.mlp, tf_keras)

    class Facade(keras.Model):
        def call(self, x, training=False):
            return graph(x, training=training)

    facade = Facade()
    facade.tfcompress_graph = graph
    inputs = random_inputs(signature_of(facade), 2, seed=0)
    assert signature_of(facade) == signature_of(graph)
    np.testing.assert_array_equal(call(facade, inputs)["y"], call(graph, inputs)["y"])


def test_nan_in_a_saved_model_is_found(tmp_path, keras_module):
    model = build(small_models.mlp, keras_module)
    model.set_weights([w * np.nan for w in model.get_weights()])
    model.export(tmp_path / "saved") if keras_module.__name__ == "keras" else model.save(tmp_path / "saved")
    with pytest.raises(ModelError, match="holds NaN in"):
        check_finite(tmp_path / "saved")


def test_numbers_beyond_a_table_are_the_samples_fault(keras_module):
    tokens = keras_module.Input((4,), dtype="int32", name="tokens")
    model = keras_module.Model(tokens, keras_module.layers.Embedding(5, 2)(tokens))
    message = (
        r"cannot compute these samples: indices\[0,1\] = 7 is not in \[0, 5\); give the numbers that it was trained"
    )
    with pytest.raises(DataError, match=message):
        call(model, {"tokens": np.array([[0, 7, 1, 2]])})


@given(st.floats(-5, 5), st.floats(0.1, 5), st.sampled_from([-1.0, 0.0, 2.0, None]))
def test_what_is_drawn_from_a_range_lies_in_it_with_padding_or_without(low, span, padding):
    signature = Signature((TensorSpec("x", (20, 2), "float32"),), ())
    drawn = random_inputs(signature, 5, 0, padding=padding, ranges={"x": (low, low + span)})["x"]
    assert drawn.min() >= np.float32(low)
    assert drawn.max() <= np.float32(low + span)
    assert (drawn[:, -1] == padding).all() == (padding is not None and low <= padding <= low + span)
