"""One public name, one meaning: names that rooms take from each other, and names of modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "tfcompress"

MODULE_TABLES = {"cli"}
"""Rooms whose modules are called like what they are about: a command, ``tfcompress export``."""

TO_BE_RENAMED = {
    *("Samples", "Session", "check", "infer", "listed", "load", "measure", "read", "rewrite", "run", "write"),
}
"""Names of two meanings that are left, in data, devices, tflite and cli; this shrinks, and never grows."""

MODULES_TO_BE_RENAMED = {"cluster", "labels", "prune", "qat", "table"}
"""Names of modules that stand twice and are left; likewise."""


def sources() -> dict[str, str]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path.read_text("utf-8") for path in paths}


def room(module: str) -> str:
    """Return the room of a module: ``channels`` for ``tfcompress.channels.trace``."""
    return module.split(".")[1]


def definitions(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Return, for each public class or function of a module's own, the modules that define it."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(module)
    return found


def uses(tree: ast.Module, modules: set[str]) -> set[tuple[str, str]]:
    """Return what a module takes from others: (module, name), imported or asked of the imported module."""
    found, held = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found.add((node.module, alias.name))
                if f"{node.module}.{alias.name}" in modules:
                    held[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in held:
            found.add((held[node.value.id], node.attr))
    return found


def clashes(source: Mapping[str, str]) -> set[str]:
    """Return the names that one room takes from another and that two modules define."""
    trees = {module: ast.parse(text) for module, text in source.items()}
    crossing = {
        name
        for user, tree in trees.items()
        for owner, name in uses(tree, set(trees))
        if owner in trees and room(owner) != room(user)
    }
    return {name for name, modules in definitions(trees).items() if len(modules) > 1 and name in crossing}


def modules_that_stand_twice(source: Mapping[str, str]) -> set[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for module in source:
        name = module.rpartition(".")[2]
        if not name.startswith("__") and room(module) not in MODULE_TABLES:
            found[name].append(module)
    return {name for name, modules in found.items() if len(modules) > 1}


def test_a_name_that_crosses_rooms_means_one_thing() -> None:
    assert clashes(sources()) == TO_BE_RENAMED


def test_a_module_has_a_name_of_its_own() -> None:
    assert modules_that_stand_twice(sources()) == MODULES_TO_BE_RENAMED


def test_a_clash_is_seen_whether_imported_or_asked_of_the_module() -> None:
    there = {"tfcompress.data.lint": "def check(): ...", "tfcompress.tflite.verify": "def check(): ..."}
    imported = {"tfcompress.cli.main": "from tfcompress.data.lint import check"}
    asked = {"tfcompress.cli.main": "from tfcompress.data import lint\ndef run(): lint.check()"}
    inside = {"tfcompress.data.npz": "from tfcompress.data.lint import check"}
    assert clashes(there | imported) == clashes(there | asked) == {"check"}
    assert clashes(there | inside) == clashes(there) == set()


def test_a_module_that_stands_twice_is_seen() -> None:
    names = ["tfcompress.data.rules", "tfcompress.channels.rules", "tfcompress.cli.rules", "tfcompress.data.__init__"]
    assert modules_that_stand_twice(dict.fromkeys(names, "")) == {"rules"}
