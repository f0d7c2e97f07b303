import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.safety.configuration_graph import find_fault


def tensor(name, node=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "keras_history": [name, node, 0]}}


def keras3(name, *calls, class_name="Dense", **config):
    nodes = [{"args": [tensor(*source) for source in call], "kwargs": {}} for call in calls]
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def keras2(name, *calls, class_name="Dense", **config):
    nodes = [[[source, node, 0, {}] for source, node in call] for call in calls]
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def model(*layers):
    return {"class_name": "Functional", "config": {"layers": list(layers), "output_layers": [["out", 0, 0]]}}


NOTATIONS = pytest.mark.parametrize("layer", [keras2, keras3])


@NOTATIONS
def test_a_chain_a_shared_layer_and_a_nested_model_can_be_connected(layer):
    inner = {"layers": [], "output_layers": []}
    assert not find_fault(
        model(
            layer("x", class_name="InputLayer"),
            layer("twice", [("x", 0)], [("after", 0)]),
            layer("after", [("twice", 0)]),
            layer("nested", [("twice", 1)], class_name="Functional", **inner),
            layer("out", [("nested", 1)]),
        )
    )


@NOTATIONS
@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        ([("x", 1)], "takes a tensor from call 1 of 'x', of which there is none"),
        ([("one", 7)], "takes a tensor from call 7 of 'one', of which there is none"),
        ([("one", -1)], "takes a tensor from call -1 of 'one', of which there is none"),
        ([("nobody", 0)], "takes a tensor from 'nobody', which is none of its layers"),
        ([("two", 0)], r"its layers wait for each other \(out, two\)"),
    ],
)
def test_a_node_that_never_comes_is_a_fault(layer, sources, fault):
    layers = [
        layer("x", class_name="InputLayer"),
        layer("one", [("x", 0)]),
        layer("two", [("out", 0)]) if sources == [("two", 0)] else layer("two", [("one", 0)]),
        layer("out", sources),
    ]
    found = find_fault(model(*layers))
    assert re.search(fault, found)
    assert find_fault(model(*layers[:2], model(*layers) | {"name": "inner", "inbound_nodes": []})) == found


@NOTATIONS
def test_a_call_that_waits_for_a_later_one_of_the_same_layer_is_a_fault(layer):
    assert "wait for each other" in find_fault(
        model(
            layer("x", class_name="InputLayer"),
            layer("twice", [("out", 0)], [("x", 0)]),
            layer("out", [("twice", 1)]),
        )
    )


def test_references_among_the_other_arguments_of_a_call_count():
    layers = [keras2("x", class_name="InputLayer"), keras2("out", [("x", 0)])]
    layers[1]["inbound_nodes"][0][0][3] = {"initial_state": [["x", 0, 0], ["out", 3, 0]]}
    assert "takes a tensor from call 3 of 'out'" in find_fault(model(*layers))
    layers[1]["inbound_nodes"][0][0][3] = {"initial_state": ["out", 0, 0]}
    assert "wait for each other (out)" in find_fault(model(*layers))
    layers[1]["inbound_nodes"][0][0][3] = {"initial_state": ["gone", 0, 0]}
    assert "'gone', which is none of its layers" in find_fault(model(*layers))


@pytest.mark.parametrize("number", [None, "0", 0.0, True, [], {}])
def test_what_is_no_number_of_a_call_is_a_fault(number):
    wrong = keras2("out", [("x", number)]), keras3("out", [("x", number)])
    for layer in wrong:
        assert "'out' takes a tensor from call -1 of 'x'" in find_fault(
            model(keras2("x", class_name="InputLayer"), layer)
        )


def test_lists_among_the_arguments_of_keras_3_are_no_references():
    layer = keras3("out", [("x", 0)])
    layer["inbound_nodes"][0]["args"] += [["same", 2, 3], ["a", "b", "c"]]
    assert find_fault(model(keras3("x", class_name="InputLayer"), layer)) == ""


def test_a_hundred_thousand_layers_one_behind_the_other_are_looked_at():
    layers = [keras2(f"l{n}", [(f"l{n - 1}", 0)]) for n in range(100_000, 0, -1)]
    assert (
        find_fault(model(*layers, keras2("l0", class_name="InputLayer")))
        == "its layers are called more than 100,000 times"
    )


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        (["x"], "one of its layers has no name"),
        ([{"class_name": "Dense"}], "one of its layers has no name"),
        ([{"name": "a", "inbound_nodes": {}}], "does not say what it is called with"),
        ([{"name": "a", "inbound_nodes": []}, {"name": "a", "inbound_nodes": []}], "two of its layers are called 'a'"),
    ],
)
def test_layers_that_cannot_be_told_apart_are_a_fault(layers, fault):
    assert fault in find_fault(model(*layers))


def test_models_that_call_their_inner_model_twice_are_not_built():
    inner = keras2("level0", [("x", 0)])
    for depth in range(1, 18):
        layers = [keras2("x", class_name="InputLayer"), inner | {"inbound_nodes": [[["x", 0, 0]], [["x", 0, 0]]]}]
        inner = keras2(f"level{depth}", [("x", 0)], class_name="Functional", layers=layers, output_layers=[])
        few = find_fault(model(keras2("x", class_name="InputLayer"), inner)) == ""
        assert few is (2 ** (depth + 1) < 100_000), depth


@st.composite
def graphs(draw):
    """Draw layers in an order in which they can be called, each taking tensors from earlier calls."""
    layer = draw(st.sampled_from([keras2, keras3]))
    calls = {"x": 1}
    sources = {"x": []}
    for number in range(draw(st.integers(1, 12))):
        name = draw(st.sampled_from([f"layer{number}", *[n for n in calls if n != "x"]]))
        known = [(other, node) for other, count in calls.items() for node in range(count)]
        sources.setdefault(name, []).append(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)))
        calls[name] = calls.get(name, 0) + 1
    layers = [layer(name, *sources[name], class_name="InputLayer" if name == "x" else "Dense") for name in sources]
    return draw(st.permutations(layers)), layer


@given(graphs())
def test_whatever_was_called_in_some_order_can_be_connected(drawn):
    assert find_fault(model(*drawn[0])) == ""


@given(graphs(), st.data())
def test_one_wrong_number_anywhere_is_found(drawn, data):
    layers, layer = drawn
    called = [each for each in layers if each["class_name"] != "InputLayer"]
    broken = data.draw(st.sampled_from(called))
    node = data.draw(st.sampled_from(broken["inbound_nodes"]))
    number = data.draw(st.sampled_from([-1, 99, 10**12]))
    others = [each["name"] for each in layers if each is not broken]
    source = data.draw(st.sampled_from(others))
    if layer is keras2:
        node[0][:2] = [source, number]
    else:
        node["args"][0]["config"]["keras_history"][:2] = [source, number]
    assert f"takes a tensor from call {number} of {source!r}" in find_fault(model(*layers))
