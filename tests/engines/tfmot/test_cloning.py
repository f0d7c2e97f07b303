import numpy as np
import pytest

from tests.engines.tiny_networks import convolutional, dense, images
from tfcompress.engines.tfmot import cloning
from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.models.graph import leaf_layers

tf_keras = pytest.importorskip("tf_keras")
layers = tf_keras.layers


def nested():
    given = tf_keras.Input((16,))
    inner = dense(tf_keras)
    return tf_keras.Model(given, layers.Dense(2, name="top")(inner(given)), name="outer"), inner.name


def test_leaves_are_found_below_models_with_their_path():
    model, inner = nested()
    paths = [path for path, layer in leaf_layers(model) if layer.weights]
    assert paths == [f"{inner}/a", f"{inner}/b", "top"]


def test_a_copy_computes_the_same_and_shares_nothing():
    for model, inputs in ((convolutional(tf_keras), images()[0]), (nested()[0], np.ones((2, 16), "float32"))):
        copy = cloning.clone(model)
        assert type(copy) is type(model)
        before = model.predict(inputs, verbose=0)
        assert np.array_equal(copy.predict(inputs, verbose=0), before)
        copy.set_weights([w + 1 for w in copy.get_weights()])
        assert np.array_equal(model.predict(inputs, verbose=0), before)


def test_statistics_of_a_normalization_layer_come_along():
    given = tf_keras.Input((3,))
    normalization = layers.Normalization()
    normalization.adapt(np.arange(12, dtype="float32").reshape(4, 3))
    model = tf_keras.Model(given, normalization(given))
    inputs = np.ones((2, 3), "float32")
    assert np.array_equal(cloning.clone(model).predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_frozen_layers_stay_frozen():
    model = dense(tf_keras)
    model.layers[0].trainable = False
    assert [layer.trainable for layer in cloning.clone(model).layers] == [False, True]


def test_a_replaced_layer_keeps_its_variables_and_the_others_get_new_ones():
    model = dense(tf_keras)
    rebuilt = cloning.clone_with(model, lambda path, layer: layer if path == "a" else None)
    a, b = model.layers
    assert all(rebuilt.live[id(v)] is v for v in a.weights)
    assert all(rebuilt.live[id(v)] is not v for v in b.weights)
    assert all(np.array_equal(rebuilt.live[id(v)].numpy(), v.numpy()) for v in b.weights)


def test_kernels_are_told_from_other_weights_and_named():
    given = tf_keras.Input((8, 8, 4))
    separable = layers.SeparableConv2D(4, 3, name="s")
    tf_keras.Model(given, layers.PReLU(name="p")(layers.BatchNormalization(name="n")(separable(given))))
    found = cloning.kernels_of(separable)
    assert [cloning.short_name(v) for v in found] == ["depthwise_kernel", "pointwise_kernel"]
    names = [cloning.kernel_name("inner/s", v, alone=False) for v in found]
    assert names == ["inner/s/depthwise_kernel", "inner/s/pointwise_kernel"]
    assert cloning.kernel_name("inner/s", found[0], alone=True) == "inner/s"


def test_somebodys_own_layer_has_its_matrices_counted():
    class Own(layers.Layer):
        def build(self, shape):
            self.matrix = self.add_weight("matrix", (shape[-1], 2))
            self.vector = self.add_weight("vector", (2,))

        def call(self, inputs):
            return inputs @ self.matrix + self.vector

    layer = Own()
    layer.build((None, 3))
    assert cloning.kernels_of(layer) == [layer.matrix]


def test_what_is_no_graph_is_refused():
    class Subclassed(tf_keras.Model):
        pass

    with pytest.raises(UnsupportedError, match=r"model 'sub' is subclassed \(Subclassed\): stages need its graph"):
        cloning.check_clonable(Subclassed(name="sub"))
    with pytest.raises(ModelError, match="model 'later' was never built, its shapes are unknown"):
        cloning.check_clonable(tf_keras.Sequential([layers.Dense(2)], name="later"))
    half = tf_keras.Sequential([tf_keras.Input((4,)), layers.Dense(2, dtype="mixed_float16", name="half")])
    with pytest.raises(UnsupportedError, match="must compute in float32, got mixed precision in half; load the model"):
        cloning.check_clonable(half)
