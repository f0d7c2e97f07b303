import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.safety.configuration import CODE_CLASSES, FILE_ENTRIES, MOST_NESTED, Name, find_names


def layer(class_name, **config):
    return {"class_name": class_name, "config": {"name": "one", **config}}


def model(*layers):
    return {"class_name": "Functional", "config": {"name": "model", "layers": list(layers)}}


def names(config):
    return {(name.kind, name.name) for name in find_names(config).names}


def test_classes_functions_and_identifiers_are_collected_with_their_layer():
    relu = {"class_name": "function", "config": "relu", "module": "builtins", "registered_name": "function"}
    found = find_names(model(layer("Dense", activation=relu, kernel_initializer="glorot_uniform")))
    assert set(found.names) == {
        Name("class", "Functional", None, None, "model"),
        Name("class", "Dense", None, None, "one"),
        Name("function", "relu", "builtins", None, "one"),
        Name("identifier", "glorot_uniform", None, None, "one"),
    }
    assert (found.code, found.outside, found.wrappers, found.ours) == ([], [], [], False)


def test_how_a_model_was_compiled_is_left_out_but_for_nested_ones():
    compiled = {"loss": {"class_name": "function", "config": "mine", "module": "shop"}}
    assert names(model() | {"compile_config": compiled}) == names(model())
    assert ("function", "mine") in names(model(model() | {"compile_config": compiled}))


@pytest.mark.parametrize("class_name", sorted(CODE_CLASSES))
def test_a_class_that_runs_code_is_code_wherever_it_stands(class_name):
    described = layer(class_name)
    shown = "Lambda" if class_name == "__lambda__" else class_name
    for config in (
        model(described),
        model(model(described)),
        model(layer("TimeDistributed", layer=described)),
        model({**layer("Dense"), "inbound_nodes": [{"args": [], "kwargs": {"mask": described}}]}),
        model({**layer("Dense"), "build_config": described}),
        model(layer("Dense", activation=json.dumps(described))),
        model(layer("Dense", note=json.dumps([json.dumps(described)]))),
        model(layer("Dense") | {"registered_name": class_name}),
        model(layer("Dense") | {"registered_name": f"shop>{class_name}"}),
        model(layer(f"shop>{class_name}")),
    ):
        assert find_names(config).code == [f"{shown} layer 'one'"], config


@pytest.mark.parametrize(
    ("class_name", "config", "shown"),
    [
        ("TFOpLambda", {"function": "io.write_file"}, "tf.io.write_file"),
        ("TFOpLambda", {"function": "keras.models.model_from_json"}, "tf.keras.models.model_from_json"),
        ("TFOpLambda", {"function": ["math.add"]}, "a function that is not understood"),
        ("TFOpLambda", {}, "a function that is not understood"),
        ("SlicingOpLambda", {"function": "py_function"}, "tf.py_function"),
        ("TensorFlowOperation", {"symbol": "io.gfile.os.system"}, "tf.io.gfile.os.system"),
        ("TensorFlowOperation", {"symbol": "math.add.__globals__"}, "tf.math.add.__globals__"),
        ("ClassMethod", {"cls_symbol": "io.write_file", "method_name": "__call__"}, "tf.io.write_file.__call__"),
        ("InstanceMethod", {"attr_name": "format"}, "tf.format"),
        ("InstanceProperty", {"attr_name": "__class__"}, "tf.__class__"),
        ("TensorFlowOpLayer", {"node_def": {"op": "WriteFile"}}, "tf.WriteFile"),
        ("TensorFlowOpLayer", {"node_def": "\n\x05"}, "a function that is not understood"),
    ],
)
def test_a_call_of_what_is_not_known_as_arithmetic_is_code(class_name, config, shown):
    assert find_names(model(layer(class_name, **config))).code == [f"call of {shown} in layer 'one'"]
    mismatched = layer("Dense", **config) | {"registered_name": f"tfcompress>{class_name}"}
    assert find_names(model(mismatched)).code == [f"call of {shown} in layer 'one'"]


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("TFOpLambda", {"function": "math.add"}),
        ("TFOpLambda", {"function": "keras.activations.swish"}),
        ("SlicingOpLambda", {"function": "__operators__.getitem"}),
        ("TensorFlowOperation", {"symbol": "math.reduce_variance"}),
        ("ClassMethod", {"cls_symbol": "RaggedTensor", "method_name": "from_row_splits"}),
        ("InstanceMethod", {"attr_name": "to_tensor"}),
        ("InstanceProperty", {"attr_name": "row_splits"}),
        ("TensorFlowOpLayer", {"node_def": {"op": "AddV2"}}),
    ],
)
def test_a_call_of_arithmetic_is_none(class_name, config):
    assert find_names(model(layer(class_name, **config))).code == []


@pytest.mark.parametrize("entry", sorted(FILE_ENTRIES))
def test_a_text_where_a_file_can_be_named_is_one_and_a_list_of_words_is_not(entry):
    assert find_names(model(layer("StringLookup", **{entry: "words.txt"}))).outside == [
        f"the name of a file, 'words.txt', as {entry!r} in layer 'one'"
    ]
    assert find_names(model(layer("StringLookup", **{entry: ["/path", "http://word"]}))).outside == []
    described = {"class_name": "__bytes__", "config": {"value": "/path"}}
    assert (
        "something other than a list of words"
        in find_names(model(layer("StringLookup", **{entry: described}))).outside[0]
    )


def test_an_address_is_a_file_in_any_entry():
    assert "gs://bucket/x" in find_names(model(layer("Dense", whatever="gs://bucket/x"))).outside[0]


@pytest.mark.parametrize("entry", ["layer", "cell", "quantize_config", "pruning_schedule", "operation"])
def test_a_name_alone_where_a_description_belongs_is_not_looked_up(entry):
    assert "where a description belongs" in find_names(model(layer("Wrapper", **{entry: "tf"}))).outside[0]


@pytest.mark.parametrize(
    "described",
    [
        {"class_name": 3, "config": {}},
        {"class_name": ["Dense"], "config": {}},
        {"class_name": None},
        {"class_name": "", "config": {}},
        {"class_name": "Dense", "config": {}, "module": 3},
        {"class_name": "Dense", "config": {}, "registered_name": ["x"]},
        {"class_name": "function", "config": {"name": "relu"}},
        {"class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess", "config": []},
        {"class_name": "TypeSpec", "type_spec": "tf.data.DatasetSpec", "serialized": []},
        {"class_name": "CompositeTensor", "spec": {}, "tensors": []},
    ],
)
def test_a_description_that_is_not_understood_is_refused(described):
    assert find_names(model(layer("Dense", activation=described))).outside


def test_what_is_nested_without_end_is_refused():
    described = layer("Dense")
    for _ in range(MOST_NESTED):
        described = layer("Wrapper", layer=described)
    assert "nested more than" in find_names(described).outside[0]


def test_our_own_classes_and_wrappers_of_training_are_noted():
    ours = layer("FakeQuant") | {"registered_name": "tfcompress>FakeQuant", "module": "tfcompress.models.x"}
    assert (find_names(model(ours)).ours, find_names(model(ours)).wrappers) == (True, ["FakeQuant"])
    assert find_names(model(layer("QuantizeWrapperV2"))).wrappers == ["QuantizeWrapperV2"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_a_configuration_holds_it_is_read(value):
    find_names(value)


@given(VALUES, st.lists(st.sampled_from(["list", "dict", "layer", "json"]), max_size=6))
def test_a_lambda_is_found_however_it_is_packed(value, packing):
    described = {"class_name": "Lambda", "config": {"name": "hidden"}}
    for way in packing:
        described = {
            "list": [value, described],
            "dict": {"x": described, "y": value},
            "layer": layer("TimeDistributed", layer=described),
            "json": json.dumps({"class_name": "x", "config": described}),
        }[way]
    assert find_names({"config": described}).code == ["Lambda layer 'hidden'"]
