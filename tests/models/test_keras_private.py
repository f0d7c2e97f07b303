"""What a release of Keras may break: each private name still gives what its function says."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tfcompress.models import keras_private
from tfcompress.models.call_template import leaves
from tfcompress.models.kinds import is_model, library_of

keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")


def branched(library):
    given = library.Input((4,), name="given")
    first = library.layers.Dense(3, name="first")(given)
    inside = library.Sequential([library.Input((3,)), library.layers.Dense(3, name="deep")], name="inside")
    return library.Model(given, library.layers.Add(name="sum")([inside(first), first]), name="outer")


@pytest.fixture(params=["keras", "tf_keras"])
def library(request):
    return {"keras": keras, "tf_keras": tf_keras}[request.param]


def test_layers_inside_layers_are_found_in_either_keras(library):
    model = branched(library)
    found = [layer.name for layer in keras_private.all_layers(model)]
    assert {"given", "first", "inside", "deep", "sum"} <= set(found)
    assert "outer" not in found
    assert keras_private.all_layers(model, itself=True)[0] is model


def test_calls_come_in_an_order_in_which_they_can_be_made_again(library):
    model = branched(library)
    known = set()
    for node in keras_private.nodes(keras_private.functional(model) if library is keras else model):
        given = leaves(node.arguments.args if library is keras else node.call_args)
        assert {id(leaf) for leaf in given if keras_private.has_origin(leaf)} - set(
            map(id, leaves(node.outputs))
        ) <= known
        known |= set(map(id, leaves(node.outputs)))
    assert set(map(id, model.outputs)) <= known


def test_a_tensor_knows_the_layer_that_it_comes_from(library):
    model = branched(library)
    assert keras_private.origin(model.outputs[0]).name == "sum"
    assert keras_private.origin(model.inputs[0]).name == "given"
    assert keras_private.has_origin(model.inputs[0])
    assert not keras_private.has_origin(np.ones(3))


def test_a_subclassed_model_has_no_graph_and_the_others_have(library):
    class Own(library.Model):
        def call(self, x):
            return x

    assert keras_private.has_graph(branched(library))
    assert not keras_private.has_graph(Own())


def test_a_model_and_its_keras_are_told(library):
    model = branched(library)
    assert library_of(model) is library
    assert is_model(model)
    assert not is_model(model.get_layer("first"))


def test_the_functional_model_in_a_sequential_one_has_its_structures():
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    assert keras_private.functional(model).outputs[0] is model.outputs[0]
    assert keras_private.functional(branched(keras)).name == "outer"
    named = keras.Model({"x": model.inputs[0]}, [model.outputs[0]])
    assert keras_private.input_structure(named)["x"] is named.inputs[0]
    assert keras_private.output_structure(named)[0] is named.outputs[0]


def test_the_calls_of_a_model_are_made_again_on_other_layers():
    model = branched(keras)
    doubled = keras.layers.Lambda(lambda x: 2.0 * x[:, :3])
    other = keras_private.replayed(
        model, np.ones((1, 4), "float32"), lambda layer: doubled if layer.name == "first" else layer
    )
    assert not np.allclose(other, model(np.ones((1, 4), "float32")))


def test_a_copy_that_forgot_its_calls_leaves_those_of_the_first_alone():
    operation = keras_private.origin(keras.ops.add(keras.Input((2,)), 1.0))
    new = copy.copy(operation)
    keras_private.forget_calls_(new)
    assert keras_private.first_arguments(new) is None
    assert keras_private.first_arguments(operation).args[1] == 1.0


@pytest.mark.parametrize(
    "layer",
    [keras.layers.MultiHeadAttention(2, 3), keras.layers.GroupQueryAttention(3, 2, 1)],
    ids=["many", "grouped"],
)
def test_the_projections_of_an_attention_are_found(layer):
    layer(np.ones((1, 5, 4), "float32"), np.ones((1, 5, 4), "float32"))
    found = keras_private.attention_projections(layer)
    assert set(found) == {"query", "key", "value", "output"}
    assert sum(dense.count_params() for dense in found.values()) == layer.count_params()


def test_a_batch_normalization_uses_the_moments_that_its_subclass_gives():
    @keras_private.adjusts_moments
    class Still(keras.layers.BatchNormalization):
        def adjusted_moments(self, mean, variance):
            return 0.0 * mean, 0.0 * variance + 1.0

    x = np.arange(6, dtype="float32").reshape(3, 2)
    assert np.allclose(Still(epsilon=0.0)(x, training=True), x)
    assert not np.allclose(keras.layers.BatchNormalization(epsilon=0.0)(x, training=True), x)


def test_what_a_model_was_built_for_has_the_names_of_its_arguments():
    class Two(keras.Model):
        def build(self, left_shape, right_shape):
            self.built = True

        def call(self, left, right):
            return left + right

    model = Two()
    assert keras_private.build_shapes(model) == {}
    model(np.ones((1, 2)), np.ones((1, 2)))
    assert keras_private.build_shapes(model) == {"left_shape": (1, 2), "right_shape": (1, 2)}


def test_a_variable_that_is_tracked_is_among_a_layers_own():
    layer = keras.layers.Layer()
    variable = keras.Variable(np.ones(2), name="seen")
    keras_private.track_(layer, variable)
    assert keras_private.own_trainable_variables(layer) == [variable] == layer.trainable_variables
    layer.trainable = False
    assert keras_private.own_trainable_variables(layer) == [variable]


def test_variables_that_hold_still_are_weights_that_are_not_trained():
    layer = tf_keras.layers.Dense(2)
    layer.build((None, 3))
    keras_private.hold_still_(layer, [layer.kernel])
    assert [v.name for v in layer.trainable_weights] == [layer.bias.name]
    assert [v.name for v in layer.non_trainable_weights] == [layer.kernel.name]


def test_operations_are_found_by_the_name_of_their_class():
    assert isinstance(keras_private.origin(keras.Input((2,)) + 1.0), keras_private.operation_classes()["Add"])
    assert "Dense" not in keras_private.operation_classes()


@pytest.mark.parametrize("safe", [True, False])
def test_safe_mode_is_known_while_a_configuration_is_read(safe):
    seen = []

    class Watching(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            seen.append(keras_private.in_safe_mode())
            return cls(**config)

    described = keras.saving.serialize_keras_object(Watching())
    keras.saving.deserialize_keras_object(described, custom_objects={"Watching": Watching}, safe_mode=safe)
    assert seen == [safe]
