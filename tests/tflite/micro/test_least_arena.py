"""The smallest arena, found by trying."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import UnsupportedError
from tfcompress.tflite.micro.least_arena import least_arena_bytes
from tfcompress.tflite.micro.least_arena_child import STEP, smallest
from tfcompress.tflite.micro.process import MicroProcess

FILE = Path(__file__).parents[2] / "data" / "blobs_int8.tflite"


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_the_smallest_is_found_to_a_step(recorded: int, more: int) -> None:
    tried = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size >= recorded + more

    found = smallest(fits, recorded)
    assert recorded + more <= found < recorded + more + STEP
    assert len(tried) <= 25


def test_where_nothing_fits_the_search_ends() -> None:
    with pytest.raises(ValueError, match="bytes are too few"):
        smallest(lambda size: False, 1000)


@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="tflite-micro (extra mcu) is not installed")
def test_setting_a_file_up_takes_more_than_is_kept() -> None:
    content = FILE.read_bytes()
    with MicroProcess(content) as micro:
        kept = micro.arena.total_bytes
    assert kept < least_arena_bytes(content, kept) < 2 * kept
    with pytest.raises(UnsupportedError, match="in any arena"):
        least_arena_bytes(b"", 100)
