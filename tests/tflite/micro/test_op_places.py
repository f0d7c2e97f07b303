"""tfcompress.tflite.micro.op_places."""

from __future__ import annotations

import dataclasses

import pytest

from edge_runner.graph import Operator
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
        ("net/norm_square_1/Mul", ("norm", "dense"), "norm"),
        ("net/norm_square_1/Mul", ("norm", "norm_square", "dense"), "norm_square"),
        ("net/norm_last_square/Mul", ("norm", "norm_last"), "norm_last"),
        ("net/normal/Mul", ("norm",), ""),
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


def named(*names: str, ends: bool = True) -> OpPlaces:
    """A chain of ops, each of which gives a tensor of a name; the first takes the input."""
    tensors = [
        dataclasses.replace(FLAT.subgraphs[0].tensors[0], index=number, name=name)
        for number, name in enumerate(("input", *names))
    ]
    ops = tuple(Operator("MEAN", 1, custom=False, inputs=(n,), outputs=(n + 1,)) for n in range(len(names)))
    graph = dataclasses.replace(FLAT.subgraphs[0], tensors=tuple(tensors), ops=ops, inputs=(0,), outputs=(len(names),))
    signature = dataclasses.replace(FLAT.signatures[0], inputs={"input": 0}, outputs={"output": len(names)})
    flat = dataclasses.replace(FLAT, subgraphs=(graph,), signatures=(signature,))
    return OpPlaces(flat, layers=("first", "norm", "head"), ends={"output": "head"} if ends else {})


@pytest.mark.parametrize(
    ("names", "number", "where"),
    [
        (("net/first/x", "net/Mean", "net/norm_mul/Mul", "call:0"), 1, "layer 'norm'"),  # before a part of it
        (("net/first/x", "net/norm_mul/Mul", "net/Pack", "call:0"), 2, "layer 'norm'"),  # behind one
        (("net/first/x", "net/strided_slice", "net/head/x", "call:0"), 1, "between layer 'first' and layer 'head'"),
        (("net/strided_slice", "net/head/x", "call:0"), 0, "before layer 'head'"),
        (("net/norm/a", "net/Reshape", "net/norm/b", "call:0"), 1, "layer 'norm'"),
        (("net/first/x", "call:0"), 1, "layer 'head'"),  # what makes the output
    ],
)
def test_an_op_without_a_name_of_its_own_is_where_its_neighbours_are(names, number: int, where: str) -> None:
    at = "" if where.startswith(("between", "before")) else "at "
    assert named(*names).of(number) == f"MEAN {at}{where}"


def test_the_one_layer_with_weights_that_no_op_is_named_after_is_the_op_without_a_name() -> None:
    places = named("tfl.lstm", "call:0")
    assert places.of(0) == "MEAN before layer 'head'"
    assert dataclasses.replace(places, weighted=frozenset({"norm", "head"})).of(0) == "MEAN at layer 'norm'"
    assert dataclasses.replace(places, weighted=frozenset({"first", "norm"})).of(0) == "MEAN before layer 'head'"


def test_what_nothing_is_known_around_is_called_by_its_tensor() -> None:
    assert named("a", "b", ends=False).of(1) == "MEAN at 'b'"


def test_an_op_in_a_subgraph_is_where_the_op_is_that_runs_it() -> None:
    content = (FOLDER / "loop.tflite").read_bytes()
    flat = read_model_file(content)
    (loop,) = (op for op in flat.subgraphs[0].ops if op.calls)
    assert "TANH" not in {op.name for op in flat.subgraphs[0].ops}
    name = next(t.name for t in flat.subgraphs[0].tensors if t.index == loop.outputs[0])
    layer = next(part for part in name.split("/") if part)
    assert OpPlaces(flat, layers=(layer,)).all_of("TANH") == f"layer {layer!r}"
