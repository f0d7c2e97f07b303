import gzip
import json
import math
from pathlib import Path

import pytest

from edge_runner import document


def test_lists_of_plain_values_stand_on_one_line():
    text = document.to_json({"a": [1, 2, 3], "b": [{"c": []}], "d": {}})
    assert text == b'{\n "a": [1, 2, 3],\n "b": [\n  {\n   "c": []\n  }\n ],\n "d": {}\n}\n'
    assert json.loads(text) == {"a": [1, 2, 3], "b": [{"c": []}], "d": {}}


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        document.to_json({"a": [math.nan]})


def test_a_file_that_is_no_plain_file_is_not_read(tmp_path):
    entry = document.entry(tmp_path)
    with pytest.raises(document.flatbuffer.ModelFileError, match="not a regular file"):
        document.add_file(entry, tmp_path)


def test_hash_and_sizes_are_told_even_of_what_is_no_model(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"0" * 1000)
    entry = document.entry(path)
    with pytest.raises(document.flatbuffer.ModelFileError):
        document.add_file(entry, path)
    assert entry["size_bytes"] == 1000
    assert len(entry["sha256"]) == 64
    document.add_compressed(entry, path)
    assert entry["gzip_bytes"] == len(gzip.compress(path.read_bytes(), 9))


def test_a_file_that_was_never_read_or_went_away_has_no_compressed_size(tmp_path):
    entry = document.entry(tmp_path / "m.tflite")
    document.add_compressed(entry, tmp_path / "m.tflite")
    assert entry["gzip_bytes"] is None
    document.add_compressed({**entry, "sha256": "1"}, tmp_path / "m.tflite")
    assert entry["gzip_bytes"] is None


OPENED = {
    "inputs": [],
    "outputs": [{"name": "y"}],
    "delegate": "none",
    "delegation": None,
    "warnings": ["odd"],
    "input_values": "made up, seed 0",
    "load_ns": 1,
    "allocate_ns": 2,
    "first_ns": 3,
    "before_bytes": 10,
}


def timed_entry(*turns, throttled=()):
    """An entry with these turns, two a process, in nanoseconds."""
    entry = document.entry(Path("m.tflite"))
    for place, turn in enumerate(turns):
        if place % 2 == 0:
            document.add_opened(entry, {**OPENED, "before_bytes": 10 + place}, 1000)
        block = {"samples_ns": turn, "runs": len(turn), "total_ns": sum(turn), "peak_bytes": 100 - place}
        document.add_block(entry, (place // 2, 0), block, throttled=place in throttled)
    return entry


def test_every_process_is_kept_and_what_they_share_is_told_once():
    entry = timed_entry([5], [6], [7], [8])
    assert [process["before_bytes"] for process in entry["timing"]["processes"]] == [10, 12]
    assert [block["process"] for block in entry["timing"]["blocks"]] == [0, 0, 1, 1]
    assert entry["warnings"] == ["odd"]
    assert entry["outputs"] == [{"name": "y", "range": None}]


def test_throttled_turns_are_counted_and_left_out():
    entry = timed_entry([5, 5], [100, 101, 102], [7], throttled={1})
    document.add_summary(entry)
    assert entry["timing"]["samples_ns"] == [5, 5, 7]
    assert entry["timing"]["discarded_runs"] == 3
    assert [block["throttled"] for block in entry["timing"]["blocks"]] == [False, True, False]
    assert entry["timing"]["summary"]["max_ms"] == 7e-6


def test_memory_is_the_largest_peak_and_the_middle_start():
    entry = timed_entry([1], [1], [1], [1], [1], [1])
    document.add_summary(entry)
    assert (entry["memory"]["before_bytes"], entry["memory"]["peak_bytes"]) == (12, 99)


def test_of_windows_the_median_counts():
    entry = timed_entry([1])
    document.add_summary(entry, [100.0, 400.0, 200.0])
    assert entry["timing"]["windows"] == {
        "per_second": [100.0, 400.0, 200.0],
        "median_per_second": 200.0,
        "median_ms": 1000 / 200,
    }


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (150, "1.50 times its start during the run: let the machine cool down, fix its frequency, or end other"),
        (50, "0.50 times its start during the run: it was busy or slow at first; measure again, or longer"),
    ],
)
def test_drift_is_a_warning(last, said):
    entry = timed_entry([100] * 50, [last] * 50)
    document.add_summary(entry)
    (warning,) = entry["warnings"][1:]
    assert warning.startswith(f"latency drifted to {said}")


def test_data_without_labels_is_a_warning():
    entry = {"accuracy": None, "warnings": []}
    document.add_scores(entry, {"outputs": {}, "seconds": 0.0})
    assert entry["accuracy"] is None
    assert "the data holds no labels (y, or y.NAME for an output)" in entry["warnings"][0]
