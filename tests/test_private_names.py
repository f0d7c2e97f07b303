"""Tests use what the packages offer: a name with an underscore may be renamed without a test noticing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tfcompress", "edge_runner", "benchmarks", "tools")
PRIVATE = re.compile(r"_[a-zA-Z](?:\w*[a-zA-Z0-9])?")
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)*\.(_[a-zA-Z]\w*)")
OWN_OBJECTS = ("self", "cls")
"""What a class calls itself: of others, such as Keras's layers, it only sets names that are theirs."""
SETTERS = ("setattr", "setitem", "delattr", "getattr", "hasattr")


def is_own(node: ast.AST) -> bool:
    """Say whether a node stands for the object or the class that the code around it belongs to."""
    return isinstance(node, ast.Name) and node.id in OWN_OBJECTS


def bound_names(node: ast.AST) -> Iterator[str]:
    """Give the private names that a node of a module of ours binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
        yield node.attr


def own_private_names(sources: dict[str, str]) -> set[str]:
    """Return every private name that *sources* bind; those of Keras, are not among them."""
    nodes = (node for source in sources.values() for node in ast.walk(ast.parse(source)))
    return {name for node in nodes for name in bound_names(node) if PRIVATE.fullmatch(name)}


def used_names(node: ast.AST) -> Iterator[str]:
    """Give the private names of something else that a node of a test asks for, as code or as a string."""
    if isinstance(node, ast.Attribute):
        if not is_own(node.value):
            yield node.attr
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        for value in (each.value for each in node.args if isinstance(each, ast.Constant)):
            if isinstance(value, str) and (called in SETTERS or DOTTED.fullmatch(value)):
                yield value.rpartition(".")[2]


def private_uses(source: str, private: set[str]) -> list[str]:
    """Return ``LINE: NAME`` of each use of a name in *private* by a test's *source*."""
    nodes = (node for node in ast.walk(ast.parse(source)) if hasattr(node, "lineno"))
    uses = {(node.lineno, name) for node in nodes for name in used_names(node) if name in private}
    return [f"{line}: {name}" for line, name in sorted(uses)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("job._session", ["1: _session"]),
        ("x = 1\njob.plan._session.clock", ["2: _session"]),
        ("from tfcompress.job import _session as s", ["1: _session"]),
        ("monkeypatch.setattr(job, '_session', None)", ["1: _session"]),
        ("calls.replace('tfcompress.job._session', 1)", ["1: _session"]),
        ("class Toy:\n    def run(self):\n        return self._session", []),
        ("layer._inbound_nodes; os._exit(1); pair._replace(a=1)", []),
        ("say('a word: _session')", []),
        ("job.session", []),
    ],
)
def test_a_private_name_is_seen_however_it_is_asked_for(source: str, expected: list[str]) -> None:
    private = own_private_names({"job": "class Job:\n    def __init__(self):\n        self._session = None\n"})
    assert private == {"_session"}
    assert private_uses(source, private) == expected


def test_no_test_asks_for_a_private_name_of_ours() -> None:
    ours = {str(path): path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    private = own_private_names(ours)
    assert len(private) > 500
    found = {
        str(path.relative_to(ROOT)): uses
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__) and (uses := private_uses(path.read_text(), private))
    }
    assert found == {}
