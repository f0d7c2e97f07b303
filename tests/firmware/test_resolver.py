"""Ops of TensorFlow Lite Micro and the methods that register them."""

from pathlib import Path

import pytest

from edge_runner.graph import Operator
from tfcompress.errors import UnsupportedError
from tfcompress.firmware.resolver import registering_method, registering_methods
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import LOOKUP
from tfcompress.tflite.tensors import Subgraph

DATA = Path(__file__).parents[1] / "data"


def op(name: str, *, custom: bool = False, outputs: tuple[int, ...] = (0,)) -> Operator:
    return Operator(name, 1, custom, (), outputs)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("ADD_N", "AddAddN"),
        ("PADV2", "AddPadV2"),
        ("RELU6", "AddRelu6"),
        ("SELECT_V2", "AddSelectV2"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("GELU", None),
    ],
)
def test_a_method_is_called_as_the_resolver_calls_it(name: str, method: str | None) -> None:
    assert registering_method(op(name)) == method


def test_a_custom_op_is_known_by_its_own_name() -> None:
    assert registering_method(op(LOOKUP, custom=True)) == "AddDecode"
    assert registering_method(op("ethos-u", custom=True)) == "AddEthosU"
    assert registering_method(op("ADD", custom=True)) is None  # a custom op that calls itself so


def test_the_methods_of_a_file_are_exactly_its_ops() -> None:
    model = read_model_file((DATA / "blobs_int8.tflite").read_bytes())
    assert registering_methods(model) == ("AddConv2D", "AddFullyConnected", "AddReshape", "AddSoftmax")


def test_an_op_that_is_lacking_is_named_with_its_layer() -> None:
    graph = read_model_file((DATA / "blobs_float.tflite").read_bytes()).subgraphs[0]
    named = next(tensor for tensor in graph.tensors if tensor.name)
    lacking = Subgraph(graph.tensors, (op("GELU", outputs=(named.index,)), *[op("COMPLEX_ABS")] * 4), (), ())
    with pytest.raises(UnsupportedError, match=r"no kernel for GELU \('.+'\); COMPLEX_ABS"):
        registering_methods(FlatModel(0, "", (lacking,), (), {}))
