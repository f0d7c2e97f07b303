import numpy as np
import pytest

from tests.engines.tiny_networks import convolutional, dense
from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.models.copies import check_graph, layers_with_kernels, model_copy, slots_of
from tfcompress.models.graph import leaf_layers

keras = pytest.importorskip("keras")
layers = keras.layers


def intricate():
    """Return a model with nested and shared models, raw ops, a Lambda, a frozen layer, named inputs and outputs."""
    keras.utils.set_random_seed(0)
    given = keras.Input((6, 4), name="steps")
    inside = keras.Input((6, 4))
    shared = keras.Model(
        inside, layers.Dense(4, name="deep")(layers.Lambda(lambda t: t * 2.0)(inside)) + 1.0, name="twice"
    )
    x = shared(shared(given))
    x = keras.Sequential(
        [keras.Input((6, 4)), layers.Conv1D(4, 3, name="conv1d"), layers.BatchNormalization()], name="block"
    )(x)
    x = keras.ops.relu(x)[:, 1:]
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.Bidirectional(layers.GRU(3), name="both")(x)
    model = keras.Model({"steps": given}, {"scores": layers.Dense(3, name="scores", trainable=False)(x)})
    model.get_layer("twice").trainable = False
    return model


@pytest.fixture(scope="module")
def pair():
    model = intricate()
    return model, model_copy(model)


def test_a_copy_computes_the_same_and_shares_no_variable(pair):
    model, copy = pair
    inputs = {"steps": np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")}
    assert np.array_equal(copy(inputs)["scores"], model(inputs)["scores"])
    assert not {id(v) for v in model.variables} & {id(v) for v in copy.variables}


def test_a_copy_has_the_same_layers_names_and_frozen_parts_and_is_not_compiled(pair):
    model, copy = pair
    model.compile("sgd", "mse")
    again = model_copy(model)
    assert not again.compiled
    assert [(path, type(layer)) for path, layer in leaf_layers(copy)] == [
        (p, type(layer)) for p, layer in leaf_layers(model)
    ]
    assert len(copy.trainable_variables) == len(model.trainable_variables)
    assert not copy.get_layer("twice").trainable
    assert not copy.get_layer("scores").trainable


def test_kernels_are_found_in_whatever_holds_them_and_named_apart(pair):
    _, copy = pair
    slots = [slot for path, layer in layers_with_kernels(copy).items() for slot in slots_of(path, layer)]
    found = {slot.name: slot.attribute for slot in slots}
    assert found["twice/deep"] == "kernel"
    assert found["block/conv1d"] == "kernel"
    assert found["attention/query/kernel"] == "_query_dense/kernel"
    assert found["both/forward_gru/gru_cell/recurrent_kernel"] == "forward_layer/cell/recurrent_kernel"
    assert found["scores"] == "kernel"
    assert len(found) == 2 + 4 + 4 + 1


def test_a_layer_in_two_models_counts_once():
    inner = dense(keras)
    given = keras.Input((16,))
    model = keras.Model(
        given, inner(given) + keras.Sequential([keras.Input((16,)), *inner.layers], name="again")(given)
    )
    assert len(layers_with_kernels(model)) == 2


def test_the_depthwise_kernel_is_known_as_one():
    model = convolutional(keras)
    assert [s.depthwise for s in slots_of("depthwise", model.get_layer("depthwise"))] == [True]
    given = keras.Input((8, 8, 4))
    model = keras.Model(given, layers.SeparableConv2D(5, 3, name="both")(given))
    assert [s.depthwise for s in slots_of("both", model.get_layer("both"))] == [True, False]


def test_matrices_of_somebodys_own_layer_are_kernels():
    class Own(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(shape[-1], 2), name="table")
            self.shift = self.add_weight(shape=(2,), name="shift")

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.table) + self.shift

    layer = Own(name="own")
    layer.build((None, 3))
    assert [(s.name, s.attribute) for s in slots_of("own", layer)] == [("own", "table")]


def test_subclassed_models_are_refused_by_name_wherever_they_are():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(UnsupportedError, match=r"model 'mine' is subclassed .Subclassed.: stages need its graph"):
        check_graph(Subclassed(name="mine"))
    given = keras.Input((3,))
    with pytest.raises(UnsupportedError, match="model 'inner' is subclassed"):
        check_graph(keras.Model(given, Subclassed(name="inner")(given)))


def test_a_model_that_was_never_built_is_refused():
    with pytest.raises(ModelError, match="model 'raw' was never built"):
        check_graph(keras.Sequential([layers.Dense(3)], name="raw"))
