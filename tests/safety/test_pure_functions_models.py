"""Every raw operation of the models in these tests, and of Keras's own networks, is in the tables."""

import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

from tests.channels import channel_models
from tests.models import small_models
from tests.models.small_models import GRAPHS, build
from tfcompress.safety.pure_functions import (
    INSTANCE_METHODS,
    INSTANCE_PROPERTIES,
    is_pure_class_method,
    is_pure_function,
)
from tfcompress.safety.pure_keras import is_pure_operation

TESTS = Path(__file__).parents[1]

KERAS_3 = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
)
KERAS_2 = (*KERAS_3, "RegNetX002", "ResNetRS50")
"""One network of each family that Keras has; others of a family have more layers of the same kinds."""


def objects(node):
    """Give every description of an object in a configuration."""
    if isinstance(node, dict):
        if isinstance(node.get("class_name"), str):
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def is_raw(described):
    """Say whether a description is of a Keras 3 operation that is no layer, by what its class is."""
    module = described.get("module")
    if not isinstance(module, str) or not module.startswith("keras.src."):
        return False
    keras = importlib.import_module("keras")
    cls = getattr(importlib.import_module(module), described["class_name"], None)
    return inspect.isclass(cls) and issubclass(cls, keras.Operation) and not issubclass(cls, keras.layers.Layer)


def judged(model):
    """Return the raw operations of a model as it is written to a file: what each is -> whether it is allowed."""
    found = {}
    for described in objects(json.loads(model.to_json())):
        kind, config = described["class_name"], described.get("config")
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            found[config["function"]] = is_pure_function(config["function"])
        elif kind == "ClassMethod":
            found[config["method_name"]] = is_pure_class_method(config["cls_symbol"], config["method_name"])
        elif kind in ("InstanceProperty", "InstanceMethod"):
            table = INSTANCE_METHODS if kind == "InstanceMethod" else INSTANCE_PROPERTIES
            found[config["attr_name"]] = config["attr_name"] in table
        elif is_raw(described):
            found[f"{described['module']}:{kind}"] = is_pure_operation(described["module"], kind)
    return found


def refused(model):
    return [name for name, allowed in judged(model).items() if not allowed]


def ragged(k):
    tf = importlib.import_module("tensorflow")
    i, sizes = k.Input((None,), ragged=True), k.Input((), dtype="int64")
    x = tf.RaggedTensor.from_row_lengths(i.flat_values, sizes)
    return k.Model([i, sizes], [x.to_tensor(), i.nrows(), i.row_splits])


@pytest.mark.parametrize("kind", GRAPHS)
def test_the_small_models_are_allowed(kind, keras_module):
    assert refused(build(kind, keras_module)) == []


@pytest.mark.parametrize("kind", [small_models.hard_silu, small_models.keras3_activations])
def test_the_models_of_keras_3_alone_are_allowed(kind, keras):
    assert refused(build(kind, keras)) == []


@pytest.mark.parametrize("topology", channel_models.TOPOLOGIES)
def test_the_models_of_channels_are_allowed(topology):
    assert refused(channel_models.model_of(topology)) == []


@pytest.mark.parametrize("make", channel_models.WHOLE_MODELS)
def test_the_whole_models_of_channels_are_allowed(make):
    assert refused(make()) == []


def test_the_models_of_the_techniques_are_allowed(keras_module):
    networks = importlib.import_module("tests.engines.tiny_networks")
    assert refused(networks.convolutional(keras_module)) + refused(networks.dense(keras_module)) == []


def test_every_raw_operation_of_a_model_is_found(keras, tf_keras):
    assert set(judged(build(small_models.rare_ops, tf_keras))) == {
        "__operators__.add",
        "linalg.matmul",
        "math.cumsum",
        "math.pow",
        "math.reduce_mean",
        "split",
    }
    assert set(judged(build(small_models.raw_ops, keras))) == {
        f"keras.src.ops.numpy:{name}"
        for name in ("Add", "Concatenate", "GetItem", "Matmul", "Mean", "Multiply", "Reshape", "Subtract", "TrueDivide")
    }
    expected = {"flat_values", "from_row_lengths", "nrows", "row_splits", "to_tensor"}
    assert judged(build(ragged, tf_keras)) == dict.fromkeys(expected, True)


def test_a_raw_operation_that_is_not_in_the_tables_is_found_and_refused(keras, tf_keras):
    tf = importlib.import_module("tensorflow")
    i = tf_keras.Input((8,))
    outputs = [tf.debugging.check_numerics(tf.abs(i), "here"), tf.math.abs(tf.signal.stft(i, 4, 2))]
    assert refused(tf_keras.Model(i, outputs)) == ["debugging.check_numerics"]
    i = keras.Input((8,))
    assert refused(keras.Model(i, keras.ops.map(keras.ops.abs, keras.ops.abs(i)))) == ["keras.src.ops.core:Map"]


def test_every_function_of_keras_that_other_tests_call_is_an_operation_of_the_table(keras):
    sources = [path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)]
    called = {name for source in sources for name in re.findall(r"\bops\.([a-z_0-9]+)\(", source)}
    functions = [getattr(keras.ops, name) for name in called if hasattr(keras.ops, name)]
    classes = {
        (function.__module__, name)
        for function in functions
        for name in re.findall(r"\b([A-Z]\w+)\([^()]*\)\.symbolic_call", inspect.getsource(function))
    }
    assert len(classes) >= 15
    assert [pair for pair in classes if not is_pure_operation(*pair)] == []


@pytest.mark.networks
@pytest.mark.parametrize("name", KERAS_3)
def test_the_networks_of_keras_3_are_allowed(name, keras):
    assert refused(network(keras, name)) == []


@pytest.mark.networks
@pytest.mark.filterwarnings("ignore:The `keras.initializers.serialize.. API should only be used:UserWarning")
@pytest.mark.parametrize("name", KERAS_2)
def test_the_networks_of_keras_2_are_allowed(name, tf_keras):
    assert refused(network(tf_keras, name)) == []


def network(k, name):
    """Build one of Keras's networks without its weights."""
    k.backend.clear_session()
    return getattr(k.applications, name)(weights=None, include_top=False, input_shape=(96, 96, 3))
