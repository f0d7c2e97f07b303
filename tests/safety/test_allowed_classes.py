import importlib
import inspect
import json
import re

import pytest

from tfcompress.models.loading import load_model
from tfcompress.safety import allowed_classes
from tfcompress.safety.allowed_classes import OUR_MODULES, is_library, refused_names
from tfcompress.safety.configuration import CODE_CLASSES, Name, find_names

WRITERS = pytest.mark.parametrize("writer", ["keras2", "keras3"])

SUSPICIOUS = re.compile(r"fn|func|callable|path|file|vocab|url|uri|module|lambda|model|config|code|script|dataset")
LOOKED_AT = {
    ("Dense", "quantization_config"),  # described in the file, and so looked at
    ("EinsumDense", "quantization_config"),
    ("Embedding", "quantization_config"),
    ("IntegerLookup", "vocabulary"),  # a list of words; text is refused
    ("IntegerLookup", "vocabulary_dtype"),
    ("MeanMetricWrapper", "fn"),  # described in the file, and so looked at
    ("StringLookup", "vocabulary"),
    ("TextVectorization", "vocabulary"),
}
"""Parameters that sound as if they took a function or a file."""


def named(name, *, kind="class", module=None, registered=None):
    return Name(kind, name, module, registered, "one")


def is_known(name, writer, custom=None, *, tfmot=False):
    return refused_names([name], writer, custom or {}, tfmot=tfmot) == []


@WRITERS
def test_no_class_of_the_table_runs_code_and_none_is_another_package_s(writer, request):
    library = request.getfixturevalue("tf_keras" if writer == "keras2" else "keras")
    classes = allowed_classes.classes_of(writer)
    assert not classes & CODE_CLASSES
    assert {"Dense", "Conv2D", "Functional", "GlorotUniform", "L2", "Adam"} <= classes
    for name in classes:
        found = getattr(library.layers, name, None)
        assert found is None or found.__module__.startswith(library.__name__)


@WRITERS
def test_no_class_of_the_table_sounds_as_if_it_took_a_function_or_a_file_but_those_that_were_looked_at(writer, request):
    library = request.getfixturevalue("tf_keras" if writer == "keras2" else "keras")
    spaces = [getattr(library, name) for name in allowed_classes.NAMESPACES]
    spaces += [library.quantizers] if writer == "keras3" else [library.layers.experimental]
    found = {
        (name, parameter)
        for space in spaces
        for name, item in vars(space).items()
        if name in allowed_classes.classes_of(writer) and inspect.isclass(item)
        for parameter in inspect.signature(item.__init__).parameters
        if SUSPICIOUS.search(parameter)
    }
    assert found <= LOOKED_AT
    assert ("StringLookup", "vocabulary") in found


@WRITERS
@pytest.mark.parametrize(
    "name",
    [
        named("Dense"),
        named("Dense", module="keras.layers", registered="Dense"),
        named("Functional", module="keras.src.models.functional", registered="Functional"),
        named("GlorotUniform", module="keras.initializers"),
        named("relu", kind="function", module="builtins"),
        named("relu", kind="function", module="keras.activations", registered="relu"),
        named("mean_squared_error", kind="function", module="keras.losses"),
        named("relu", kind="identifier"),
        named("glorot_uniform", kind="identifier"),
        named("max_norm", kind="identifier"),
        named("Mean", module="keras.src.ops.numpy", registered="Mean"),
        named("LayerScale", module="keras.src.applications.convnext", registered="LayerScale"),
    ],
)
def test_keras_s_own_are_known(name, writer):
    assert is_known(name, writer)


@WRITERS
@pytest.mark.parametrize(
    "name",
    [
        named("model_from_json", module="keras.models"),
        named("model_from_json", kind="function", module="keras.models"),
        named("get_file", kind="function", module="keras.utils"),
        named("load_data", kind="function", module="keras.datasets.mnist"),
        named("relu", kind="function", module="keras.datasets.mnist"),
        named("relu", kind="function", module="evil"),
        named("relu", kind="function", module="keras"),
        named("Dense", kind="function", module="keras.layers"),
        named("deserialize", kind="function", module="keras.activations"),
        named("get", kind="identifier"),
        named("system", kind="function", module="os"),
        named("eval", kind="function", module="builtins", registered="tfcompress>keras3_relu6"),
        named("Dense", module="keras.layers", registered="tfcompress>TensorFlowOperation"),
        named("Dense", module="keras.layers", registered="shop>Mine"),
        named("Dense", module="evil"),
        named("Dense", module="kerasevil"),
        named("Constant", module="tensorflow.python.ops.init_ops_v3"),
        named("load_library", module="tensorflow.python.ops.init_ops_v2"),
        named("Dense", module="keras_hub.layers"),
        named("Dense.forward", module="keras.layers"),
        named("shop>Dense"),
        named("tfcompress>NotOurs"),
        named("Switch", module="keras.src.ops.core"),
        named("Map", module="keras.src.ops.core"),
        named("Einsum", module="keras.src.ops.core_evil"),
        named("Lambda", module="keras.layers"),
        named("PruneLowMagnitude"),
        named("QuantizeWrapperV2", module="tensorflow_model_optimization.python.core"),
    ],
)
def test_what_is_not_keras_s_is_not_known(name, writer):
    assert not is_known(name, writer)


def test_every_layer_that_keras_3_can_save_is_known_by_the_name_of_its_class_or_runs_code(keras):
    classes = {item for item in vars(keras.layers).values() if inspect.isclass(item)}
    names = {item.__name__ for item in classes if issubclass(item, keras.layers.Layer)}
    assert names - allowed_classes.classes_of("keras3") <= CODE_CLASSES
    assert is_known(named("GroupedQueryAttention", module="keras.layers"), "keras3")


def test_every_layer_and_initializer_that_tf_keras_can_read_is_known_or_runs_code(tf_keras):
    from tf_keras.src import initializers
    from tf_keras.src.layers import serialization

    serialization.populate_deserializable_objects()
    initializers.populate_deserializable_objects()
    names = {name for name, item in serialization.LOCAL.ALL_OBJECTS.items() if inspect.isclass(item)}
    inner = {
        "BaseRandomLayer",
        "BatchNormalizationBase",
        "DeviceWrapper",
        "_RNNCellWrapper",
    }  # bases, and a device's name
    assert names - allowed_classes.classes_of("keras2") - CODE_CLASSES == inner
    assert [
        name
        for name in initializers.LOCAL.ALL_OBJECTS
        if not is_known(named(name, kind="identifier"), "keras2")
        or not (name[0].islower() or is_known(named(name), "keras2"))
    ] == []


NETWORKS = [
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetMobile",
    "RegNetX002",
    "RegNetY002",
    "ResNet50",
    "ResNet50V2",
    "ResNetRS50",
    "VGG16",
    "Xception",
]


@pytest.mark.networks
@pytest.mark.filterwarnings("ignore:The `keras.initializers.serialize.. API should only be used:UserWarning")
@pytest.mark.parametrize("network", NETWORKS)
def test_whatever_keras_s_own_networks_name_is_known(network, keras_module):
    make = getattr(keras_module.applications, network, None)
    if make is None:
        pytest.skip("this Keras has no such network")
    model = make(weights=None, include_top=False, input_shape=(96, 96, 3))
    found = find_names(json.loads(model.to_json()))
    writer = "keras3" if keras_module.__name__ == "keras" else "keras2"
    assert refused_names(found.names, writer, {}, tfmot=False) == []
    assert (found.code, found.outside) == ([], [])
    keras_module.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_layers_beside_keras_s_networks_are_found_in_files_that_say_not_where_from(keras_module, ending, tmp_path):
    convnext = importlib.import_module(f"{keras_module.__name__}.src.applications.convnext")
    i = keras_module.Input((4,))
    scaled = convnext.LayerScale(init_values=0.5, projection_dim=4)(i)
    keras_module.Model(i, convnext.StochasticDepth(0.1)(scaled)).save(tmp_path / f"model.{ending}")
    loaded = load_model(tmp_path / f"model.{ending}")
    assert [type(layer) for layer in loaded.native.layers[1:]] == [convnext.LayerScale, convnext.StochasticDepth]


@pytest.mark.parametrize("name", ["CustomScaleLayer", "Custom>CustomScaleLayer"])
def test_a_layer_that_keras_itself_registered_is_known(name):
    described = named(
        name, module="tf_keras.src.applications.inception_resnet_v2", registered="Custom>CustomScaleLayer"
    )
    assert is_known(described, "keras2")
    assert not is_known(described._replace(registered="shop>CustomScaleLayer"), "keras2")


@pytest.mark.parametrize("module", [None, "keras.layers", "tensorflow_model_optimization.python.core"])
def test_tfmot_s_classes_are_known_in_a_file_that_holds_its_wrappers(module):
    assert is_known(named("PruneLowMagnitude", module=module), "keras2", tfmot=True)
    assert is_known(named("ConstantSparsity", module=module), "keras2", tfmot=True)
    assert not is_known(named("PruneLowMagnitude", module="evil"), "keras2", tfmot=True)
    assert not is_known(named("PruneLowMagnitude", registered="shop>Mine"), "keras2", tfmot=True)
    assert not is_known(named("PruneLowMagnitude", module=module), "keras3", tfmot=True)


@pytest.mark.slow
@WRITERS
def test_our_own_classes_are_known_to_the_keras_that_they_are_for(writer, request):
    library = request.getfixturevalue("tf_keras" if writer == "keras2" else "keras")
    allowed_classes.import_our_layers(writer)
    ours = [name for name in library.saving.get_custom_objects() if name.startswith("tfcompress>")]
    assert len(ours) > 3
    for registered in ours:
        short = registered.partition(">")[2]
        assert is_known(named(short, module="tfcompress.somewhere", registered=registered), writer)
        assert not is_known(named("Dense", module="keras.layers", registered=registered), writer)
    assert set(OUR_MODULES) == {"keras2", "keras3"}


def test_what_the_user_gave_is_known_only_as_that_very_object(keras):
    class Mine(keras.layers.Layer):
        pass

    class Other(keras.layers.Layer):
        pass

    custom = {"Mine": Mine}
    assert is_known(named("Mine"), "keras3", custom)
    assert is_known(named("Mine", module="evil", registered="Mine"), "keras3", custom)
    assert not is_known(named("Mine", module="shop", registered="shop>Mine"), "keras3", custom)
    try:
        keras.saving.register_keras_serializable("shop")(Other)
        keras.saving.get_custom_objects()["shop>Mine"] = Other
        assert not is_known(named("Mine", module="shop", registered="shop>Mine"), "keras3", custom)
        keras.saving.get_custom_objects()["shop>Mine"] = Mine
        assert is_known(named("Mine", module="shop", registered="shop>Mine"), "keras3", custom)
    finally:
        for name in ("shop>Mine", "shop>Other"):
            keras.saving.get_custom_objects().pop(name, None)


@pytest.mark.parametrize(
    ("module", "library"),
    [("os", True), ("subprocess", True), ("keras.models", True), ("tensorflow.io", True), ("shop.layers", False)],
)
def test_what_is_a_library_s_is_never_suggested_as_a_custom_object(module, library):
    assert is_library(named("x", module=module)) is library
