"""docs/troubleshooting.md: what it quotes is what the program prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.code_blocks import DOCS, ROOT

HEADINGS = re.findall(r"^### (.*)$", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
QUOTED = [heading.strip("`") for heading in HEADINGS if heading.startswith("`")]


def texts(tree: ast.AST) -> Iterator[str]:
    """Give every text of a module, ``…`` where values are put in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def printed() -> list[str]:
    modules = [path for package in ("tfcompress", "edge_runner") for path in (ROOT / package).rglob("*.py")]
    return [text for path in modules for text in texts(ast.parse(path.read_text("utf-8")))]


def test_there_is_something_to_check() -> None:
    assert len(QUOTED) > 30


@pytest.mark.parametrize("text", QUOTED)
def test_a_quoted_error_is_one_that_the_program_has(text: str, printed: list[str]) -> None:
    assert any(text in each for each in printed), "quote the message as it stands in the code, … for what is put in"


def test_a_text_that_no_module_has_is_told() -> None:
    tree = ast.parse("msg = f'model {path!r} must ' f'be {what}; give ' 'another'")
    assert next(texts(tree)) == "model … must be …; give another"
