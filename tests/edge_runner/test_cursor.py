"""Every way in which the bytes themselves can be wrong is refused in its own words."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from edge_runner import graph
from edge_runner.cursor import ModelFileError

CONTENT = (Path(__file__).parents[1] / "data" / "blobs_int8.tflite").read_bytes()
VALUES = (0, 1, 2, 5, 31, 0xFFFF, 0x10000, 250_000, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF)


@pytest.fixture(scope="module")
def refusals() -> set[str]:
    """What is said when one number of a sound file is replaced, numbers taken out."""
    found = set()
    for at in range(0, len(CONTENT) - 3, 2):
        for value in VALUES[at % 10 // 2 :: 5]:
            try:
                graph.read_graph(CONTENT[:at] + value.to_bytes(4, "little") + CONTENT[at + 4 :])
            except ModelFileError as error:
                found.add(re.sub(r"-?\d+(,\d{3})*", "N", str(error)))
    return found


REFUSALS = [
    "an offset points to byte N of a file of N bytes",
    "a table stands at byte N, which is no multiple of N",
    "broken vtable at byte N",
    "the table at byte N has a field outside itself",
    "a vector of N items at byte N reaches beyond the end of the file",
    "a vector of N-byte items starts at byte N, which is no multiple of N",
    "the string at byte N does not end with a zero",
    "op code N is none of TensorFlow Lite's",
    "tensor N is of type N, which is none of TensorFlow Lite's",
    "tensor N uses buffer N, and there are N",
    "op N uses op code N, and there are N",
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_wrong_number_is_refused_in_words_that_say_what_is_wrong(refusals: set[str], refusal: str) -> None:
    assert refusal in refusals


def test_a_wrong_number_never_ends_otherwise(refusals: set[str]) -> None:
    assert refusals - set(REFUSALS) <= {"not a .tflite file: the identifier 'TFLN' is missing at byte N"}


def test_bytes_behind_the_flatbuffer_must_be_there() -> None:
    content = b"".join(
        [
            struct.pack("<I4s", 24, b"TFL3"),
            struct.pack("<7H2x", 14, 8, 0, 0, 0, 0, 4),  # the model's fields: only its buffers
            struct.pack("<iIII", 16, 4, 1, 16),  # at 24: the model; at 32: one buffer, at 52
            struct.pack("<5H2x", 10, 20, 0, 4, 12),  # at 40: the buffer's fields, offset and size
            struct.pack("<iQQ", 12, 64, 8),
        ]
    )
    with pytest.raises(ModelFileError, match="buffer 0 reaches to byte 73 of a file of 72 bytes"):
        graph.read_graph(content[:-8] + struct.pack("<Q", 9))
    assert graph.read_graph(content).buffers == (graph.Buffer(64, 8),)


def test_a_list_longer_than_any_models_is_not_gone_through() -> None:
    head = struct.pack("<I4s", 20, b"TFL3") + struct.pack("<5H2x", 10, 8, 0, 0, 4)
    with pytest.raises(ModelFileError, match="a vector at byte 32 claims 250000 tables"):
        graph.read_graph(head + struct.pack("<iII", 12, 4, 250_000) + bytes(1_000_000))
