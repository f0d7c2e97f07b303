"""tfcompress.tflite.tree and tree_writer."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from flatbuffers import Builder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tflite.make_files import FOLDER
from tests.tflite.model_files import made, meaning, models, packed, plain, unpacked
from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.tflite import tree
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.pack import add_metadata, read_metadata
from tfcompress.tflite.rearrange import with_unique_names
from tfcompress.tflite.slim import slim
from tfcompress.tflite.tree import Node, Numbers, Text, parse_tree
from tfcompress.tflite.tree_writer import write_tree

MANY = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(MANY, max_examples=20)


@MANY
@given(content=models())
def test_a_tree_that_is_written_reads_back_and_the_schemas_classes_see_the_same(content: bytes) -> None:
    again = write_tree(parse_tree(content))
    assert parse_tree(again) == parse_tree(content)
    assert plain(unpacked(again)) == plain(unpacked(content))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
def test_writing_a_converters_file_again_loses_nothing_but_bytes(path) -> None:
    content = path.read_bytes()
    again = write_tree(parse_tree(content))
    assert plain(unpacked(again)) == plain(unpacked(content))
    assert len(again) < len(content)


@MANY
@given(
    texts=st.lists(st.binary(max_size=9), min_size=1, max_size=6),
    longs=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
)
def test_every_vector_stands_on_a_multiple_of_its_items(texts: list[bytes], longs: list[int]) -> None:
    scale = Numbers(8, struct.pack(f"<{len(longs)}q", *longs))
    tensors = tuple(Node("Tensor", {"name": Text(text)}) for text in texts)
    quantized = Node("Tensor", {"quantization": Node("QuantizationParameters", {"zero_point": scale})})
    root = Node("Model", {"subgraphs": (Node("SubGraph", {"tensors": (*tensors, quantized)}),)})
    content = write_tree(root)
    assert parse_tree(content) == root
    if longs:
        size = len(scale.content)
        assert any(content[place : place + size] == scale.content for place in range(0, len(content), 8))


def test_what_is_equal_is_written_once() -> None:
    one, two = (Node("Tensor", {"name": Text(b"a name of some length"), "shape": Numbers(4, bytes(8))}) for _ in "ab")
    content = write_tree(Node("Model", {"subgraphs": (Node("SubGraph", {"tensors": (one, two)}),)}))
    assert content.count(b"a name of some length") == 1
    single = write_tree(Node("Model", {"subgraphs": (Node("SubGraph", {"tensors": (one,)}),)}))
    assert len(content) == len(single) + 4


def test_numbers_are_read_and_stored_as_the_schema_has_them() -> None:
    node = Node("Tensor", {}).having(buffer=7, type=-1, name=Text(b"x"))
    assert node.fields == {"buffer": b"\7\0\0\0", "type": b"\xff", "name": Text(b"x")}
    assert (node.number("buffer"), node.number("type"), node.text("name")) == (7, -1, "x")
    assert node.having(name=None, buffer=0).fields == {"type": b"\xff"}
    assert Node("Conv2DOptions", {}).number("dilation_wfactor") == 1
    assert Node("Conv2DOptions", {}).having(dilation_wfactor=1).fields == {}


def test_a_float_default_is_told_from_minus_zero() -> None:
    node = Node("Model", {"subgraphs": (Node("SubGraph", {"operators": (softmax(-0.0), softmax(0.0))}),)})
    found = [op.node("builtin_options") for op in parse_tree(write_tree(node)).nodes("subgraphs")[0].nodes("operators")]
    assert [options.fields for options in found if options] == [{"beta": struct.pack("<f", -0.0)}, {}]


def softmax(beta: float) -> Node:
    options = Node("SoftmaxOptions", {"beta": struct.pack("<f", beta)})
    return Node("Operator", {"builtin_options_type": b"\x09", "builtin_options": options})


def test_a_field_that_a_newer_schema_has_is_refused() -> None:
    builder = Builder(64)
    builder.StartObject(31)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependInt32Slot(30, 5, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    with pytest.raises(UnsupportedError, match="the file holds field 30 of Model, which this version does not know"):
        parse_tree(bytes(builder.Output()))


def test_options_that_a_newer_schema_has_are_refused() -> None:
    op = made("Operator", builtinOptionsType=126, builtinOptions=made("AddOptions"))
    content = packed(made("Model", subgraphs=[made("SubGraph", operators=[op])], buffers=[]))
    place = content.index(bytes([126]))
    with pytest.raises(UnsupportedError, match="the file holds BuiltinOptions of type 250, which this version"):
        parse_tree(content[:place] + bytes([250]) + content[place + 1 :])


@pytest.mark.parametrize("size", [8, 40, 400, 4000])
def test_a_file_that_was_cut_off_is_malformed(file, size: int) -> None:
    with pytest.raises(ModelError, match="malformed TFLite file"):
        parse_tree(file("int8")[:size])


def test_the_table_knows_every_field_of_the_installed_schema() -> None:
    from tools.make_schema_table import schema_table

    installed, known = schema_table(), tree.schema()
    assert len(installed["tables"]) > 100
    for name, fields in installed["tables"].items():
        assert known["tables"][name][: len(fields)] == fields
    for name, members in installed["unions"].items():
        assert known["unions"][name].items() >= members.items()


@FEW
@given(content=models(), data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(content: bytes, data: st.DataObject) -> None:
    """Cut off anywhere, or with bytes of another value: whatever comes out, it is no traceback."""
    damaged = bytearray(content[: data.draw(st.integers(8, len(content)))])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=3)):
        damaged[place] = data.draw(st.integers(0, 255))
    reads = (parse_tree, slim, with_unique_names, lambda file: add_metadata(file, {"a": 1}))
    refusals = [refusal for read in reads if (refusal := refused(read, bytes(damaged))) is not None]
    assert all("\n" not in refusal and len(refusal) > 20 for refusal in refusals)


def refused(read: Callable[[bytes], object], content: bytes) -> str | None:
    """Return why a file is refused; None: it is not."""
    try:
        read(content)
    except (ModelError, UnsupportedError) as error:
        return str(error)
    return None


@FEW
@given(content=models(), keep_names=st.booleans())
def test_what_is_slim_stays_as_it_is(content: bytes, keep_names: bool) -> None:
    once = slim(content, keep_names=keep_names)
    assert slim(once, keep_names=keep_names) == once
    assert write_tree(parse_tree(once)) == once
    assert meaning(once, names=keep_names) == meaning(content, names=keep_names)


@FEW
@given(content=models())
def test_metadata_and_new_names_change_nothing_else_of_any_file(content: bytes) -> None:
    own = meaning(content)[1]
    told = add_metadata(content, {"version": 2})
    graph, kept = meaning(told)
    assert graph == meaning(content)[0]
    ours = b"TFCOMPRESS_METADATA"
    assert {name: value for name, value in kept.items() if name != ours} == {n: v for n, v in own.items() if n != ours}
    assert read_metadata(told) == {"version": 2}
    named = with_unique_names(content)
    for before, after in zip(read_model_file(content).tensor_names, read_model_file(named).tensor_names, strict=True):
        given_names = [name for name in after if name]
        assert len(set(given_names)) == len(given_names)
        assert all(new == old or new.startswith(f"{old}_") for old, new in zip(before, after, strict=True))
        assert {name for name in before if name} <= set(after), "the first of each name keeps it"
    assert with_unique_names(named) == named
