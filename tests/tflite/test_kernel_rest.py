"""tfcompress.tflite.kernel_rest: which file the budget of few values is about."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfcompress.tflite.kernel_rest import size_remarks
from tfcompress.tflite.packaging import make_package

FILE = Path(__file__).parents[1] / "data" / "tflite" / "int8.tflite"


@pytest.mark.parametrize("asked", [True, False])
def test_a_file_with_tables_counts_only_where_it_was_asked_for(asked: bool) -> None:
    content = FILE.read_bytes()
    stage = SimpleNamespace(remark_on=lambda size_bytes, plain: f"{size_bytes()} of {plain}")
    recipe: Any = SimpleNamespace(export=SimpleNamespace(lookup=asked), stages=(stage,))
    file: Any = SimpleNamespace(content=content, size_bytes=len(content), lookup=SimpleNamespace(content=b"1234567"))
    expected = 7 if asked else len(make_package(content).content)
    assert list(size_remarks(recipe, file)) == [f"{expected} of {len(content)}"]
