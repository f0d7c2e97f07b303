import dataclasses
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import flatbuffer, graph
from edge_runner.runtimes import SMALLEST_MODEL

DATA = Path(__file__).parents[1] / "data"
INT8 = (DATA / "blobs_int8.tflite").read_bytes()


def test_a_file_says_what_it_holds():
    facts = flatbuffer.read_facts(INT8)
    assert (facts.version, facts.subgraphs, facts.operators) == (3, 1, len(["CONV", "RESHAPE", "DENSE", "SOFTMAX"]))
    assert (facts.signature, facts.inputs, set(facts.outputs)) == ("serving_default", {"image": 0}, {"scores"})
    assert facts.custom_operators == facts.remarks == ()
    assert {(name, count) for name, _, count in facts.ops} == {
        (name, 1) for name in ("CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX")
    }
    assert "MLIR" in facts.description


def test_inputs_are_named_by_the_signature():
    facts = flatbuffer.read_facts((DATA / "two_inputs.tflite").read_bytes())
    assert set(facts.inputs) == {"length", "width"}
    assert set(facts.outputs) == {"narrow", "wide"}


def test_custom_ops_are_remarked_upon():
    model = dataclasses.replace(graph.read_graph(INT8), custom_operators=("ethos-u", "FlexErf", "mine", "Mfcc"))
    assert flatbuffer.op_remarks(model) == (
        "needs TensorFlow's own ops (FlexErf), which only the tensorflow runtime has",
        "needs custom ops (ethos-u, mine), which no interpreter brings along",
    )


def test_a_file_without_a_signature_has_no_names():
    facts = flatbuffer.read_facts(SMALLEST_MODEL)
    assert (facts.signature, facts.inputs, facts.outputs, facts.operators) == (None, {}, {}, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"TFL3", "the identifier 'TFL3' is missing at byte 4"),
        (b"\x89HDF\r\n\x1a\n" * 9, "the identifier 'TFL3' is missing at byte 4"),
        (b"\xff\xff\xff\x7fTFL3", "an offset points to byte 2147483647 of a file of 8 bytes"),
        (INT8[: len(INT8) // 2], "beyond the end|points to byte"),
    ],
)
def test_what_is_no_whole_model_is_refused(content, message):
    with pytest.raises(flatbuffer.ModelFileError, match=message):
        flatbuffer.read_facts(content)


def test_a_model_of_billions_of_shared_tables_is_refused_after_two_hundred_thousand():
    with pytest.raises(flatbuffer.ModelFileError, match="describes more than 200,000 tables, which no model does"):
        flatbuffer.read_facts(shared_tables(subgraphs=50_000, tensors=50_000))


def test_lists_that_overlap_are_not_read_a_million_times():
    with pytest.raises(flatbuffer.ModelFileError, match="lists hold more than 2,000,000 numbers, which no model's do"):
        flatbuffer.read_facts(shared_tables(subgraphs=1000, tensors=100_000, shape=90_000))


def shared_tables(subgraphs, tensors, shape=0):
    """A small file whose every subgraph is the same one, whose every tensor is, with *shape* extents."""
    head = struct.pack("<I4s", 20, b"TFL3") + struct.pack("<5H2x", 10, 8, 0, 0, 4) + struct.pack("<iI", 12, 4)
    graph_at = 28 + 4 + 4 * subgraphs + 8  # the model at 20 holds one field, at 24: the subgraphs' list, at 28
    tensors_at = graph_at + 8
    tensor_at = tensors_at + 4 + 4 * tensors + 8
    one_field = struct.pack("<3H2x", 6, 8, 4)  # a vtable of one field, four bytes into its table
    return b"".join(
        [
            head,
            struct.pack("<I", subgraphs),
            *(struct.pack("<I", graph_at - (32 + 4 * number)) for number in range(subgraphs)),
            one_field + struct.pack("<iI", 8, 4),
            struct.pack("<I", tensors),
            *(struct.pack("<I", tensor_at - (tensors_at + 4 + 4 * number)) for number in range(tensors)),
            one_field + struct.pack("<iI", 8, 4),
            struct.pack("<I", shape) + bytes(4 * shape),
        ]
    )


def with_number(offset, value):
    return SMALLEST_MODEL[:offset] + value.to_bytes(4, "little") + SMALLEST_MODEL[offset + 4 :]


def places_of(value):
    word = value.to_bytes(4, "little")
    return [at for at in range(0, len(SMALLEST_MODEL) - 3, 4) if SMALLEST_MODEL[at : at + 4] == word]


def test_every_changed_number_of_a_small_file_is_read_or_refused():
    refusals = set()
    for at in range(0, len(SMALLEST_MODEL) - 3, 4):
        for value in (0, 1, 7, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF):
            try:
                flatbuffer.read_facts(with_number(at, value))
            except flatbuffer.ModelFileError as error:
                refusals.add(" ".join(w for w in str(error).split() if not w.strip(",").isdecimal()))
    for expected in (
        "an input or output is tensor and there are",
        "the file holds no subgraph",
        "uses buffer",
    ):
        assert any(expected in refusal for refusal in refusals), refusals


def test_what_tfcompress_noted_of_the_preprocessing_tells_the_range():
    expected = flatbuffer.preprocessed_range({"scale": 1 / 127.5, "mean": [1.0], "std": [], "function": None})
    assert expected[:2] == (pytest.approx(-1), pytest.approx(1))
    by_channel = flatbuffer.preprocessed_range({"scale": 1 / 255, "mean": [0.5, 0.4], "std": [0.25], "function": None})
    assert by_channel[:2] == (pytest.approx((0 - 0.5) / 0.25), pytest.approx((1 - 0.4) / 0.25))


@pytest.mark.parametrize(
    "steps",
    [
        {"scale": None, "mean": [], "std": [], "function": None},
        {"scale": 1 / 255, "mean": [], "std": [], "function": "module:function"},
        {"scale": 1 / 255, "mean": [1.0, 2.0], "std": [1.0, 2.0, 3.0], "function": None},
        {"scale": 1 / 255, "mean": [], "std": [0.0], "function": None},
        {"scale": float("inf"), "mean": [], "std": [], "function": None},
    ],
)
def test_preprocessing_that_tells_no_range_is_passed_over(steps):
    assert flatbuffer.preprocessed_range(steps) is None


def quantizing(kind="INT8", scales=(0.5,), op="QUANTIZE"):
    """A model of a float input that is quantized at once."""
    given = graph.FileTensor("x", "FLOAT32", (1, 2), (), 0, 0, False, False, False, graph.Quantization())
    stored = dataclasses.replace(given, type=kind, quantization=graph.Quantization(scales, (-1,) * len(scales)))
    behind = graph.Operator(op, 1, False, (0,), (1,), (), ())
    return graph.Graph(3, "", (graph.FileSubgraph((given, stored), (0,), (1,), (behind,)),), (), (), {}, ())


def test_a_float_input_that_is_quantized_at_once_tells_its_range_by_that():
    (expected,) = flatbuffer.expected_ranges(quantizing(), b"").values()
    assert expected[:2] == ((-128 + 1) * 0.5, (127 + 1) * 0.5)
    assert "right behind the input" in expected.why
    (expected,) = flatbuffer.expected_ranges(quantizing("UINT8"), b"").values()
    assert expected[:2] == (0.5, 128)


@pytest.mark.parametrize("model", [quantizing("INT32"), quantizing(scales=()), quantizing(op="ADD")])
def test_otherwise_a_float_input_tells_nothing(model):
    assert flatbuffer.expected_ranges(model, b"") == {}


def test_the_note_is_found_in_the_file():
    from tfcompress.tflite.pack import add_metadata

    steps = {"scale": 1 / 255, "mean": [], "std": [], "function": None}
    content = (DATA / "blobs_float.tflite").read_bytes()
    assert flatbuffer.read_facts(content).expects == {}
    noted = flatbuffer.read_facts(add_metadata(content, {"preprocessing": steps})).expects
    assert [(e.low, e.high) for e in noted.values()] == [(0, pytest.approx(1))]
    assert flatbuffer.read_facts(add_metadata(content, {"preprocessing": "none"})).expects == {}


@settings(deadline=None)
@given(st.integers(0, len(INT8)))
def test_a_truncated_file_is_read_or_refused(length):
    try:
        flatbuffer.read_facts(INT8[:length])
    except flatbuffer.ModelFileError:
        assert length < len(INT8)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(INT8) - 1), st.integers(0, 255)), max_size=8))
def test_a_scrambled_file_is_read_or_refused(changes):
    content = bytearray(INT8)
    for place, value in changes:
        content[place] = value
    try:
        facts = flatbuffer.read_facts(bytes(content))
    except flatbuffer.ModelFileError:
        return
    assert facts.subgraphs >= 1
