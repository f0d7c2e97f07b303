"""The main subgraph of a TFLite file, open for new tensors, constants and ops; written again as a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edge_runner.opnames import BUILTIN, TYPES
from tfcompress.errors import UnsupportedError
from tfcompress.tflite.equal_steps import Ops
from tfcompress.tflite.tree import Node, Numbers, Text, Value, parse_tree, schema
from tfcompress.tflite.tree_writer import write_tree

_REFERENCES = ("inputs", "outputs", "intermediates")
_SIDES = ("inputs", "outputs")
_BY_NUMBER = "model_control_dependencies"  # metadata that goes by numbers of ops
_OLD_CODES = 127  # what deprecated_builtin_code can hold


class GraphEditor:
    """The main subgraph of a file; other subgraphs stay as they are.

    Attributes:
        tensors: its tensors; numbers of old ones stay what they were.
        ops: its ops in the order in which they will run.
    """

    def __init__(self, content: bytes) -> None:
        """Open a file.

        Args:
            content: a TFLite file that :func:`tfcompress.tflite.flatbuffer.read_model_file` has read.

        Raises:
            UnsupportedError: the file holds what this version does not know, or goes by numbers of ops.
        """
        self._model = parse_tree(content)
        if any(entry.text("name") == _BY_NUMBER for entry in self._model.nodes("metadata")):
            msg = "the file says in which order its ops run, by their numbers; leave it as it is"
            raise UnsupportedError(msg)
        self._graph = self._model.nodes("subgraphs")[0]
        self.tensors = list(self._graph.nodes("tensors"))
        self.ops = list(self._graph.nodes("operators"))
        self._buffers = list(self._model.nodes("buffers"))
        self._codes = list(self._model.nodes("operator_codes"))
        self._names = {tensor.text("name") for tensor in self.tensors}
        self._others = list(self._model.nodes("subgraphs")[1:])

    def read(self) -> Ops:
        """Return the ops as they are now, with who makes and who takes each tensor."""
        signatures = [each for each in self._model.nodes("signature_defs") if not each.number("subgraph_index")]
        named = (entry for each in signatures for side in _SIDES for entry in each.nodes(side))
        ends = {*self._graph.numbers("outputs"), *(entry.number("tensor_index") for entry in named)}
        model = self._model.having(operator_codes=tuple(self._codes), buffers=tuple(self._buffers))
        return Ops(model, self.ops, self.tensors, ends)

    def add_graph(self, graph: Node) -> int:
        """Add a subgraph, and return its number."""
        self._others.append(graph)
        return len(self._others)

    def add_buffer(self, content: bytes) -> int:
        """Add a constant's values, and return the number of its buffer."""
        self._buffers.append(Node("Buffer", {"data": Numbers(1, content)}))
        return len(self._buffers) - 1

    def add_tensor(self, tensor: Node) -> int:
        """Add a tensor as it is, and return its number."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def sort_ops(self) -> None:
        """Put each op behind those that make what it takes; elsewhere their order stays."""
        makers = {number: place for place, op in enumerate(self.ops) for number in op.numbers("outputs")}
        done: dict[int, None] = {}
        for start in range(len(self.ops)):
            waiting = [start]
            while waiting:
                place = waiting[-1]
                needed = {makers[n] for n in self.ops[place].numbers("inputs") if n in makers} - done.keys()
                if place in done or not needed:
                    done[waiting.pop()] = None
                else:
                    waiting.extend(sorted(needed))
        self.ops = [self.ops[place] for place in done]

    def add_constant(
        self,
        values: np.ndarray,
        dtype: str,
        like: int,
        scales: Sequence[float] | np.ndarray = (),
        axis: int = 0,
        zero_points: Sequence[int] = (),
    ) -> int:
        """Add a constant tensor and return its number.

        Args:
            values: of any shape; whole numbers where *scales* are given.
            dtype: NumPy's name, or ``int4``.
            like: number of the tensor that it stands for, whose name it gets.
            scales: one, or one a place along *axis*.
            axis: that the scales run along.
            zero_points: as many as scales; empty: 0 for each.
        """
        self._buffers.append(Node("Buffer", {"data": Numbers(1, _stored(values, dtype))}))
        quantization = _quantization(scales, zero_points or [0] * len(scales), axis) if len(scales) else None
        return self._add_tensor(values.shape, dtype, like, quantization, buffer=len(self._buffers) - 1)

    def add_like(self, like: int, dtype: str, scale: float = 0.0, zero_point: int = 0) -> int:
        """Add a tensor that is computed, and return its number.

        Args:
            like: number of the tensor whose shape and name it gets.
            dtype: NumPy's name, or ``int4``.
            scale: its quantization scale; 0: it is not quantized.
            zero_point: the stored number that stands for 0.0.
        """
        quantization = _quantization([scale], [zero_point], 0) if scale else None
        return self._add_tensor(self.tensors[like].numbers("shape"), dtype, like, quantization)

    def _add_tensor(
        self, shape: Sequence[int], dtype: str, like: int, quantization: Node | None, *, buffer: int = 0
    ) -> int:
        name = f"{self.tensors[like].text('name').partition(';')[0]}_{dtype}"
        count = 1
        while name in self._names:
            count += 1
            name = f"{name.rstrip('0123456789') if count > 2 else f'{name}_'}{count}"
        self._names.add(name)
        fields: dict[str, Value] = {
            "shape": Numbers(4, np.asarray(shape, "<i4").tobytes()),
            "name": Text(name.encode()),
        }
        tensor = Node("Tensor", fields).having(
            type=TYPES.index(dtype.upper()), buffer=buffer, quantization=quantization
        )
        signature = self.tensors[like].fields.get("shape_signature")
        if not buffer and signature is not None:
            tensor = tensor.having(shape_signature=signature)
        self.tensors.append(tensor.having(has_rank=1))
        return len(self.tensors) - 1

    def name_of(self, tensor: int) -> str:
        """Return the name of a tensor."""
        return self.tensors[tensor].text("name")

    def _code(self, op: str, version: int) -> int:
        """Return the number of an operator code, which is added where there is none."""
        number = BUILTIN.index(op)
        for place in sorted(self._codes_of(op)):
            if self._codes[place].number("version") == version:
                return place
        code = Node("OperatorCode", {}).having(
            builtin_code=number, deprecated_builtin_code=min(number, _OLD_CODES), version=version
        )
        self._codes.append(code)
        return len(self._codes) - 1

    def cast(self, op: str, version: int, given: int, made: int) -> Node:
        """Return an op that only changes how numbers are stored: QUANTIZE or DEQUANTIZE."""
        return self.placed(Node("Operator", {}), op, version, [given], [made])

    def placed(self, node: Node, op: str, version: int, inputs: Iterable[int], outputs: Iterable[int]) -> Node:
        """Return an op like *node*, with its options, between other tensors."""
        return node.having(opcode_index=self._code(op, version), inputs=numbers_of(inputs), outputs=numbers_of(outputs))

    def placed_as(self, node: Node, inputs: Iterable[int], outputs: Iterable[int]) -> Node:
        """Return the same op between other tensors."""
        return node.having(inputs=numbers_of(inputs), outputs=numbers_of(outputs))

    def before_softmax(self) -> tuple[str, ...]:
        """Let outputs that a softmax makes give what it takes; returns their names.

        Squared differences of probabilities are those of the few samples that are nearest to two classes; those of what
        comes before are of all samples.
        """
        makers = {number: op for op in self.ops for number in op.numbers("outputs")}
        softmax, casts = self._codes_of("SOFTMAX"), self._codes_of("QUANTIZE") | self._codes_of("DEQUANTIZE")
        found: dict[int, int] = {}
        for output in self._graph.numbers("outputs"):
            number, op = output, makers.get(output)
            while op is not None and op.number("opcode_index") in casts:
                number = op.numbers("inputs")[0]
                op = makers.get(number)
            if op is not None and op.number("opcode_index") in softmax:
                found[output] = op.numbers("inputs")[0]
        return self._redirect_(found)

    def _codes_of(self, op: str) -> set[int]:
        """Return the numbers of the operator codes of a builtin op, one a version."""
        number = BUILTIN.index(op)
        return {place for place, code in enumerate(self._codes) if _number(code) == number}

    def _redirect_(self, tensors: Mapping[int, int]) -> tuple[str, ...]:
        """Let outputs be other tensors, by number; returns their names in the signature."""
        outputs = (tensors.get(number, number) for number in self._graph.numbers("outputs"))
        self._graph = self._graph.having(outputs=numbers_of(outputs))
        names: list[str] = []
        signatures = []
        for signature in self._model.nodes("signature_defs"):
            entries = []
            for entry in signature.nodes("outputs"):
                number = entry.number("tensor_index")
                if number in tensors and not signature.number("subgraph_index"):
                    names.append(entry.text("name"))
                    number = tensors[number]
                entries.append(entry.having(tensor_index=number))
            signatures.append(signature.having(outputs=tuple(entries)))
        self._model = self._model.having(signature_defs=tuple(signatures) or None)
        return tuple(names)

    def content(self, inputs: Sequence[int] = (), outputs: Sequence[int] = ()) -> bytes:
        """Return the file, without tensors that nothing refers to.

        Args:
            inputs: numbers of tensors that become its only inputs, without a signature; none: those that it has.
            outputs: the same of its outputs.
        """
        ends = (inputs, outputs) if inputs or outputs else tuple(map(self._graph.numbers, ("inputs", "outputs")))
        signatures = () if inputs or outputs else self._model.nodes("signature_defs")
        numbers = self._kept((*ends[0], *ends[1]), signatures)
        graph = self._graph.having(
            tensors=tuple(self.tensors[number] for number in numbers),
            operators=tuple(_renumbered_op(op, numbers) for op in self.ops),
            inputs=numbers_of(numbers[n] for n in ends[0]),
            outputs=numbers_of(numbers[n] for n in ends[1]),
        )
        model = self._model.having(
            subgraphs=(graph, *self._others),
            buffers=self._used_buffers(graph),
            operator_codes=tuple(self._codes),
            signature_defs=tuple(_renumbered_signature(each, numbers) for each in signatures) or None,
        )
        return write_tree(model)

    def _used_buffers(self, graph: Node) -> tuple[Node, ...]:
        """Return the buffers, empty where nothing refers to them any more; their numbers stay."""
        graphs = (graph, *self._others)
        used = {tensor.number("buffer") for each in graphs for tensor in each.nodes("tensors")}
        used |= {entry.number("buffer") for entry in self._model.nodes("metadata")}
        used |= set(self._model.numbers("metadata_buffer"))
        return tuple(buffer if n in used else Node("Buffer", {}) for n, buffer in enumerate(self._buffers))

    def _kept(self, ends: Sequence[int], signatures: Sequence[Node]) -> dict[int, int]:
        """Return the new number of each tensor that something refers to, by its old one."""
        used = set(ends)
        for op in self.ops:
            used.update(n for field in _REFERENCES for n in op.numbers(field))
        for signature in signatures:
            if not signature.number("subgraph_index"):
                used.update(e.number("tensor_index") for side in _SIDES for e in signature.nodes(side))
        return {old: new for new, old in enumerate(sorted(used - {-1}))}


def _renumbered_op(op: Node, numbers: Mapping[int, int]) -> Node:
    changed = {
        field: numbers_of(numbers.get(n, -1) for n in op.numbers(field)) for field in _REFERENCES if field in op.fields
    }
    return op.having(**changed)


def _renumbered_signature(signature: Node, numbers: Mapping[int, int]) -> Node:
    if signature.number("subgraph_index"):
        return signature
    sides = {
        side: tuple(e.having(tensor_index=numbers[e.number("tensor_index")]) for e in signature.nodes(side))
        for side in _SIDES
    }
    return signature.having(**sides)


def _number(code: Node) -> int:
    """Return the number of the op that an operator code stands for."""
    return max(code.number("builtin_code"), code.number("deprecated_builtin_code"))


def numbers_of(values: Iterable[int]) -> Numbers:
    """Return whole numbers as a file holds them: those of tensors, or a shape."""
    return Numbers(4, np.asarray(list(values), "<i4").tobytes())


def with_options(op: Node, table: str, **options: Value | int) -> Node:
    """Return an op with options.

    Args:
        op: the op.
        table: what the schema calls the table of its options.
        options: its fields.
    """
    kind = next(int(number) for number, name in schema()["unions"]["BuiltinOptions"].items() if name == table)
    return op.having(builtin_options_type=kind, builtin_options=Node(table, {}).having(**options))


def _quantization(scales: Sequence[float] | np.ndarray, zero_points: Sequence[int], axis: int) -> Node:
    fields = {
        "scale": Numbers(4, np.asarray(scales, "<f4").tobytes()),
        "zero_point": Numbers(8, np.asarray(zero_points, "<i8").tobytes()),
    }
    return Node("QuantizationParameters", fields).having(quantized_dimension=axis)


def _stored(values: np.ndarray, dtype: str) -> bytes:
    """Return the bytes of a constant; of 4 bits two share a byte, the first one in its lower half."""
    if dtype != "int4":
        return bytes(values.astype(np.dtype(dtype).newbyteorder("<")).tobytes())
    flat = values.astype(np.int8).reshape(-1).view(np.uint8) & 0x0F
    pairs = np.append(flat, np.zeros(len(flat) % 2, np.uint8)).reshape(-1, 2)
    return bytes((pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8).tobytes())
