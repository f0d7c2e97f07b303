"""One owner a fact: what may be touched in one module only, as far as import-linter cannot see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tfcompress"

OWNERS = {
    r"\b(models|saving)\.load_model\b": {"models/loading.py"},
    r"\bTFLiteConverter\.": {"tflite/converter_child.py"},
    r"\bInterpreter\(": {"tflite/converter_child.py", "tflite/interpreter_child.py"},
    r"\b(tf|tensorflow)\.keras\b": {"engines/tfmot/names.py"},
}
"""Pattern -> where it may stand. ``tf.keras`` is one Keras or the other by the order of imports: say which."""


def modules_with(pattern: str) -> set[str]:
    found = re.compile(pattern)
    return {str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py") if found.search(p.read_text("utf-8"))}


@pytest.mark.parametrize("pattern", OWNERS)
def test_a_fact_has_one_owner(pattern: str) -> None:
    assert modules_with(pattern) == OWNERS[pattern]


def test_the_check_sees_what_it_looks_for() -> None:
    assert "errors.py" in modules_with(r"class TfcompressError\b")
