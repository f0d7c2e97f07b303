"""The operations that write and read a SavedModel's own variables: allowed where a saver needs them, and nowhere else.

Every SavedModel holds them: TensorFlow 2 in two functions (``__inference__traced_save_…``, ``…traced_restore_…``) that
two nodes call, TensorFlow 1 as nodes. ``tf.saved_model.load`` runs the second of them, and that only for a graph of
TensorFlow 1, with the path of the model's own variables as its argument. A training graph often holds a second saver
that nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tfcompress.safety.saved_graph import SavedGraph, SavedNode, closure, inverted, producer

SAVING = frozenset({"SaveV2", "MergeV2Checkpoints", "ShardedFilename"})
RESTORING = frozenset({"RestoreV2"})
SAVERS = SAVING | RESTORING
"""Operations that are no one's but a saver's."""

_PLAIN_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_FED = frozenset({"Const", "Placeholder", "PlaceholderWithDefault"})
_NOTES = frozenset({"_construction_context", "_input_shapes"})
"""Attributes of a saver's function that change nothing. (Others have it run in the place of another, for one.)"""


def misplaced(graph: SavedGraph) -> set[str]:
    """Return the savers' operations that are not where they belong, each with what is wrong.

    They belong into what ``saver_def.save_tensor_name`` or ``restore_op_name`` needs. Nothing that a signature, a
    collection, an asset or the object graph names may need them; and what is restored is of the file that the saver is
    given.
    """
    return _Savers(graph).misplaced()


class _Savers:
    def __init__(self, graph: SavedGraph) -> None:
        self.graph = graph
        self.needs = graph.needs()
        self.kinds = self._kinds()
        self.nodes = {node.name: node for node in graph.nodes}
        self.arguments: dict[str, list[list[str]]] = {}
        for function in graph.definitions:
            arguments = [argument.name for argument in function.signature.input_arg]
            self.arguments.setdefault(function.signature.name, []).append(arguments)

    def _kinds(self) -> dict[str, set[str]]:
        """Return, for every function that runs a saver's operation, itself or by a call, which ones."""
        callers = inverted(self.graph.mentions)
        kinds: dict[str, set[str]] = {}
        for name, nodes in self.graph.library.items():
            for op in {node.op for node in nodes} & SAVERS:
                for caller in closure([name], callers):
                    kinds.setdefault(caller, set()).add(op)
        return kinds

    def _run_by(self, node: SavedNode) -> set[str]:
        """Return the savers' operations that a node is, or whose functions it mentions."""
        own = {node.op} & SAVERS
        return own.union(*(self.kinds.get(name, ()) for name in node.mentioned))

    def misplaced(self) -> set[str]:
        running = {node.name: found for node in self.graph.nodes if (found := self._run_by(node))}
        if not running and not self.kinds:
            return set()
        return {
            *self._needed_elsewhere(running),
            *self._not_in_the_saver(running),
            *_named_in_objects(self.graph.meta, self.kinds),
        }

    def _needed_elsewhere(self, running: Mapping[str, set[str]]) -> Iterator[str]:
        consumers = inverted(self.needs)
        named = set(named_nodes(self.graph.meta))
        for name, operations in running.items():
            if not named.isdisjoint(closure([name], consumers)):
                yield from (f"{op} outside the saver" for op in operations)

    def _not_in_the_saver(self, running: Mapping[str, set[str]]) -> Iterator[str]:
        saver = self.graph.meta.saver_def
        roots = {producer(saver.save_tensor_name): RESTORING, producer(saver.restore_op_name): SAVING}
        needed: set[str] = set()
        for root, forbidden in roots.items():
            names = closure([root], self.needs)
            needed |= names
            wrong = set().union(*(running.get(name, ()) for name in names)) & forbidden
            yield from (f"{op} outside the saver" for op in wrong)
        yield from self._functions_outside(needed)
        yield from self._of_other_files(producer(saver.restore_op_name), producer(saver.filename_tensor_name))

    def _functions_outside(self, needed: set[str]) -> Iterator[str]:
        """Give what functions run of a saver's operations that others call, or nobody, or that stand in for another."""
        called = {name for node in self.graph.nodes if node.name in needed for name in node.called}
        inside = closure(called, self.graph.calls)
        others = {name for node in self.graph.nodes if node.name not in needed for name in node.mentioned}
        standing_in = {
            function.signature.name for function in self.graph.definitions if not _NOTES.issuperset(function.attr)
        }
        for name in self.kinds:
            if name not in inside or name in others or name in standing_in:
                yield from (f"{op} outside the saver" for op in self.kinds[name])

    def _of_other_files(self, restore: str, filename: str) -> Iterator[str]:
        """Give what restores from a file that is not the one that the saver is given."""
        given = self.nodes.get(filename)
        if restore in self.nodes and (given is None or given.op not in _FED):
            yield "RestoreV2 of another file"
        edges = {**self.needs, filename: set()}
        needed = [self.nodes[name] for name in closure([restore], edges) if name in self.nodes]
        work: list[tuple[list[SavedNode], frozenset[str]]] = [(needed, frozenset({filename}))]
        seen: set[tuple[str, frozenset[str]]] = set()
        while work:
            nodes, names = work.pop()
            sources = {node.name: node for node in nodes}
            for node in nodes:
                taken = [position for position, name in enumerate(node.inputs) if _is(name, names, sources)]
                if node.op in RESTORING and 0 not in taken:
                    yield "RestoreV2 of another file"
                for call in self._calls(node, taken) - seen:
                    seen.add(call)
                    work.append((self.graph.library[call[0]], call[1]))
                if self._run_by(node) - SAVERS.intersection({node.op}) and not self._is_plain_call(node):
                    yield "RestoreV2 of another file"

    def _is_plain_call(self, node: SavedNode) -> bool:
        return node.op in _PLAIN_CALLS or node.op in self.graph.library

    def _calls(self, node: SavedNode, taken: Iterable[int]) -> set[tuple[str, frozenset[str]]]:
        """Return the functions with savers' operations that a node calls, and which of their arguments are the file."""
        positions = set(taken)
        return {
            (name, frozenset(arg for number, arg in enumerate(arguments) if number in positions))
            for name in node.mentioned & self.kinds.keys()
            for arguments in self.arguments[name]
        }


def _is(name: str, given: frozenset[str], nodes: Mapping[str, SavedNode]) -> bool:
    """Say whether a tensor is one of *given*, handed on unchanged."""
    seen: set[str] = set()
    while (source := producer(name)) not in given:
        node = nodes.get(source)
        if name.startswith("^") or node is None or node.op != "Identity" or source in seen or not node.inputs:
            return False
        seen.add(source)
        name = node.inputs[0]
    return not name.startswith("^")


def named_nodes(meta: Any) -> Iterator[str]:
    """Give the nodes that a meta graph names for whoever runs it: in signatures, collections and assets."""
    for signature in meta.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield from _tensors(tensor)
    for asset in meta.asset_file_def:
        yield from _tensors(asset.tensor_info)
    for key, collection in meta.collection_def.items():
        yield from map(producer, collection.node_list.value)
        if key != "savers":  # they are not run, and name what they need to
            for value in collection.bytes_list.value:
                yield from _of_variable(value)


def _tensors(info: Any) -> Iterator[str]:
    sparse = info.coo_sparse
    for name in (info.name, sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name):
        if name:
            yield producer(name)
    for component in info.composite_tensor.components:
        yield from _tensors(component)


def _of_variable(serialized: bytes) -> Iterator[str]:
    """Give the nodes of a variable of TensorFlow 1; the loader rebuilds those and may run their initializers."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.framework import variable_pb2

    variable = variable_pb2.VariableDef()
    try:
        variable.ParseFromString(serialized)
    except DecodeError:
        return
    for name in (
        variable.variable_name,
        variable.initial_value_name,
        variable.initializer_name,
        variable.snapshot_name,
    ):
        if name:
            yield producer(name)


def _named_in_objects(meta: Any, kinds: Mapping[str, set[str]]) -> Iterator[str]:
    """Give what functions of the object graph, and gradients, run of a saver's operations."""
    library, objects = meta.graph_def.library, meta.object_graph_def
    named = set(objects.concrete_functions)
    for node in objects.nodes:
        named.update(node.function.concrete_functions)
        named.update((node.bare_concrete_function.concrete_function_name, node.captured_tensor.concrete_function))
    for gradient in library.gradient:
        named.update((gradient.function_name, gradient.gradient_func))
    named.update(gradient.gradient_func for gradient in library.registered_gradients)
    for name in kinds.keys() & named:
        yield from (f"{op} outside the saver" for op in kinds[name])
