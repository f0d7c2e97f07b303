"""Toy additions: what a contributor would write, a module each, to see that one line of a table makes it known."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

from tests.docs import code_blocks

PAGE = code_blocks.DOCS / "extending.md"
TEXTS = {
    found[1]: block.text + "\n"
    for block in code_blocks.blocks_of(PAGE)
    for found in [re.match(r"# (\w+)\.py\n", block.text)]
    if found
}
"""The modules that docs/extending.md shows, by name: what it tells contributors is what is tested."""


def module(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write one of the modules into a folder, and import it until the test ends."""
    (folder / f"{name}.py").write_text(TEXTS[name], "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, found)
    return found


def add_line(table: Any, name: str, entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a line to a table until the test ends; to one that is read-only, wherever tfcompress holds it."""
    if isinstance(table, dict):
        monkeypatch.setitem(table, name, entry)
        return
    longer = MappingProxyType({**table, name: entry})
    for holder in [held for key, held in sys.modules.items() if key.partition(".")[0] == "tfcompress"]:
        for place, value in list(vars(holder).items()):
            if value is table:
                monkeypatch.setattr(holder, place, longer)
