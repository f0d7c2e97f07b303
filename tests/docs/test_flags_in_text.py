"""Flags that pages and help texts speak of are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_runner.arguments import EXAMPLES
from tests.docs.code_blocks import ROOT, all_pages
from tools import docs_reference

FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OF_OTHER_PROGRAMS = {
    "--backend-store-uri",
    "--follow",
    "--head",
    "--logdir",
    "--no-deps",
    "--node_data_paths",
    "--port",
    "--resources",
    "--rm",
    "--system-site-packages",
    "--tflite",
    "--watts",
}
OF_EXAMPLES = {"--behead"}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Return the flags of tfcompress, edge_runner, and of what lies in benchmarks/ and tools/."""
    found = {flag for _, _, command in docs_reference.commands() for each in command.params for flag in each.opts}
    scripts = [path for folder in ("benchmarks", "edge_runner", "tools") for path in (ROOT / folder).glob("*.py")]
    for path in scripts:
        found |= {*FLAG.findall(path.read_text("utf-8"))}
    return found | {"--help", "--version"} | OF_OTHER_PROGRAMS | OF_EXAMPLES


@pytest.mark.parametrize("path", all_pages(), ids=lambda path: path.name)
def test_flags_that_a_page_speaks_of_are_there(path: Path, known: set[str]) -> None:
    assert {*FLAG.findall(path.read_text("utf-8"))} - known == set()


def test_flags_that_help_texts_speak_of_are_there(known: set[str]) -> None:
    helps = [EXAMPLES]
    for _, _, command in docs_reference.commands():
        helps += [command.help or "", *(getattr(each, "help", "") or "" for each in command.params)]
    assert {flag for text in helps for flag in FLAG.findall(text)} - known == set()
