"""What a person sees at the end, from a document with a few numbers changed."""

import copy
import io
import json
from pathlib import Path

import pytest

from edge_runner import table

GOLDEN = Path(__file__).parents[1] / "data" / "edge_format_3.json"


@pytest.fixture
def document():
    return json.loads(GOLDEN.read_text())


def test_a_column_of_what_nobody_measured_is_left_out(document):
    assert "energy" not in table.render(document)
    document["models"][1]["energy"].update(joules_per_inference=0.0025, kind="assumed")
    (line,) = [line for line in table.render(document).splitlines() if line.endswith("2.5 mJ (assumed)")]
    assert line.startswith("blobs_int8.tflite")


def test_measured_energy_has_its_interval_and_what_is_missing_its_reason_once(document):
    first, second = (model["energy"] for model in document["models"])
    first.update(joules_per_inference=0.0025, low=0.002, high=0.003, kind="measured", reason=None)
    assert "2.5 mJ (2..3)" in table.render(document)
    assert "energy:" not in table.render(document)
    for entry in (first, second):
        entry.update(joules_per_inference=None, low=None, high=None, kind=None, reason="no meter")
    assert [line for line in table.render(document).splitlines() if "energy" in line] == ["energy: no meter"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("faster", "faster than blobs_float.tflite"),
        ("slower", "slower than blobs_float.tflite"),
        ("indistinguishable", "indistinguishable from blobs_float.tflite"),
        (None, "against blobs_float.tflite: one process cannot tell"),
    ],
)
def test_a_comparison_is_a_ratio_an_interval_and_a_verdict(document, verdict, words):
    document["comparisons"][0].update(ratio=1.25, low=1.125, high=1.5, verdict=verdict)
    lines = table.render(document).splitlines()
    (title,) = [line for line in lines if line.startswith("compared")]
    assert "99 % interval" in title
    assert f"blobs_int8.tflite         1.250x   1.125..1.500  {words}" in lines


def test_an_interval_that_nobody_knows_is_a_dash(document):
    document["comparisons"][0].update(ratio=1.25, low=None, high=None, verdict=None)
    (line,) = [line for line in table.render(document).splitlines() if "cannot tell" in line]
    assert line.split()[:3] == ["blobs_int8.tflite", "1.250x", "-"]


def test_of_few_models_all_pairs_are_shown_and_of_many_those_with_the_first(document):
    (pair,) = document["comparisons"]
    for count, shown in ((3, 3), (4, 3)):
        places = [(first, second) for first in range(count) for second in range(first + 1, count)]
        document["models"] = [copy.deepcopy(document["models"][0]) for _ in range(count)]
        document["comparisons"] = [{**pair, "first": first, "second": second} for first, second in places]
        assert table.render(document).count("indistinguishable from") == shown


def test_numbers_end_below_each_other_and_words_begin_so():
    assert table.aligned_columns([["op", "time"], ["ADD", "9 ms"], ["CONV_2D", "10 ms"]]) == [
        "op        time",
        "ADD       9 ms",
        "CONV_2D  10 ms",
    ]


def test_a_model_that_failed_has_its_reason_below_and_no_numbers(document):
    document["models"][1].update(status="failed", reason="x" * 300, timing=None, memory=None, accuracy=None)
    document["comparisons"] = []
    said = table.render(document)
    assert f"blobs_int8.tflite failed: {'x' * 200}… (whole in the JSON)" in said
    assert "compared" not in said


def test_what_is_under_way_is_told_to_terminals_alone():
    silent, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    for stream in (silent, terminal):
        with table.Status(stream) as status:
            status.tell("timing")
    assert (silent.getvalue(), terminal.getvalue()) == ("", "\r\x1b[2Ktiming\r\x1b[2K")
