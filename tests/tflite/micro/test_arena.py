"""tfcompress.tflite.micro.arena."""

from __future__ import annotations

import pytest

from tests.tflite.make_files import FOLDER
from tfcompress.tflite.micro.arena import ArenaPart, ArenaUse, planned_arena_bytes, read_allocations

PRINTED = """\
[RecordingMicroAllocator] Arena allocation total 2832 bytes
[RecordingMicroAllocator] Arena allocation head 800 bytes
[RecordingMicroAllocator] Arena allocation tail 2032 bytes
[RecordingMicroAllocator] 'Persistent buffer data' used 588 bytes with alignment overhead (requested 536 bytes for \
12 allocations)
[RecordingMicroAllocator] 'NodeAndRegistration struct' used 320 bytes with alignment overhead (requested 320 bytes \
for 5 NodeAndRegistration structs)
"""


def test_what_the_recorder_prints_is_read() -> None:
    assert read_allocations(PRINTED) == ArenaUse(
        total_bytes=2832,
        head_bytes=800,
        tail_bytes=2032,
        parts=(
            ArenaPart(name="Persistent buffer data", used_bytes=588, requested_bytes=536, allocations=12),
            ArenaPart(name="NodeAndRegistration struct", used_bytes=320, requested_bytes=320, allocations=5),
        ),
    )


def test_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="no table of TFLM's recorder: 'Segmentation fault'"):
        read_allocations("Segmentation fault")


def test_the_plan_holds_the_largest_neighbours() -> None:
    # 6 x 6 x 8 numbers between the convolutions, 8 x 8 x 3 of the input and as many again behind the depthwise one
    assert planned_arena_bytes((FOLDER / "int8.tflite").read_bytes()) >= 2 * 6 * 6 * 8
