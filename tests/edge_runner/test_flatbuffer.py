from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import flatbuffer
from edge_runner.runtimes import SMALLEST_MODEL

DATA = Path(__file__).parents[1] / "data"
INT8 = (DATA / "blobs_int8.tflite").read_bytes()


def test_a_file_says_what_it_holds():
    facts = flatbuffer.read(INT8)
    assert (facts.version, facts.subgraphs, facts.operators) == (3, 1, len(["CONV", "RESHAPE", "DENSE", "SOFTMAX"]))
    assert (facts.signature, facts.inputs, set(facts.outputs)) == ("serving_default", {"image": 0}, {"scores"})
    assert facts.custom_operators == ()
    assert "MLIR" in facts.description


def test_inputs_are_named_by_the_signature():
    facts = flatbuffer.read((DATA / "two_inputs.tflite").read_bytes())
    assert set(facts.inputs) == {"length", "width"}
    assert set(facts.outputs) == {"narrow", "wide"}


def test_a_file_without_a_signature_has_no_names():
    facts = flatbuffer.read(SMALLEST_MODEL)
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
        flatbuffer.read(content)


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
                flatbuffer.read(with_number(at, value))
            except flatbuffer.ModelFileError as error:
                refusals.add(" ".join(w for w in str(error).split() if not w.strip(",").isdecimal()))
    for expected in (
        "an input or output is tensor and there are",
        "the file holds no subgraph",
        "tensor uses buffer and there are",
    ):
        assert any(expected in refusal for refusal in refusals), refusals


@given(st.integers(0, len(INT8)))
def test_a_truncated_file_is_read_or_refused(length):
    try:
        flatbuffer.read(INT8[:length])
    except flatbuffer.ModelFileError:
        assert length < len(INT8)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(INT8) - 1), st.integers(0, 255)), max_size=8))
def test_a_scrambled_file_is_read_or_refused(changes):
    content = bytearray(INT8)
    for place, value in changes:
        content[place] = value
    try:
        facts = flatbuffer.read(bytes(content))
    except flatbuffer.ModelFileError:
        return
    assert facts.subgraphs >= 1
