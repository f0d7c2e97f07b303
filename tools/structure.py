"""Prints how the code is built, in figures: sizes, names with two meanings, and who knows what.

``python -m tools.structure [FOLDER]`` measures the packages in a checkout (this one). What each row counts is said by
the function that counts it.
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("tfcompress", "edge_runner")
ROOT = Path(__file__).resolve().parents[1]

KERAS_PRIVATE = re.compile(
    r"^_(flatten_layers|nodes_by_depth|inbound_nodes|outbound_nodes|run_through_graph|keras_history|trainable_variables"
    r"|non_trainable_variables|output_shape|self_tracked_trackables|is_graph_network|layers|functional|operations"
    r"|input_layers|output_layers|nodes|tracker|lock|build_shapes_dict|obj_type|dtype_policy|flat_layers|initializer"
    r"|regularizer|losses|metrics_lock|feed_input_names|saved_model_inputs_spec|set_save_spec|should_compute_mask)$"
)
"""Attributes of Keras's objects that are none of ours."""
TYPE_NAME = re.compile(r"^[A-Z][A-Za-z0-9]*[a-z]")
"""How a public type is written; a constant that is none has no small letter."""
TASK = re.compile(
    r"^(classification|binary|regression|multilabel|segmentation|tokens|autoencoder)$",
)
STAGE_CLASSES = frozenset({"Prune", "Cluster", "QAT", "Distill", "Channels", "Blocks", "Layout", "LowRank", "Build"})
STAGE = re.compile(r"^(prune|cluster|qat|distill|channels|blocks|layout|low_rank|build)$")
TASK_ROOMS = ("tasks",)
STAGE_ROOMS = ("stages", "blocks", "channels", "low_rank", "weights", "distillation", "quantization", "engines")
"""Where a stage may be known by its name: in the table, and where the work is done."""
ROWS = {"stages": "Stage", "tasks": "Task"}
"""Rooms with a table of classes, and what the classes extend."""


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        path: relative to the checkout.
        text: what it holds.
    """

    path: Path
    text: str

    @property
    def name(self) -> str:
        """What imports call it: ``tfcompress.stages`` for ``tfcompress/stages/__init__.py``."""
        return ".".join(self.path.with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def tree(self) -> ast.Module:
        """The file, parsed."""
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> int:
        """Lines, docstrings and all."""
        return self.text.count("\n")

    @cached_property
    def code_lines(self) -> int:
        """Lines that hold code: neither blank nor comment nor docstring."""
        written = [line.strip() for line in self.text.splitlines()]
        blank = sum(not line or line.startswith("#") for line in written)
        return len(written) - blank - sum(_docstring_lines(node, blank=False) for node in ast.walk(self.tree))

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    @property
    def public(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
        """Public classes and functions of the module itself."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                yield node

    @property
    def public_types(self) -> Iterator[str]:
        """Names of the module's own public type aliases and type variables: ``Shape = tuple[int | None, ...]``."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name) and TYPE_NAME.match(target.id):
                    yield target.id


def _docstring_lines(node: ast.AST, *, blank: bool = True) -> int:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return 0
    first = node.body[0]
    if not (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    ):
        return 0
    whole = (first.end_lineno or first.lineno) - first.lineno + 1
    return whole if blank else whole - sum(not line.strip() for line in first.value.value.splitlines()[1:-1])


def modules(root: Path, folders: Iterable[str]) -> list[Module]:
    """Read the Python files below some folders of a checkout."""
    found = (path for folder in folders for path in sorted((root / folder).rglob("*.py")))
    return [
        Module(path.relative_to(root), path.read_text("utf-8")) for path in found if "__pycache__" not in path.parts
    ]


def spread(values: Sequence[int]) -> str:
    """Return median, 95th percentile and maximum."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):g} / {ordered[int(0.95 * (len(ordered) - 1))]} / {ordered[-1]}"


def path_parts(code: Sequence[Module]) -> str:
    """Count the parts of each path, the file's name among them."""
    parts = [len(module.path.parts) for module in code]
    deep = sum(count > 3 for count in parts)
    return f"{statistics.median(parts):g} / {max(parts)} ({deep} of {len(parts)} above 3)"


def function_lines(code: Sequence[Module]) -> str:
    """Count the lines of each function without its docstring."""
    return spread(
        [
            (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            for module in code
            for node in module.functions
        ]
    )


def annotated(code: Sequence[Module]) -> str:
    """Share of functions whose result and arguments all have a type."""
    verdicts = [_is_annotated(node) for module in code for node in module.functions]
    return f"{100 * sum(verdicts) / len(verdicts):.0f} %"


def _is_annotated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    typed = (argument.annotation for argument in every if argument and argument.arg not in ("self", "cls"))
    return node.returns is not None and all(typed)


def documented(code: Sequence[Module]) -> str:
    """Share of public classes and functions that have a docstring."""
    verdicts = [ast.get_docstring(node) is not None for module in code for node in module.public]
    return f"{100 * sum(verdicts) / len(verdicts):.0f} %"


def broad_excepts(code: Sequence[Module]) -> str:
    """Count handlers that catch everything, and how many of them say why on the same line."""
    silent = reasoned = 0
    for module in code:
        lines = module.text.splitlines()
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
                reason = lines[node.lineno - 1].partition("#")[2].replace("noqa: BLE001", "").strip(" -")
                reasoned, silent = reasoned + bool(reason), silent + (not reason)
    return f"{silent + reasoned} ({reasoned} say why)"


def _is_broad(kind: ast.expr | None) -> bool:
    return kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))


def two_meanings(code: Sequence[Module]) -> dict[str, list[str]]:
    """Return the public classes, functions and types that two modules define and another room takes from one of them.

    Taken is what is imported by name or asked of the imported module. What every module of a kind must have (the
    ``command`` of a command line's module, the ``main`` of a child process, ``open_session`` of an engine) is looked up
    by attribute through a table or run as a script, and so never taken in that way: it has one meaning.
    """
    by_name = {module.name: module for module in code}
    defined: dict[str, set[str]] = defaultdict(set)
    for name, module in by_name.items():
        for public in (*(node.name for node in module.public), *module.public_types):
            defined[public].add(name)
    crossing = {
        taken
        for name, module in by_name.items()
        for owner, taken in _taken(module.tree, by_name)
        if _room(owner) != _room(name) and owner in defined.get(taken, ())
    }
    return {name: sorted(places) for name, places in defined.items() if len(places) > 1 and name in crossing}


def _taken(tree: ast.Module, modules: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield what a module takes from others, as (module, name): imported, or asked of the imported module."""
    held = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name
                if f"{node.module}.{alias.name}" in modules:
                    held[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in held:
            yield held[node.value.id], node.attr


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def modules_twice(code: Sequence[Module]) -> dict[str, list[str]]:
    """Return the file names that stand twice in one package.

    Rows of a table do not count: ``cli/export.py``, ``stages/prune.py`` and ``tasks/binary.py`` are called after the
    command, the stage and the task that they add, and other rooms call their part in it the same.
    """
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in code:
        if module.path.stem not in ("__init__", "__main__") and not _is_row(module):
            places[module.path.parts[0], module.path.name].append(str(module.path))
    return {name: found for (_, name), found in places.items() if len(found) > 1}


def _is_row(module: Module) -> bool:
    """Whether its room has a table with a line for a module: it has a ``command``, or a stage or task of its name."""
    room = module.path.parent.name
    if room == "cli":
        return any(_binds(node, "command") for node in module.tree.body)
    kinds = [
        public for public in module.public if isinstance(public, ast.ClassDef) and _extends(public, ROWS.get(room))
    ]
    return module.path.stem in [kind.name.lower() for kind in kinds]


def _binds(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    return isinstance(node, ast.FunctionDef) and node.name == name


def _extends(kind: ast.ClassDef, base: str | None) -> bool:
    return base is not None and any(isinstance(each, ast.Name) and each.id.endswith(base) for each in kind.bases)


def keras_private(code: Sequence[Module]) -> list[str]:
    """Return the modules that use private names of Keras: its attributes, or what it keeps in ``src``."""
    return [str(module.path) for module in code if any(_is_keras_private(node) for node in ast.walk(module.tree))]


def _is_keras_private(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and KERAS_PRIVATE.match(node.attr):
        return not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    if isinstance(node, ast.ImportFrom):
        return bool(re.match(r"(tf_)?keras\.src\b", node.module or ""))
    return False


def knowing_tasks(code: Sequence[Module]) -> list[str]:
    """Return the modules outside ``tasks`` that spell a task's name."""
    return _knowing(code, TASK_ROOMS, lambda node: isinstance(node, ast.Constant) and _spells(TASK, node.value))


def knowing_stages(code: Sequence[Module]) -> list[str]:
    """Return the modules outside the table and the stages' own rooms that ask which stage it is."""
    return _knowing(code, STAGE_ROOMS, _asks_for_a_stage)


def _knowing(code: Sequence[Module], rooms: Sequence[str], asks: Callable[[ast.AST], bool]) -> list[str]:
    outside = [m for m in code if m.path.parts[0] == "tfcompress" and m.path.parts[1] not in rooms]
    return [str(module.path) for module in outside if any(asks(node) for node in ast.walk(module.tree))]


def _spells(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and bool(pattern.match(value))


def _asks_for_a_stage(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        names = {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
        return bool(names & STAGE_CLASSES)
    if isinstance(node, ast.Compare):
        values = [each for each in [node.left, *node.comparators] if isinstance(each, ast.Constant)]
        return any(_spells(STAGE, each.value) for each in values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stage":
        return any(isinstance(each, ast.Constant) and _spells(STAGE, each.value) for each in node.args)
    return False


def table(root: Path) -> list[tuple[str, str]]:
    """Return the rows: what is counted, and what came out."""
    code = modules(root, PACKAGES)
    tests = modules(root, ["tests"])
    ratio = sum(module.code_lines for module in tests) / sum(module.code_lines for module in code)
    return [
        ("modules", f"{len(code)}, tests {len(tests)}"),
        ("path parts median / max", path_parts(code)),
        ("module lines median / p95 / max", spread([module.lines for module in code])),
        ("function lines median / p95 / max", function_lines(code)),
        ("annotated", annotated(code)),
        ("public names with a docstring", documented(code)),
        ("broad excepts", broad_excepts(code)),
        ("test lines / code lines", f"{ratio:.2f}"),
        ("public names with two meanings", _listed(two_meanings(code))),
        ("module names that stand twice", _listed(modules_twice(code))),
        ("modules that know a task by name", _listed(knowing_tasks(code))),
        ("modules that know a stage by name", _listed(knowing_stages(code))),
        ("modules with private names of Keras", _listed(keras_private(code))),
    ]


def _listed(found: Sequence[str] | dict[str, list[str]]) -> str:
    return " ".join([str(len(found)), *(["(" + ", ".join(found) + ")"] if found else [])])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="a checkout; this one if none is given")
    rows = table(parser.parse_args().root)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    main()
