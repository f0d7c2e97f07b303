"""tfcompress.tflite.slim."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tflite.make_files import FOLDER
from tests.tflite.model_files import (
    FLOAT,
    LEAST_RUNTIME,
    OUR_METADATA,
    THEIR_METADATA,
    UNKNOWN,
    ints,
    made,
    meaning,
    models,
    packed,
    plain,
    unpacked,
)
from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.pack import add_metadata, read_metadata
from tfcompress.tflite.slim import slim
from tfcompress.tflite.tree import Node, parse_tree

HALF_PRECISION = "reduced_precision_support"
"""Metadata that delegates read: how exactly they are to compute."""
EVERY_FILE = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
MANY = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(content=models())
def test_a_slim_file_means_the_same(content: bytes) -> None:
    assert meaning(slim(content)) == meaning(content)


@MANY
@given(content=models())
def test_with_its_names_kept_nothing_of_the_graph_is_missing(content: bytes) -> None:
    assert meaning(slim(content, keep_names=True), names=True) == meaning(content, names=True)


@MANY
@given(content=models(), keep=st.booleans())
def test_slimming_twice_changes_nothing_more(content: bytes, keep: bool) -> None:
    once = slim(content, keep_names=keep)
    assert slim(once, keep_names=keep) == once
    assert len(once) <= len(content)


@MANY
@given(content=models())
def test_constants_stand_on_multiples_of_16_bytes(content: bytes) -> None:
    from ai_edge_litert.schema_py_generated import Model

    small = slim(content)
    model = Model.GetRootAs(small, 0)
    for number in range(model.BuffersLength()):
        table = model.Buffers(number)._tab
        field = table.Offset(4)
        if field:
            assert table.Vector(field) % 16 == 0


@EVERY_FILE
def test_a_converters_file_means_the_same_and_is_smaller(path) -> None:
    content = path.read_bytes()
    small = slim(content)
    assert meaning(small) == meaning(content)
    assert len(small) < len(content)
    assert slim(small) == small


@EVERY_FILE
def test_our_reader_finds_what_it_found_before(path) -> None:
    before, after = read_model_file(path.read_bytes()), read_model_file(slim(path.read_bytes()))
    assert list(after.ops) == list(before.ops)
    assert after.signatures == before.signatures
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert after.macs == before.macs
    for graph, same in zip(before.subgraphs, after.subgraphs, strict=True):
        for old, new in zip(graph.tensors, same.tensors, strict=True):
            assert (old.shape, old.shape_signature, old.dtype, old.variable) == (
                new.shape,
                new.shape_signature,
                new.dtype,
                new.variable,
            )
            assert (old.scales, old.zero_points, old.axis, old.sparse) == (
                new.scales,
                new.zero_points,
                new.axis,
                new.sparse,
            )
            assert np.array_equal(old.data, new.data)


@EVERY_FILE
def test_our_metadata_stays_readable_and_can_be_replaced(path) -> None:
    values = {"labels": ["cat", "dög"]}
    small = slim(add_metadata(path.read_bytes(), values))
    assert read_metadata(small) == values
    assert read_metadata(add_metadata(small, {"version": 2})) == {"version": 2}
    assert meaning(add_metadata(small, values))[0] == meaning(small)[0]


def test_equal_constants_and_vectors_are_written_once(file) -> None:
    small = slim(file("int8"))
    data = [plain(b.data) for b in unpacked(small).buffers]
    assert len({json.dumps(content) for content in data}) == len(data)
    assert data[0] is None
    assert all(content is not None for content in data[1:])


def test_names_inside_the_graph_go_unless_they_are_to_be_kept(file) -> None:
    full = read_model_file(file("int8")).subgraphs[0]
    ends = {*full.inputs, *full.outputs}
    small, named = (read_model_file(slim(file("int8"), keep_names=keep)).subgraphs[0] for keep in (False, True))
    assert [t.name for t in named.tensors] == [t.name for t in full.tensors]
    assert [t.name for t in small.tensors] == [t.name if t.index in ends else "" for t in full.tensors]


def one_constant(**fields) -> bytes:
    """Return a file of one tensor with a constant, and whatever else the root table is to have."""
    tensor = made("Tensor", shape=ints([4]), type=FLOAT, buffer=1, name=b"x")
    graph = made("SubGraph", tensors=[tensor], inputs=ints([0]), outputs=ints([0]), operators=[])
    data = {"data": ints(range(16), "u1")}
    whole = {
        "version": 3,
        "subgraphs": [graph],
        "buffers": [made("Buffer"), made("Buffer", **data)],
        "operatorCodes": [],
    }
    return packed(made("Model", **{**whole, **fields}))


def test_buffers_keep_their_numbers_where_foreign_metadata_may_refer_to_them() -> None:
    twice = [made("Buffer"), *(made("Buffer", data=ints(range(16), "u1")) for _ in range(3))]
    foreign = one_constant(buffers=twice, metadata=[made("Metadata", name=UNKNOWN, buffer=3)])
    assert [plain(b.data) for b in unpacked(slim(foreign)).buffers] == [plain(b.data) for b in twice]
    ours = one_constant(buffers=twice, metadata=[made("Metadata", name=OUR_METADATA, buffer=3)])
    assert len(unpacked(slim(ours)).buffers) == 2


def test_the_converters_record_goes_and_its_constant_with_it() -> None:
    held = [made("Buffer"), *(made("Buffer", data=ints(range(n), "u1")) for n in (16, 90, 17))]
    told = [made("Metadata", name=name, buffer=n) for n, name in ((2, THEIR_METADATA), (3, LEAST_RUNTIME))]
    small = unpacked(slim(one_constant(buffers=held, metadata=told, description=b"MLIR Converted.")))
    assert small.metadata is None
    assert small.description is None
    assert len(small.buffers) == 2


@EVERY_FILE
def test_no_word_is_left_but_names_of_ends_and_signatures(path) -> None:
    model = parse_tree(slim(path.read_bytes()))
    ends = {text for s in model.nodes("signature_defs") for side in ("inputs", "outputs") for text in names(s, side)}
    ends |= {s.text("signature_key") for s in model.nodes("signature_defs")}
    ends |= {HALF_PRECISION}
    for graph in model.nodes("subgraphs"):
        tensors = graph.nodes("tensors")
        ends |= {tensors[n].text("name") for n in (*graph.numbers("inputs"), *graph.numbers("outputs"))}
    found = {text.removesuffix(b"\0") for text in re.findall(rb"[A-Za-z_:/. ]{6,}\0", slim(path.read_bytes()))}
    assert [text for text in sorted(found) if not any(text in end.encode() for end in ends)] == []


def names(signature: Node, side: str) -> list[str]:
    return [entry.text("name") for entry in signature.nodes(side)]


@pytest.mark.parametrize(
    "outside",
    [
        {"buffers": [made("Buffer"), made("Buffer", offset=64, size=16)]},
        {"externalBuffers": [made("ExternalBuffer")]},
    ],
)
def test_constants_outside_the_flatbuffer_are_left_alone(outside) -> None:
    with pytest.raises(UnsupportedError, match="keeps constants outside the flatbuffer"):
        slim(one_constant(**outside) + bytes(80))


def test_large_custom_options_are_left_alone() -> None:
    tensor = made("Tensor", shape=ints([4]), type=FLOAT, buffer=0, name=b"x")
    op = made("Operator", inputs=ints([0]), outputs=ints([0]), largeCustomOptionsOffset=64, largeCustomOptionsSize=3)
    graph = made("SubGraph", tensors=[tensor], inputs=ints([0]), outputs=ints([0]), operators=[op])
    codes = [made("OperatorCode", customCode=b"Ours", builtinCode=32, deprecatedBuiltinCode=32)]
    with pytest.raises(UnsupportedError, match="keeps constants outside the flatbuffer"):
        slim(one_constant(subgraphs=[graph], operatorCodes=codes))


def test_what_is_no_tflite_file_is_refused() -> None:
    with pytest.raises(ModelError, match="not a TFLite file"):
        slim(b"PK\3\4 something else")


def test_a_buffer_that_two_tensors_share_stays_shared(file) -> None:
    tree = parse_tree(slim(file("zeros")))
    numbers = [t.number("buffer") for t in tree.nodes("subgraphs")[0].nodes("tensors")]
    assert max(numbers) < len(tree.nodes("buffers"))
