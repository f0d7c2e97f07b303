"""tfcompress.tflite.pack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.flatbuffer import read_facts
from tests.tflite.make_files import FOLDER
from tfcompress.errors import ModelError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.pack import METADATA_NAME, add_metadata, data_free_note, read_metadata

VALUES = {"labels": ["cat", "dög"], "recipe": {"seed": 0}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=50)
@given(values=st.dictionaries(st.text(max_size=8), JSON, max_size=4), name=st.sampled_from(["int8", "lstm", "sparse"]))
def test_what_was_stored_is_read_again(values: dict[str, object], name: str) -> None:
    content = (FOLDER / f"{name}.tflite").read_bytes()
    assert read_metadata(add_metadata(content, values)) == values


def test_a_file_without_our_metadata_has_none(file) -> None:
    assert read_metadata(file("int8")) is None


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tflite")), ids=lambda path: path.stem)
def test_ops_tensors_and_other_metadata_stay_as_they_were(path) -> None:
    before, after = read_model_file(path.read_bytes()), read_model_file(add_metadata(path.read_bytes(), VALUES))
    assert list(after.ops) == list(before.ops)
    assert after.subgraphs == before.subgraphs
    assert after.signatures == before.signatures
    assert {**after.metadata, METADATA_NAME: b""} == {**before.metadata, METADATA_NAME: b""}
    for old, new in zip(before.subgraphs[0].tensors, after.subgraphs[0].tensors, strict=True):
        assert np.array_equal(old.data, new.data)


def test_adding_twice_replaces(file) -> None:
    content = file("int8")
    once = add_metadata(content, {"version": 2})
    assert add_metadata(add_metadata(content, VALUES), {"version": 2}) == once
    assert read_metadata(once) == {"version": 2}


def test_the_file_itself_is_kept_byte_by_byte_on_a_16_byte_boundary(file) -> None:
    content = file("int8")
    packed = add_metadata(content, VALUES)
    assert packed.endswith(content)
    assert (len(packed) - len(content)) % 16 == 0


def test_it_costs_the_json_four_bytes_a_buffer_and_a_little(file) -> None:
    content = file("int8")
    grown = len(add_metadata(content, {})) - len(content)
    assert grown < 200 + 4 * 40


def test_the_packed_file_runs_as_before_and_the_schema_classes_read_it(file, images) -> None:
    from ai_edge_litert import schema_py_generated

    content = file("int8")
    packed = add_metadata(content, VALUES)
    with InterpreterProcess(content) as one, InterpreterProcess(packed) as other:
        assert np.array_equal(one.run(images)["scores"], other.run(images)["scores"])
    model = schema_py_generated.ModelT.InitFromPackedBuf(packed, 0)
    assert [entry.name.decode() for entry in model.metadata][-1] == METADATA_NAME
    assert b"labels" in bytes(model.buffers[model.metadata[-1].buffer].data)


def test_metadata_of_another_tool_under_our_name_is_replaced_and_must_be_json(file) -> None:
    from ai_edge_litert import schema_py_generated
    from flatbuffers import Builder

    model = schema_py_generated.ModelT.InitFromPackedBuf(add_metadata(file("int8"), VALUES), 0)
    model.buffers[model.metadata[-1].buffer].data = np.frombuffer(b"not json", np.uint8)
    builder = Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    foreign = bytes(builder.Output())
    with pytest.raises(ModelError, match="metadata TFCOMPRESS_METADATA must be JSON, got b'not json'"):
        read_metadata(foreign)
    assert read_metadata(add_metadata(foreign, VALUES)) == VALUES
    assert read_metadata(add_metadata(add_metadata(foreign, VALUES), {})) == {}


def test_what_is_no_tflite_file_takes_no_metadata() -> None:
    with pytest.raises(ModelError, match="not a TFLite file"):
        add_metadata(b"PK\3\4 something else", {})


def test_metadata_that_is_nested_beyond_reason_is_an_error_and_not_a_crash(file) -> None:
    text = "x" * 200_000
    nested = add_metadata(file("int8"), {"a": text}).replace(f'{{"a":"{text}"}}'.encode(), b"[" * (len(text) + 8))
    with pytest.raises(ModelError, match="must be JSON"):
        read_metadata(nested)


def test_a_file_that_breaks_off_behind_our_metadata_takes_none(file) -> None:
    packed = add_metadata(file("int8"), VALUES)
    for size in range(len(packed) - 4000, len(packed), 397):
        with pytest.raises(ModelError, match="malformed TFLite file"):
            add_metadata(packed[:size], {})


def test_a_data_free_file_is_remarked_upon_and_a_calibrated_one_is_not(file) -> None:
    told = "data-free: the model alone, inputs in [0, 1]"
    for note, marked in ((told, True), ("mse", False), (3, False)):
        content = add_metadata(file("int8"), {"calibration": note})
        assert data_free_note(content) == (told if marked else "")
        expected = (f"its int8 ranges were not measured on samples ({told})",) if marked else ()
        assert read_facts(content).remarks == expected
    assert data_free_note(file("int8")) == ""
