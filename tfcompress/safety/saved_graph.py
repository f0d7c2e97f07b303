"""Reading a SavedModel's protocol buffers without running them: which operations, which functions, who calls whom.

Python's loader (``tf.saved_model.load``) makes a function of everything in the library and runs, while it loads, what
creates and fills resources, what restores them, and a graph's initializer; so a function's place says nothing about
whether it runs, and every node of every function of every meta graph is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class SavedNode(NamedTuple):
    """A node (``NodeDef``) of a graph or a function.

    Attributes:
        name: unique in its graph.
        op: the operation.
        inputs: tensors it takes, then nodes that must have run, as ``^node``.
        called: functions of the library that it calls: by its operation, or by attributes.
        mentioned: those, and functions of the library that a string names; gradients and other implementations are.
        missing: functions that it calls and that are not in the library, but perhaps in the process that loads it.
        constants: its tensors (``TensorProto``).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    called: frozenset[str]
    mentioned: frozenset[str]
    missing: frozenset[str]
    constants: tuple[Any, ...]


_NONE: frozenset[str] = frozenset()


def saved_node(node: Any, library: Mapping[bytes, str]) -> SavedNode:
    """Read a node (``NodeDef``), given the names of the functions in the library."""
    called, texts, constants = _attributes(node)
    missing = frozenset(name for name in called if name and name.encode() not in library) if called else _NONE
    called.append(node.op)
    names = frozenset(name for name in called if name.encode() in library) if library else _NONE
    mentioned = names.union(library[text] for text in texts if text in library) if texts else names
    return SavedNode(node.name, node.op, tuple(node.input), names, mentioned, missing, tuple(constants))


def _attributes(described: Any) -> tuple[list[str], list[bytes], list[Any]]:
    """Return functions, strings and tensors in the attributes of a node or function, and of functions named there."""
    functions: list[str] = []
    texts: list[bytes] = []
    constants: list[Any] = []
    stack = list(described.attr.values())
    while stack:
        value = stack.pop()
        kind = value.WhichOneof("value")
        if kind == "s":
            texts.append(value.s)
        elif kind == "tensor":
            constants.append(value.tensor)
        elif kind in ("func", "list"):
            for function in [value.func] if kind == "func" else value.list.func:
                functions.append(function.name)
                stack.extend(function.attr.values())
        if kind == "list":
            texts.extend(value.list.s)
            constants.extend(value.list.tensor)
    return functions, texts, constants


def producer(name: str) -> str:
    """Return the node (or a function's argument) that a tensor or an input (``^node``, ``node:out:0``) is of."""
    return name.removeprefix("^").partition(":")[0]


def closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Return *start* and all that is reached from there."""
    found: set[str] = set()
    stack = list(start)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(edges.get(name, ()))
    return found


def inverted(edges: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Turn every edge around."""
    found: dict[str, set[str]] = {}
    for source, targets in edges.items():
        for target in targets:
            found.setdefault(target, set()).add(source)
    return found


class SavedGraph:
    """One meta graph, indexed.

    Attributes:
        meta: the ``MetaGraphDef``.
        nodes: the graph's own nodes.
        library: the nodes of every function by its name (of functions that share a name: of all of them).
        definitions: the functions themselves (``FunctionDef``).
        calls: function -> functions of the library that it calls.
        mentions: function -> functions of the library that it calls or names in a string.
    """

    def __init__(self, meta: Any) -> None:
        self.meta = meta
        self.definitions: list[Any] = list(meta.graph_def.library.function)
        names = {name.encode(): name for name in (function.signature.name for function in self.definitions)}
        self.nodes = [saved_node(node, names) for node in meta.graph_def.node]
        self.library: dict[str, list[SavedNode]] = {name: [] for name in names.values()}
        self.calls: dict[str, set[str]] = {name: set() for name in names.values()}
        self.mentions: dict[str, set[str]] = {name: set() for name in names.values()}
        for function in self.definitions:
            name, nodes = function.signature.name, [saved_node(node, names) for node in function.node_def]
            self.library[name] += nodes
            self.calls[name].update(*(node.called for node in nodes))
            self.mentions[name].update(*(node.mentioned for node in nodes))
            self.mentions[name].update(names[text] for text in _attributes(function)[1] if text in names)

    def all_nodes(self) -> Iterator[SavedNode]:
        """Give the graph's nodes and those of all functions."""
        yield from self.nodes
        for nodes in self.library.values():
            yield from nodes

    def needs(self) -> dict[str, set[str]]:
        """Return, for each of the graph's own nodes, those that it needs: their values, or that they have run."""
        edges: dict[str, set[str]] = {}
        for node in self.nodes:
            edges.setdefault(node.name, set()).update(map(producer, node.inputs))
        return edges
