"""What a ``.tflite`` file holds, read without an interpreter: subgraphs, ops, tensors, signatures, metadata.

Reading never runs anything, and a malformed file ends in one clear error. Field numbers are those of TensorFlow's
``schema.fbs``.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfcompress.errors import ModelError
from tfcompress.tflite import costs, weights
from tfcompress.tflite.cursor import Bytes, Table, malformed
from tfcompress.tflite.tensors import DTYPES, Op, Subgraph, Tensor

IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class FileSignature:
    """Names of a subgraph's inputs and outputs: name -> number of the tensor."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True)
class IOTensor:
    """An input or output of a file.

    Attributes:
        name: in the signature; the tensor's own name where the file has no signature.
        shape: sizes with the batch axis, -1 where any size is meant.
        dtype: NumPy's name.
        scale: quantization scale; None: not quantized.
        zero_point: the stored number that stands for 0.0; None: not quantized.
        index: number of the tensor in the main subgraph.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    index: int

    @property
    def example_shape(self) -> tuple[int, ...]:
        """A shape that it can take: one sample (or the file's batch), and 96 where any size is meant."""
        batch, *sizes = self.shape or (1,)
        return (max(1, batch), *(96 if size < 0 else size for size in sizes)) if self.shape else ()

    def __str__(self) -> str:
        sizes = ", ".join("any" if size < 0 else str(size) for size in self.shape)
        quantized = f" scale {self.scale:.6g} zero point {self.zero_point}" if self.scale else ""
        return f"{self.name} {self.dtype} ({sizes}){quantized}"


@dataclass(frozen=True)
class FlatModel:
    """A whole file.

    Attributes:
        size_bytes: of the file.
        description: what the converter wrote there.
        subgraphs: the main one, then those of control flow.
        signatures: named ways in.
        metadata: entries by name.
    """

    size_bytes: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[FileSignature, ...]
    metadata: Mapping[str, bytes]

    @property
    def ops(self) -> Iterator[Op]:
        """Every op of every subgraph."""
        return (op for graph in self.subgraphs for op in graph.ops)

    @property
    def tensor_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of all tensors, one tuple a subgraph; packed files have them of inputs and outputs only."""
        return tuple(tuple(tensor.name for tensor in graph.tensors) for graph in self.subgraphs)

    @property
    def parameters(self) -> int:
        """Real numbers that the file holds: kernels, biases and other constants of the computation."""
        return weights.parameters(self.subgraphs)

    @property
    def nonzero(self) -> int:
        """Parameters that are not 0.0."""
        return weights.nonzero(self.subgraphs)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, in convolutions, dense and recurrent layers."""
        return sum(row.macs for row in self.table())

    def table(self) -> tuple[costs.OpFacts, ...]:
        """Return one row an op of the main subgraph, in the order in which they run."""
        return costs.table(self.subgraphs[0])

    @property
    def op_counts(self) -> dict[str, int]:
        """How often each op occurs, the most frequent first."""
        return dict(Counter(op.name for op in self.ops).most_common())

    @property
    def inputs(self) -> tuple[IOTensor, ...]:
        """Inputs of the main subgraph."""
        signature = self._signature()
        return self._named("input", self.subgraphs[0].inputs, signature.inputs if signature else None)

    @property
    def outputs(self) -> tuple[IOTensor, ...]:
        """Outputs of the main subgraph."""
        signature = self._signature()
        return self._named("output", self.subgraphs[0].outputs, signature.outputs if signature else None)

    def _signature(self) -> FileSignature | None:
        return next((s for s in self.signatures if s.subgraph == 0), None)

    def _named(self, kind: str, numbers: tuple[int, ...], named: Mapping[str, int] | None) -> tuple[IOTensor, ...]:
        tensors = self.subgraphs[0].tensors
        if named is None:
            names = [tensors[number].name for number in numbers]
            unique = "" not in names and len(set(names)) == len(names)
            named = {name if unique else f"{kind}_{place}": numbers[place] for place, name in enumerate(names)}
        return tuple(_io(name, tensors[number]) for name, number in named.items())


@functools.cache
def op_names() -> dict[int, str]:
    """Return the names of the builtin ops by number, as the installed LiteRT knows them."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    return {number: name for name, number in vars(BuiltinOperator).items() if not name.startswith("_")}


def read(content: bytes) -> FlatModel:
    """Read a TFLite file.

    Args:
        content: the whole file; the arrays in the result are views into it.

    Raises:
        ModelError: it is not a TFLite file, or a malformed one.
    """
    if content[4:8] != IDENTIFIER:
        got = "an empty file" if not content else f"{content[4:8]!r} there"
        msg = f"not a TFLite file: bytes 4 to 8 must be {IDENTIFIER!r}, got {got}; give a .tflite file"
        raise ModelError(msg)
    root = Bytes(content).root()
    buffers = [_buffer(table) for table in root.tables(4)]
    codes = [_op_code(table) for table in root.tables(1)]
    graphs = tuple(_subgraph(table, codes, buffers) for table in root.tables(2))
    if not graphs:
        msg = "malformed TFLite file: it holds no subgraph; convert the model again"
        raise ModelError(msg)
    return FlatModel(
        size_bytes=len(content),
        description=root.text(3),
        subgraphs=graphs,
        signatures=tuple(_signature(table, graphs) for table in root.tables(7)),
        metadata={t.text(0): _item(buffers, t.integer(1, "<I"), "buffer").tobytes() for t in root.tables(6)},
    )


def _io(name: str, tensor: Tensor) -> IOTensor:
    quantized = bool(tensor.scales)
    return IOTensor(
        name=name,
        shape=tensor.shape_signature,
        dtype=tensor.dtype,
        scale=tensor.scales[0] if quantized else None,
        zero_point=tensor.zero_points[0] if quantized else None,
        index=tensor.index,
    )


def _item(items: list[np.ndarray], number: int, what: str) -> np.ndarray:
    if not 0 <= number < len(items):
        malformed(f"{what} {number} of {len(items)}")
    return items[number]


def _buffer(table: Table) -> np.ndarray:
    offset, size = table.integer(1, "<Q"), table.integer(2, "<Q")
    if offset <= 1:
        return table.array(0, "u1")
    table.source.span(offset, size)
    return np.frombuffer(table.source.content, np.uint8, size, offset)  # files above 2 GB keep their buffers behind


def _op_code(table: Table) -> tuple[str, int, bool]:
    number = max(table.integer(0, "<b"), table.integer(3, "<i"))
    name = op_names().get(number, f"BUILTIN_{number}")
    custom = name == "CUSTOM"
    return (table.text(1) or "CUSTOM") if custom else name, table.integer(2, "<i", 1), custom


def _numbers(table: Table, slot: int, count: int, what: str, least: int = 0) -> tuple[int, ...]:
    values = tuple(int(v) for v in table.array(slot, "<i4"))
    for value in values:
        if not least <= value < count:
            malformed(f"{what} {value} of {count}")
    return values


def _subgraph(table: Table, codes: list[tuple[str, int, bool]], buffers: list[np.ndarray]) -> Subgraph:
    tensors = tuple(_tensor(index, item, buffers) for index, item in enumerate(table.tables(0)))
    return Subgraph(
        name=table.text(4),
        tensors=tensors,
        ops=tuple(_op(item, codes, len(tensors)) for item in table.tables(3)),
        inputs=_numbers(table, 1, len(tensors), "tensor"),
        outputs=_numbers(table, 2, len(tensors), "tensor"),
    )


def _op(table: Table, codes: list[tuple[str, int, bool]], tensors: int) -> Op:
    number = table.integer(0, "<I")
    if number >= len(codes):
        malformed(f"operator code {number} of {len(codes)}")
    return Op(*codes[number], _numbers(table, 1, tensors, "tensor", -1), _numbers(table, 2, tensors, "tensor", -1))


def _tensor(index: int, table: Table, buffers: list[np.ndarray]) -> Tensor:
    number = table.integer(1, "<b")
    if not 0 <= number < len(DTYPES):
        malformed(f"a tensor type {number}, which this version does not know")
    shape = tuple(int(size) for size in table.array(0, "<i4"))
    if any(size < 0 for size in shape):
        malformed(f"a tensor of shape {shape}")
    signature = tuple(int(size) for size in table.array(7, "<i4"))
    buffer = table.integer(2, "<I")
    scales, zero_points, axis = _quantization(table.table(4))
    return Tensor(
        index=index,
        name=table.text(3),
        shape=shape,
        shape_signature=signature if len(signature) == len(shape) else shape,
        dtype=DTYPES[number],
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        buffer=buffer,
        data=_item(buffers, buffer, "buffer"),
        variable=bool(table.integer(5, "<b")),
        sparse=table.table(6) is not None,
    )


def _quantization(table: Table | None) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    if table is None:
        return (), (), 0
    scales = tuple(float(s) for s in table.array(2, "<f4"))
    zero_points = tuple(int(z) for z in table.array(3, "<i8"))
    if len(zero_points) != len(scales):
        zero_points = (zero_points or (0,))[:1] * len(scales)
    return scales, zero_points, table.integer(6, "<i")


def _signature(table: Table, graphs: tuple[Subgraph, ...]) -> FileSignature:
    number = table.integer(4, "<I")
    if number >= len(graphs):
        malformed(f"subgraph {number} of {len(graphs)}")
    count = len(graphs[number].tensors)
    return FileSignature(table.text(2), number, _tensor_map(table, 0, count), _tensor_map(table, 1, count))


def _tensor_map(table: Table, slot: int, tensors: int) -> dict[str, int]:
    named = {entry.text(0): entry.integer(1, "<I") for entry in table.tables(slot)}
    for number in named.values():
        if number >= tensors:
            malformed(f"tensor {number} of {tensors}")
    return named
