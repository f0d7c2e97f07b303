"""benchmarks.slim."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import slim, slim_child
from tests.tflite.make_files import FOLDER

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"


class Silent:
    """A converter whose interpreter is not there."""

    def digest_in_tensorflow(self, content: bytes) -> tuple[str, str]:
        return "", "not here"


def test_a_file_gets_a_line_with_its_bytes_and_where_it_was_proven() -> None:
    ((name, scheme, content),) = slim.contents([FOLDER / "int8.tflite"], Silent())
    line = slim.row(name, scheme, content, Silent(), {})
    assert line[:3] == ("int8", "", f"{len(content):,} B")
    known = ["LiteRT", "reference", *(["TFLM"] if find_spec("tflite_micro") else [])]
    assert line[6] == ", ".join(known)
    before, after = (int(text.removesuffix(" B").replace(",", "")) for text in line[2:4])
    assert line[4] == f"{100 * (1 - after / before):.1f} %"


def test_the_table_has_its_place_in_the_docs() -> None:
    text = DOCS.read_text("utf-8")
    assert f"| {' | '.join(slim.HEAD)} |" in text
    assert slim.update(text, "files", "new", "slim").count("new\n<!-- end of slim: files -->") == 1


def test_what_another_python_does_not_run_has_a_reason_and_no_digest() -> None:
    digest, refusal = slim.digest_by_child(sys.executable, b"TFL3")
    assert digest == ""
    assert refusal


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "bool"])
def test_inputs_are_drawn_in_the_range_of_what_they_hold(dtype: str) -> None:
    values = slim_child.drawn(np.random.default_rng(0), np.array([100]), np.dtype(dtype))
    assert values.dtype == dtype
    assert (values.max() > 1) == (dtype in ("float32", "int8", "uint8"))
