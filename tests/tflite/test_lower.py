"""tfcompress.tflite.lower."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite.make_files import cnn, two_ways
from tfcompress.errors import ConversionError
from tfcompress.models.signature import call
from tfcompress.tflite.lower import lower

pytestmark = pytest.mark.slow


def serving(folder):
    """Load a SavedModel; returns its signature's function, and what must be kept alive for it."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    assert list(loaded.signatures) == ["serving_default"]
    return loaded.signatures["serving_default"], loaded


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
def test_names_batch_and_weights_are_those_of_the_model(flavour: str, request, tmp_path) -> None:
    import tensorflow as tf

    model = two_ways(request.getfixturevalue(flavour))
    signature = lower(model, tmp_path / "saved").signature
    function, _loaded = serving(tmp_path / "saved")
    specs = function.structured_input_signature[1]
    assert {name: tuple(s.shape) for name, s in specs.items()} == {"image": (1, 6, 6, 1), "facts": (1, 4)}
    assert [o.name for o in signature.outputs] == ["class", "size"]
    generator = np.random.default_rng(0)
    inputs = {
        "image": generator.normal(size=(1, 6, 6, 1)).astype("f"),
        "facts": generator.normal(size=(1, 4)).astype("f"),
    }
    outputs = function(**{name: tf.constant(values) for name, values in inputs.items()})
    for name, expected in call(model, inputs).items():
        assert outputs[name].numpy() == pytest.approx(expected, abs=1e-6)


def test_a_subclassed_model_is_lowered_with_its_weights(keras, tmp_path) -> None:
    import tensorflow as tf

    class Small(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x) * 2.0

    model = Small()
    x = np.ones((1, 5), np.float32)
    expected = model(x).numpy()
    lowered = lower(model, tmp_path / "saved")
    function, _loaded = serving(tmp_path / "saved")
    (name,) = [s.name for s in lowered.signature.inputs]
    (values,) = function(**{name: tf.constant(x)}).values()
    assert values.numpy() == pytest.approx(expected)


def test_a_saved_model_of_any_batch_is_signed_again_with_batch_1(keras, tmp_path) -> None:
    cnn(keras).export(tmp_path / "given", format="tf_saved_model", verbose=False)
    lowered = lower(tmp_path / "given", tmp_path / "saved")
    function, _loaded = serving(tmp_path / "saved")
    assert lowered.batch == 1
    assert {tuple(s.shape) for s in function.structured_input_signature[1].values()} == {(1, 8, 8, 3)}


def test_a_saved_model_that_insists_on_its_batch_keeps_it(tmp_path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(tf.eye(3))
    function = tf.function(lambda x: {"y": tf.matmul(x, module.weight)})
    signed = function.get_concrete_function(x=tf.TensorSpec((4, 3), tf.float32, name="x"))
    tf.saved_model.save(module, str(tmp_path / "given"), signatures={"serving_default": signed})
    lowered = lower(tmp_path / "given", tmp_path / "saved")
    assert lowered.batch == 4
    assert lowered.signature.inputs[0].shape == (3,)


def test_fake_quantization_is_noticed(keras, tmp_path) -> None:
    layers = keras.layers

    class Rounded(layers.Layer):
        def call(self, x):
            import tensorflow as tf

            return tf.quantization.fake_quant_with_min_max_args(x, -1, 1)

    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    rounded = keras.Sequential([keras.Input((4,)), layers.Dense(2), Rounded()])
    assert not lower(plain, tmp_path / "plain").qat
    assert lower(rounded, tmp_path / "rounded").qat


def test_a_model_that_cannot_be_traced_is_told_in_one_line(keras, tmp_path) -> None:
    class Picky(keras.layers.Layer):
        def call(self, x):
            if x.shape[0] == 1:
                msg = "batches of one are beneath me"
                raise ValueError(msg)
            return x

    model = keras.Sequential([keras.Input((4,)), Picky()])
    with pytest.raises(
        ConversionError, match=r"cannot be traced with a batch of 1: .*beneath me.* any batch size"
    ) as caught:
        lower(model, tmp_path / "saved")
    assert "\n" not in str(caught.value)
