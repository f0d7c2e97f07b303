"""States of a streaming file inside it: resource variables in place of inputs and outputs.

A state that is an input and an output of the file becomes a variable: ``VAR_HANDLE`` names it, ``READ_VARIABLE`` gives
what the step before left, ``ASSIGN_VARIABLE`` keeps what the next one takes. A subgraph that ``CALL_ONCE`` runs before
the first step fills it with zeros. No op that computes is touched. Field names are those of ``schema.fbs``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edge_runner.opnames import BUILTIN, TYPES
from tfcompress.errors import UnsupportedError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.graph_editor import numbers_of, with_options
from tfcompress.tflite.tree import Node, Numbers, Text, Value, parse_tree
from tfcompress.tflite.tree_writer import write_tree

_OPTIONS = {
    "CALL_ONCE": "CallOnceOptions",
    "VAR_HANDLE": "VarHandleOptions",
    "READ_VARIABLE": "ReadVariableOptions",
    "ASSIGN_VARIABLE": "AssignVariableOptions",
}
_INIT = "NoOp"
"""Name of the subgraph that fills the variables: what the converter itself calls it."""
_OLD_CODES = 127  # what deprecated_builtin_code can hold


def with_state_variables(content: bytes, states: Mapping[str, str]) -> bytes:
    """Return a streaming file that keeps its states itself.

    Args:
        content: a TFLite file with one signature, whose states are inputs and outputs.
        states: name of a state's input in the signature -> name of its output.

    Raises:
        UnsupportedError: it has several subgraphs, or a state is no input and output of it, or changes its scale.
    """
    return _Inside(parse_tree(content), states).content()


def keeps_states(content: bytes) -> bool:
    """Say whether a file keeps states in resource variables, which LiteRT never resets."""
    return any(op.name == "VAR_HANDLE" for op in read_model_file(content).ops)


class _Inside:
    def __init__(self, model: Node, states: Mapping[str, str]) -> None:
        graphs, signatures = model.nodes("subgraphs"), model.nodes("signature_defs")
        if len(graphs) != 1 or len(signatures) != 1:
            msg = f"states can be kept inside a file with one graph and one signature, got {len(graphs)} graphs"
            raise UnsupportedError(msg)
        self._model, self._graph, self._signature = model, graphs[0], signatures[0]
        self._codes = list(model.nodes("operator_codes"))
        self._buffers = list(model.nodes("buffers"))
        self._tensors = list(self._graph.nodes("tensors"))
        self._filled: list[Node] = []
        self._names = dict(states)
        named = [{e.text("name"): e.number("tensor_index") for e in self._signature.nodes(s)} for s in _SIDES]
        self._pairs = [(name, named[0].get(name, -1), named[1].get(after, -1)) for name, after in states.items()]
        for name, given, left in self._pairs:
            self._check(name, given, left)

    def _check(self, name: str, given: int, left: int) -> None:
        if min(given, left) < 0 or _meaning(self._tensors[given]) != _meaning(self._tensors[left]):
            msg = f"state {name!r} is not the same tensor at the file's input and at its output; keep states outside"
            raise UnsupportedError(msg)

    def content(self) -> bytes:
        """Write the file."""
        before, after = [self._op("CALL_ONCE", [], [], init_subgraph_index=1)], []
        start: list[Node] = []
        for name, given, left in self._pairs:
            handle = self._handle(name, self._tensors)
            before.append(self._op("VAR_HANDLE", [], [handle], shared_name=Text(name.encode())))
            before.append(self._op("READ_VARIABLE", [handle], [given]))
            after.append(self._op("ASSIGN_VARIABLE", [handle, left], []))
            start += self._filling(name, self._tensors[given])
        ops = (*before, *self._graph.nodes("operators"), *after)
        told = {side: tuple(self._told(side)) for side in _SIDES}
        ends = {side: numbers_of(_ends(self._graph.numbers(side), entries)) for side, entries in told.items()}
        main = self._graph.having(tensors=tuple(self._tensors), operators=ops, **ends)
        init = Node("SubGraph", {"name": Text(_INIT.encode())}).having(
            tensors=tuple(self._filled), operators=tuple(start)
        )
        return write_tree(
            self._model.having(
                subgraphs=(main, init),
                operator_codes=tuple(self._codes),
                buffers=tuple(self._buffers),
                signature_defs=(self._signature.having(**told),),
            )
        )

    def _told(self, side: str) -> Iterator[Node]:
        """Give the signature's entries that are no states; an answer may be the same tensor as a state."""
        states = self._names if side == "inputs" else set(self._names.values())
        return (entry for entry in self._signature.nodes(side) if entry.text("name") not in states)

    def _filling(self, name: str, like: Node) -> Iterator[Node]:
        """Give the ops that fill a variable with zeros."""
        handle = self._handle(name, self._filled)
        self._buffers.append(Node("Buffer", {"data": Numbers(1, _zeros(like))}))
        self._filled.append(like.having(name=Text(f"{name}_zeros".encode()), buffer=len(self._buffers) - 1))
        yield self._op("VAR_HANDLE", [], [handle], shared_name=Text(name.encode()))
        yield self._op("ASSIGN_VARIABLE", [handle, len(self._filled) - 1], [])

    def _handle(self, name: str, tensors: list[Node]) -> int:
        fields: dict[str, Value] = {"shape": numbers_of([]), "name": Text(f"{name}_handle".encode())}
        tensors.append(Node("Tensor", fields).having(type=TYPES.index("RESOURCE"), has_rank=1))
        return len(tensors) - 1

    def _op(self, op: str, inputs: Sequence[int], outputs: Sequence[int], **options: Value | int) -> Node:
        node = Node("Operator", {"inputs": numbers_of(inputs), "outputs": numbers_of(outputs)})
        return with_options(node.having(opcode_index=self._code(op)), _OPTIONS[op], **options)

    def _code(self, op: str) -> int:
        number = BUILTIN.index(op)
        for place, code in enumerate(self._codes):
            if code.number("builtin_code") == number:
                return place
        code = Node("OperatorCode", {}).having(
            builtin_code=number, deprecated_builtin_code=min(number, _OLD_CODES), version=1
        )
        self._codes.append(code)
        return len(self._codes) - 1


_SIDES = ("inputs", "outputs")


def _ends(numbers: Sequence[int], entries: Sequence[Node]) -> Iterator[int]:
    """Give those of a graph's inputs or outputs that a signature has entries of, as often as it has them."""
    left = Counter(entry.number("tensor_index") for entry in entries)
    for number in numbers:
        if left[number]:
            left[number] -= 1
            yield number


def _meaning(tensor: Node) -> tuple[object, ...]:
    """Return what a stored number of a tensor stands for, and its shape."""
    quantization = tensor.node("quantization")
    scales = () if quantization is None else (quantization.fields.get("scale"), quantization.numbers("zero_point"))
    return tensor.number("type"), tensor.numbers("shape"), scales


def _zeros(tensor: Node) -> bytes:
    """Return the bytes of as many zeros as a tensor holds."""
    dtype = np.dtype(TYPES[tensor.number("type")].lower())
    quantization = tensor.node("quantization")
    points = () if quantization is None else quantization.numbers("zero_point")
    return bytes(np.full(tensor.numbers("shape"), points[0] if points else 0, dtype).tobytes())
