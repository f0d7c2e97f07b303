"""tfcompress.tflite.flatbuffer and tensors."""

from __future__ import annotations

import random
import struct
import time

import pytest

from edge_runner.cursor import Source
from tests.tflite.make_files import FOLDER, SCHEMES
from tfcompress.errors import ModelError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.weights import facts


def refused(content: bytes) -> bool:
    """Read everything there is in a file, and say whether it was refused (in one clear line)."""
    try:
        model = read_model_file(content)
        facts(model.subgraphs)
        _ = model.nonzero, model.table(), model.inputs, model.outputs
    except ModelError as error:
        return "malformed TFLite file" in str(error) and "\n" not in str(error)
    return False


NAMES = sorted(path.stem for path in FOLDER.glob("*.tflite"))


def test_inputs_and_outputs_go_by_their_names_in_the_signature(file) -> None:
    model = read_model_file(file("two_ways"))
    assert {t.name: t.shape for t in model.inputs} == {"image": (1, 6, 6, 1), "facts": (1, 4)}
    assert {t.name: t.shape for t in model.outputs} == {"class": (1, 3), "size": (1, 1)}


def test_ops_come_in_the_order_in_which_they_run(file) -> None:
    names = [op.name for op in read_model_file(file("none")).subgraphs[0].ops]
    assert names == ["CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]


@pytest.mark.parametrize(("scheme", "dtype"), [("none", "float32"), ("int8", "int8"), ("int16x8", "int16")])
def test_quantized_inputs_have_a_scale_and_float_ones_have_none(file, scheme: str, dtype: str) -> None:
    (image,) = read_model_file(file(scheme)).inputs
    assert image.dtype == dtype
    assert (image.scale is None) == (scheme == "none")
    assert ("scale" in str(image)) == (scheme != "none")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_parameters_and_macs_are_those_of_the_network_in_every_scheme(file, scheme: str) -> None:
    model = read_model_file(file(scheme))
    assert model.parameters == (3 * 3 * 3 * 8 + 8) + (3 * 3 * 8 + 8) + (6 * 6 * 8 * 10 + 10)
    assert model.macs == 8 * 8 * 8 * (3 * 3 * 3) + 6 * 6 * 8 * (3 * 3) + 6 * 6 * 8 * 10


def test_metadata_and_signature_keys_are_found(file) -> None:
    model = read_model_file(file("none"))
    assert [s.key for s in model.signatures] == ["serving_default"]
    assert "min_runtime_version" in model.metadata
    assert all(isinstance(value, memoryview) for value in model.metadata.values())  # however often it is pointed at


def test_the_table_has_one_row_an_op(file) -> None:
    rows = read_model_file(file("int8")).table()
    assert [(r.op, r.weights, r.dtype) for r in rows if r.weights] == [
        ("CONV_2D", 216, "int8"),
        ("DEPTHWISE_CONV_2D", 72, "int8"),
        ("FULLY_CONNECTED", 2880, "int8"),
    ]
    assert sum(row.macs for row in rows) == read_model_file(file("int8")).macs


def test_the_state_of_a_recurrent_layer_is_a_variable(file) -> None:
    assert any(tensor.variable for tensor in read_model_file(file("lstm")).subgraphs[0].tensors)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0\0\0\0TFL", b"<html>not found</html>"])
def test_what_is_no_tflite_file_is_told_so(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a TFLite file: bytes 4 to 8 must be b'TFL3', got"):
        read_model_file(content)


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_refused_in_one_line_or_read(file, name: str) -> None:
    content = file(name)
    sizes = range(8, len(content), 97)
    assert sum(refused(content[:size]) for size in sizes) > len(sizes) // 2


@pytest.mark.parametrize("name", NAMES)
def test_mutated_bytes_never_crash_or_hang_the_reader(file, name: str) -> None:
    generator = random.Random(name)
    original = file(name)
    count, start = 0, time.process_time()
    for _ in range(300):
        content = bytearray(original)
        for _ in range(generator.choice((1, 1, 4, 16))):
            place = generator.randrange(8, len(content))
            content[place] = generator.choice((0, 1, 127, 128, 255, generator.randrange(256)))
        count += refused(bytes(content))
    assert 0 < count < 300
    assert time.process_time() - start < 60


def test_one_vector_read_a_thousand_times_over_is_an_error_not_an_hour(file) -> None:
    # A list of subgraphs whose entries all point at the same one.
    content = file("none")
    graph = Source(memoryview(content)).root().tables(2)[0].position
    count = 20_000
    front = bytearray(16 + 4 + 4 * count)
    front += b"\0" * (-len(front) % 16)
    table = _root_with_subgraphs(front, content, graph, count)
    with pytest.raises(ModelError, match="malformed TFLite file: the file describes more than 200,000 tables"):
        read_model_file(table)


def _root_with_subgraphs(front: bytearray, content: bytes, graph: int, count: int) -> bytes:
    old = Source(memoryview(content)).root()
    header = bytearray(96)
    base = len(header)
    end = base + len(front)
    struct.pack_into("<I4s", header, 0, 32, b"TFL3")
    struct.pack_into("<7H", header, 8, 14, 20, 4, 8, 12, 0, 16)
    struct.pack_into("<iI", header, 32, 24, 3)
    for place, target in ((40, end + old.target(1)), (44, base), (48, end + old.target(4))):
        struct.pack_into("<I", header, place, target - place)
    struct.pack_into("<I", front, 0, count)
    for item in range(count):
        at = 4 + 4 * item
        struct.pack_into("<I", front, at, end + graph - (base + at))
    return bytes(header + front) + content
