import re
import time
from pathlib import Path

import pytest

from benchmarks import edge_overhead

INT8 = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


def test_both_loops_run_around_one_interpreter_and_their_difference_is_told():
    lines = edge_overhead.same_interpreter(INT8, 2).split("; ")
    assert [line.rpartition("(")[2] for line in lines] == ["clock around every call)", "clock around 5 calls)"]
    for line in lines:
        ours, bare = map(float, re.findall(r"([\d.]+) µs", line))
        (difference,) = map(float, re.findall(r"([-+][\d.]+)%", line))
        assert min(ours, bare) > 0.1
        assert difference == pytest.approx(100 * (ours / bare - 1), abs=5)  # of numbers rounded to 0.01 µs


def test_the_bare_loop_gives_the_mean_of_each_chunk_of_calls():
    found = edge_overhead.bare_loop(lambda: time.sleep(0.0005), 3, 5)
    assert len(found) == 3
    assert min(found) >= 500_000


def test_programs_are_started_and_their_first_inference_and_memory_are_read(tmp_path):
    bare, ours = edge_overhead.start_bare(INT8), edge_overhead.start_runner(INT8, tmp_path / "e.json")
    for found in (bare, ours):
        assert 0 < found["first s"] < 60
        assert 10 < found["peak MB"] < 500
    assert ours["peak MB"] - bare["peak MB"] < 12
