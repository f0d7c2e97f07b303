"""tfcompress.tflite.micro.op_places."""

from __future__ import annotations

import pytest

from tests.tflite.make_files import FOLDER
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.op_places import OpPlaces, layer_named
from tfcompress.tflite.slim import slim

CONTENT = (FOLDER / "tokens.tflite").read_bytes()
FLAT = read_model_file(CONTENT)
NUMBER = next(number for number, op in enumerate(FLAT.subgraphs[0].ops) if op.name == "SELECT")


@pytest.mark.parametrize(
    ("tensor", "layers", "found"),
    [
        ("net/stem/Relu;net/stem/BiasAdd", ("stem", "head"), "stem"),
        ("net/block/conv/Conv2D", ("block", "conv"), "conv"),
        ("net/dense_1/MatMul", ("dense", "dense_1"), "dense_1"),
        ("net_1/dense_1/MatMul", ("dense",), "dense"),
        ("StatefulPartitionedCall:0", ("dense",), ""),
        ("", ("dense",), ""),
    ],
)
def test_a_layer_is_a_part_of_the_path(tensor: str, layers: tuple[str, ...], found: str) -> None:
    assert layer_named(tensor, layers) == found


def test_an_op_is_called_by_its_layer_else_by_its_tensor_else_by_its_place() -> None:
    tensor = "'sequential_2_1/embedding_1/SelectV2'"
    assert OpPlaces(FLAT, layers=("embedding",)).of(NUMBER) == "SELECT at layer 'embedding'"
    assert OpPlaces(FLAT).of(NUMBER) == f"SELECT at {tensor}"
    packed = read_model_file(slim(CONTENT))
    assert OpPlaces(packed).of(NUMBER) == f"SELECT at op {NUMBER} of {len(FLAT.subgraphs[0].ops)}"
    assert OpPlaces(packed, FLAT.tensor_names).of(NUMBER) == f"SELECT at {tensor}"


def test_an_op_that_is_in_no_main_graph_has_a_number() -> None:
    assert OpPlaces(FLAT).of(99, "ADD") == "ADD (number 99)"
    assert OpPlaces(FLAT).all_of("CONV_3D") == "in a subgraph"
