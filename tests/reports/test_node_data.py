"""What Model Explorer colours a graph by."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.reports.test_layer_changes import report_of, timed
from tests.tflite.make_files import FOLDER
from tfcompress.reports.node_data import NODE_QUANTITIES, node_data
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.weights import bits_by_op


def values(text: str) -> dict[str, float]:
    graph = json.loads(text)["main"]
    assert [stop["stop"] for stop in graph["gradient"]] == [0, 0.5, 1]
    return {place: found["value"] for place, found in graph["results"].items()}


def test_the_error_of_a_layer_is_at_the_op_that_ends_it_and_times_are_where_they_were_taken() -> None:
    report = dataclasses.replace(report_of(), edge=(timed(0.1, 2.0, None, 0.5, 0.25),))
    found = node_data(report, {1: 8, 3: 4})
    assert list(found) == list(NODE_QUANTITIES)
    assert values(found["error"]) == {"1": 35.25}
    assert values(found["time"]) == {"0": 0.1, "1": 2.0, "3": 0.5, "4": 0.25}
    assert values(found["bits"]) == {"1": 8.0, "3": 4.0}


def test_what_nothing_is_known_of_has_no_file() -> None:
    assert list(node_data(report_of(), {})) == ["error"]


@pytest.mark.parametrize(("name", "bits"), [("int8", 8), ("none", 32), ("float16", 16)])
def test_bits_are_those_of_the_kernels_in_the_file(name: str, bits: int) -> None:
    graph = read_model_file((FOLDER / f"{name}.tflite").read_bytes()).subgraphs[0]
    found = bits_by_op(graph)
    assert found
    assert set(found.values()) == {bits}
    assert all(graph.ops[place].name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") for place in found)


def plain(made: Any) -> Mapping[str, Any]:
    """Return what Model Explorer gives as a mapping in one release, as an object in another."""
    return made if isinstance(made, dict) else vars(made)


def test_model_explorer_finds_each_op_and_reads_the_values_back() -> None:
    pytest.importorskip("model_explorer", reason="needs ai-edge-model-explorer")
    from model_explorer import node_data_builder
    from model_explorer.builtin_tflite_flatbuffer_adapter import BuiltinTfliteFlatbufferAdapter

    file = FOLDER / "int8.tflite"
    graph = read_model_file(file.read_bytes()).subgraphs[0]
    (text,) = node_data(report_of(after=()), bits_by_op(graph)).values()
    collection = plain(BuiltinTfliteFlatbufferAdapter().convert(str(file), {})["graphCollections"][0])
    (theirs,) = (each for each in map(plain, collection["graphs"]) if each["id"] == "main")
    labels = {node["id"]: node["label"] for node in map(plain, theirs["nodes"])}
    found = json.loads(text)["main"]
    assert {place: labels[place].upper() for place in found["results"]} == {
        str(place): graph.ops[place].name for place in bits_by_op(graph)
    }
    results = {place: node_data_builder.NodeDataResult(**value) for place, value in found["results"].items()}
    gradient = [node_data_builder.GradientItem(**stop) for stop in found["gradient"]]
    read = node_data_builder.GraphNodeData(results=results, name=found["name"], gradient=gradient)
    again = json.loads(node_data_builder.ModelNodeData({"main": read}).to_json_string())
    assert again["main"]["results"] == found["results"]
    assert [stop["bgColor"] for stop in again["main"]["gradient"]] == [stop["bgColor"] for stop in found["gradient"]]
