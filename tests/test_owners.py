"""One owner a fact: what may be touched in one module only, as far as import-linter cannot see it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tfcompress"

OWNERS = {
    r"\b(models|saving)\.load_model\b": {"models/file_reading.py"},
    r"\bTFLiteConverter\.": {"tflite/converter_child.py"},
    r"\bInterpreter\(": {"tflite/converter_child.py", "tflite/interpreter_child.py"},
    r"\btflite_micro\.": {  # each a child process
        "tflite/lookup_child.py",
        "tflite/micro/interpreter.py",
        "tflite/micro/least_arena_child.py",
        "tflite/micro/scratch_child.py",
    },
    r"\bfrom litert_quantizer\b": {"tflite/quantizer_child.py"},
    r"\bfrom ethosu\.": {"tflite/micro/compiler.py"},
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


PRIVATE_NAMES = {"models/keras_private.py": "Keras 3 and tf_keras", "engines/tfmot/names.py": "tfmot"}
"""Modules that may use private names of other packages."""

DOCUMENTED = {"_asdict", "_exit", "_fields", "_getframe", "_replace"}
"""Public names of Python's library, for all their underscore."""

BY_NAME = ("getattr", "hasattr", "setattr", "delattr")
"""Functions that take an attribute's name as their second argument."""


def is_private(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"_[a-zA-Z]\w*", name) is not None and name not in DOCUMENTED


def names_given_by(tree: ast.AST) -> set[str]:
    """Return the names of functions, classes, variables, fields and attributes of ``self`` that a module makes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_itself(node.value):
            found.add(node.attr)
    return found


def is_itself(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def foreign_private_names(tree: ast.AST, ours: set[str]) -> Iterator[str]:
    """Give private names of other packages that a module uses.

    That is an attribute of anything that the module itself doesn't make, an attribute of ``self`` that no module of
    ours makes, a name given to ``getattr`` and the like, and an import from ``src``, where Keras keeps what isn't
    public.
    """
    made_here = names_given_by(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in (ours if is_itself(node.value) else made_here):
                yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "hasattr",
            "setattr",
            "delattr",
        ):
            argument = node.args[1]
            name = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
            if isinstance(name, ast.Constant) and (is_private(name.value) or name.value == "_"):
                yield name.value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (module for module in modules if re.match(r"(tf_)?keras\.src\b", module))


def modules_with_private_names() -> dict[str, list[str]]:
    trees = {str(p.relative_to(PACKAGE)): ast.parse(p.read_text("utf-8")) for p in PACKAGE.rglob("*.py")}
    ours = set().union(*map(names_given_by, trees.values()))
    found = {module: sorted(set(foreign_private_names(tree, ours))) for module, tree in trees.items()}
    return {module: names for module, names in found.items() if names}


def test_private_names_of_keras_and_tfmot_have_one_owner_each() -> None:
    found = modules_with_private_names()
    assert {module: names for module, names in found.items() if module not in PRIVATE_NAMES} == {}
    assert set(found) == set(PRIVATE_NAMES)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("tensor._keras_history.operation", ["_keras_history"]),
        ("hasattr(model, '_nodes_by_depth')", ["_nodes_by_depth"]),
        ("getattr(layer, f'_{name}_dense')", ["_"]),
        ("class Layer:\n    def call(self): self._track_variable(1)", ["_track_variable"]),
        ("class Layer:\n    def call(self): return super()._moments(1)", ["_moments"]),
        ("from keras.src.saving import serialization_lib", ["keras.src.saving"]),
        ("from tf_keras.src import engine", ["tf_keras.src"]),
        ("import keras.src.ops", ["keras.src.ops"]),
        ("class Mine:\n    def __init__(self, other): self._x = other._x", []),
        ("keras.layers.Dense(1).units; os._exit(1)", []),
    ],
)
def test_the_search_for_private_names_sees_each_form(source: str, names: list[str]) -> None:
    tree = ast.parse(source)
    assert list(foreign_private_names(tree, names_given_by(tree))) == names
