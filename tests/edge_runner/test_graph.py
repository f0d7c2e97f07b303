from pathlib import Path

import pytest

from edge_runner import graph, opnames
from edge_runner.graph import FileTensor, Quantization

DATA = Path(__file__).parents[1] / "data"


def main_of(name):
    return graph.read_graph((DATA / name).read_bytes()).subgraphs[0]


def test_ops_come_in_the_order_in_which_they_run():
    main = main_of("blobs_int8.tflite")
    assert [operator.name for operator in main.operators] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert main.operators[0].inputs[0] == main.inputs[0]
    assert main.operators[-1].outputs == main.outputs
    assert not any(operator.custom for operator in main.operators)


def test_tensors_say_shape_type_and_quantization():
    main = main_of("blobs_int8.tflite")
    image = main.tensors[main.inputs[0]]
    assert (image.shape, image.type, image.constant, image.size_bytes) == ((1, 8, 8, 1), "INT8", False, 64)
    assert len(image.quantization.scales) == len(image.quantization.zero_points) == 1
    kernel = main.tensors[main.operators[0].inputs[1]]
    assert (kernel.shape, kernel.constant, kernel.buffer_bytes) == ((6, 3, 3, 1), True, 6 * 3 * 3)
    assert len(kernel.quantization.scales) == 6


def test_what_an_lstm_remembers_is_a_variable():
    assert sum(tensor.is_variable for tensor in main_of("lstm.tflite").tensors) == len(["hidden", "cell"])


@pytest.mark.parametrize(
    ("kind", "size"), [("FLOAT32", 60), ("INT4", 8), ("INT2", 4), ("INT64", 120), ("STRING", None)]
)
def test_small_elements_share_bytes(kind, size):
    assert FileTensor("x", kind, (3, 5), (), 0, 0, False, False, False, Quantization()).size_bytes == size


def test_ops_newer_than_the_table_have_a_number_for_a_name():
    assert (opnames.op_name(3), opnames.op_name(209), opnames.op_name(300)) == ("CONV_2D", "STABLEHLO_CASE", "OP_300")


def test_the_names_are_those_of_the_installed_schema():
    from ai_edge_litert import schema_py_generated as schema

    known = {value: key for key, value in vars(schema.BuiltinOperator).items() if not key.startswith("_")}
    assert [known[number] for number in range(len(opnames.BUILTIN))] == list(opnames.BUILTIN)
    types = {value: key for key, value in vars(schema.TensorType).items() if not key.startswith("_")}
    shared = min(len(types), len(opnames.TYPES))
    assert [types[number] for number in range(shared)] == list(opnames.TYPES[:shared])
