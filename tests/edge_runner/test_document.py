import json
import math

import pytest

from edge_runner import document


def test_lists_of_plain_values_stand_on_one_line():
    text = document.to_json({"a": [1, 2, 3], "b": [{"c": []}], "d": {}})
    assert text == '{\n "a": [1, 2, 3],\n "b": [\n  {\n   "c": []\n  }\n ],\n "d": {}\n}\n'
    assert json.loads(text) == {"a": [1, 2, 3], "b": [{"c": []}], "d": {}}


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        document.to_json({"a": [math.nan]})


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "e.json"
    path.write_text("old")
    document.write(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "e.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        document.write(tmp_path / "e.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]


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
    assert entry["gzip_bytes"] < 50
    assert len(entry["sha256"]) == 64


def test_drift_is_a_warning():
    entry = {"timing": {"samples_ns": [100] * 50 + [150] * 50}, "warnings": []}
    document.add_summary(entry)
    assert entry["warnings"] == [
        "latency drifted to 1.50 times its start during the run; let the machine cool down, or fix its frequency"
    ]


def test_data_without_labels_is_a_warning():
    entry = {"accuracy": None, "warnings": []}
    document.add_scores(entry, {"outputs": {}, "seconds": 0.0})
    assert entry["accuracy"] is None
    assert "the data holds no labels (y, or y.NAME for an output)" in entry["warnings"][0]
