"""Each rule, broken on a model that keeps all of them."""

import dataclasses
import struct
from pathlib import Path

import pytest

from edge_runner import check, graph
from edge_runner.cursor import ModelFileError
from edge_runner.graph import FileTensor, Operator, Quantization

DATA = Path(__file__).parents[1] / "data"
CONTENT = (DATA / "blobs_int8.tflite").read_bytes()
WHOLE = graph.read_graph(CONTENT)
MAIN = WHOLE.subgraphs[0]
PLAIN = FileTensor("x", "FLOAT32", (1, 2), (), 0, 0, False, False, False, Quantization())


def changed(**fields):
    return dataclasses.replace(WHOLE, subgraphs=(dataclasses.replace(MAIN, **fields),))


def with_tensor(index, **fields):
    tensors = list(MAIN.tensors)
    tensors[index] = dataclasses.replace(tensors[index], **fields)
    return changed(tensors=tuple(tensors))


def with_op(index, **fields):
    operators = list(MAIN.operators)
    operators[index] = dataclasses.replace(operators[index], **fields)
    return changed(operators=tuple(operators))


CONSTANT = next(index for index, tensor in enumerate(MAIN.tensors) if tensor.constant and len(tensor.shape) > 1)
ENTRY, EXIT = MAIN.inputs[0], MAIN.outputs[0]


@pytest.mark.parametrize("name", ["blobs_float", "blobs_int8", "two_inputs", "lstm"])
def test_models_that_run_keep_every_rule(name):
    content = (DATA / f"{name}.tflite").read_bytes()
    check.check_can_run(graph.read_graph(content), content, memory_bytes=1_000_000)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (dataclasses.replace(WHOLE, subgraphs=()), "the file holds no subgraph"),
        (with_tensor(ENTRY, shape=(1, 8, -8, 1)), r"tensor \d+ has the impossible shape \[1, 8, -8, 1\]"),
        (with_tensor(ENTRY, shape=(1,) * 33), r"tensor \d+ has the impossible shape \[1, 1, 1, 1, 1, 1, 1, 1\]…"),
        (with_tensor(ENTRY, signature=(-1, 8)), r"has the shape \[1, 8, 8, 1\] and the shape signature \[-1, 8\]"),
        (with_tensor(ENTRY, signature=(-2, 8, 8, 1)), r"and the shape signature \[-2, 8, 8, 1\]"),
        (with_tensor(ENTRY, shape=(1 << 20, 1 << 20)), "would take 1,099,511,627,776 bytes, more than this machine's"),
        (with_tensor(CONSTANT, buffer_bytes=3), r"takes \d+ bytes, and its buffer \d+ holds 3"),
        (with_tensor(CONSTANT, quantization=Quantization((0.1, 0.2), (0, 0, 0))), "has 2 scales and 3 zero points"),
        (with_tensor(CONSTANT, quantization=Quantization((0.1,) * 99, (0,), 0)), "has 99 scales along axis 0"),
        (with_tensor(CONSTANT, quantization=Quantization((0.1,) * 99, (0,), 7)), "has 99 scales along axis 7"),
        (with_tensor(CONSTANT, quantization=Quantization((float("nan"),), (0,))), "has a scale that is not finite"),
        (with_tensor(ENTRY, quantization=Quantization(blockwise=99)), r"takes its scales from tensor 99, and there"),
        (changed(inputs=(99,)), r"an input or output is tensor 99, and there are \d+"),
        (changed(outputs=(-1,)), r"an input or output is tensor -1, and there are \d+"),
        (with_op(0, version=0), r"op 0 \(CONV_2D\) has the impossible version 0"),
        (with_op(0, version=100), r"op 0 \(CONV_2D\) has the impossible version 100"),
        (with_op(0, inputs=(99,)), r"op 0 \(CONV_2D\) uses tensor 99, and there are \d+"),
        (with_op(0, outputs=(-2,)), r"op 0 \(CONV_2D\) uses tensor -2, and there are \d+"),
        (with_op(0, inputs=(EXIT,)), r"op 0 \(CONV_2D\) reads tensor \d+, which nothing before it has written"),
        (with_op(0, outputs=(CONSTANT,)), r"op 0 \(CONV_2D\) writes tensor \d+, which is a constant or its own input"),
        (with_op(0, outputs=(ENTRY,)), r"op 0 \(CONV_2D\) writes tensor \d+, which is a constant or its own input"),
        (changed(operators=()), r"the output tensor \d+ is written by nothing"),
        (with_op(0, calls=(1,)), "an op runs subgraph 1, and there are 1"),
        (with_op(0, calls=(-1,)), "an op runs subgraph -1, and there are 1"),
        (with_op(0, calls=(0,)), "a subgraph runs itself, directly or through others"),
        (dataclasses.replace(WHOLE, metadata={"note": 99}), "metadata 'note' is in buffer 99, and there are"),
        (
            dataclasses.replace(WHOLE, signatures=(graph.FileSignature("serve", 1, {}, {}),)),
            "signature 'serve' is of subgraph 1; there are 1",
        ),
        (
            dataclasses.replace(WHOLE, signatures=(graph.FileSignature("serve", 0, {"x": 99}, {}),)),
            "the signature names tensor 99, and there are",
        ),
    ],
)
def test_a_broken_rule_is_named(broken, message):
    with pytest.raises(ModelFileError, match=message):
        check.check_can_run(broken, CONTENT, memory_bytes=1_000_000_000)


def test_what_the_runtimes_allow_is_allowed():
    check.check_can_run(with_op(0, inputs=(*MAIN.operators[0].inputs, -1)), CONTENT)  # an optional tensor left out
    check.check_can_run(
        with_tensor(CONSTANT, sparse=True, buffer_bytes=3), CONTENT
    )  # only the non-zero values are there
    check.check_can_run(with_tensor(ENTRY, shape=(1 << 20, 1 << 20)), CONTENT)  # some machine may have that memory
    scratch = dataclasses.replace(MAIN, tensors=(*MAIN.tensors, PLAIN))
    custom = Operator("mine", 1, True, (ENTRY, len(MAIN.tensors)), MAIN.operators[0].outputs, (), ())
    operators = (custom, *MAIN.operators[1:])
    check.check_can_run(
        dataclasses.replace(WHOLE, subgraphs=(dataclasses.replace(scratch, operators=operators),)), CONTENT
    )


@pytest.mark.parametrize(
    ("kind", "state", "sound"), [("INT8", "INT16", True), ("INT8", "INT8", False), ("FLOAT32", "FLOAT32", True)]
)
def test_a_state_that_interpreters_take_for_a_larger_one_is_refused(kind, state, sound):
    tensors = [dataclasses.replace(PLAIN, type=kind)] * 4 + [dataclasses.replace(PLAIN, type=state, is_variable=True)]
    svdf = Operator("SVDF", 3, False, (0, 1, 2, 3, 4), (5,), (), ())
    subgraph = graph.FileSubgraph((*tensors, PLAIN), (0, 1, 2, 3), (5,), (svdf,))
    model = dataclasses.replace(WHOLE, subgraphs=(subgraph,), signatures=())
    if sound:
        check.check_can_run(model, CONTENT)
    else:
        with pytest.raises(
            ModelFileError, match=r"op 0 \(SVDF\) keeps a state of INT8, which only TensorFlow Lite Micro"
        ):
            check.check_can_run(model, CONTENT)


def test_subgraphs_that_call_each_other_in_a_circle_are_refused():
    def calling(number):
        call = Operator("WHILE", 1, False, (0,), (1,), (), (number,))
        return graph.FileSubgraph((PLAIN, PLAIN), (0,), (1,), (call,))

    circle = dataclasses.replace(WHOLE, subgraphs=(calling(1), calling(2), calling(1)), signatures=())
    with pytest.raises(ModelFileError, match="a subgraph runs itself, directly or through others"):
        check.check_can_run(circle, CONTENT)
    leaf = graph.FileSubgraph((PLAIN,), (0,), (0,), ())
    check.check_can_run(dataclasses.replace(circle, subgraphs=(calling(1), calling(2), leaf)), CONTENT)


def strings(content):
    """A model of one constant of strings, and the bytes of its file: only that constant."""
    tensor = dataclasses.replace(PLAIN, type="STRING", buffer_bytes=len(content))
    return dataclasses.replace(
        WHOLE,
        subgraphs=(graph.FileSubgraph((tensor,), (), (0,), ()),),
        buffers=(graph.Buffer(0, len(content)),),
        signatures=(),
        metadata={},
    )


def test_a_list_of_strings_is_followed_to_its_end():
    content = struct.pack("<4i", 2, 16, 18, 21) + b"abcde"
    check.check_can_run(strings(content), content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab", "its buffer of 2 bytes is no list of strings"),
        (struct.pack("<i", 1 << 30), "its buffer of 4 bytes is no list of strings"),
        (struct.pack("<i", -1), "its buffer of 4 bytes is no list of strings"),
        (struct.pack("<4i", 2, 16, 18, 99), "a string of its buffer lies outside it"),
        (struct.pack("<4i", 2, 16, 12, 16), "a string of its buffer lies outside it"),
        (struct.pack("<4i", 2, 0, 8, 16), "a string of its buffer lies outside it"),
    ],
)
def test_a_list_of_strings_that_leads_outside_is_refused(content, message):
    with pytest.raises(ModelFileError, match=message):
        check.check_can_run(strings(content), content)
