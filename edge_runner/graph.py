"""What a .tflite file describes: subgraphs of ops and tensors, read field by field with every position checked.

Field numbers are those of TensorFlow Lite's ``schema.fbs``. Whether what is described makes sense is
:mod:`edge_runner.check`'s part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_runner import opnames
from edge_runner.cursor import Source, Table, refuse

IDENTIFIER = b"TFL3"
"""At byte 4 of every file."""
_MOST_CODE = 1023
_CALLS = {16: (0,), 92: (0, 1), 93: (0, 1), 103: (0,)}
"""Options of CALL, IF, WHILE and CALL_ONCE: the fields that name other subgraphs."""
_CALLS_2 = {15: (0, 1), 21: (1,)}
"""Likewise among the second kind of options: STABLEHLO_WHILE and STABLEHLO_COMPOSITE."""
_VECTORS = {3: (1, 2), 17: (0,), 30: (0,), 115: (0,)}
"""Options with vectors of four-byte items: CONCAT_EMBEDDINGS, RESHAPE, SQUEEZE, BUCKETIZE."""
_TEXTS = {111: (0, 1)}
"""Options with strings: VAR_HANDLE."""
_SPARSE_ITEM_BYTES = {1: 4, 2: 2, 3: 1}


class Buffer(NamedTuple):
    """Where a constant's bytes lie in the file."""

    start: int
    size_bytes: int


class NumberVector(NamedTuple):
    """Where unsigned whole numbers lie in the file: *length* of them, *item_bytes* each."""

    start: int
    length: int
    item_bytes: int


@dataclass(frozen=True)
class SparseAxis:
    """One axis of a sparse constant, in the order in which its values are stored.

    Attributes:
        size: its extent, where all places are stored.
        segments: where the places of each place of the axes before begin and end, as in compressed sparse rows; None:
            all places are stored.
        indices: the places that are stored.
    """

    size: int
    segments: NumberVector | None
    indices: NumberVector | None


@dataclass(frozen=True)
class SparseLayout:
    """Where the values of a sparse constant belong.

    Attributes:
        order: axes of the tensor, then those within blocks, in the order of *axes*.
        blocks: the axis of the tensor that each axis within blocks divides.
        axes: how each is stored.
    """

    order: tuple[int, ...]
    blocks: tuple[int, ...]
    axes: tuple[SparseAxis, ...]


@dataclass(frozen=True)
class Quantization:
    """How a tensor's numbers stand for reals.

    Attributes:
        scales: one, or one a slice along *axis*; empty: not quantized this way.
        zero_points: likewise.
        axis: of the slices.
        blockwise: scales come from another tensor, whose index this is; None otherwise.
    """

    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    blockwise: int | None = None


@dataclass(frozen=True)
class FileTensor:
    """A tensor of a subgraph.

    Attributes:
        name: as the converter wrote it.
        type: of its elements, a key of :data:`edge_runner.opnames.ELEMENT_BITS`.
        shape: extents as in the file, where an open one stands as 1.
        signature: extents with -1 for open ones; empty when none is open.
        buffer: number of the constant's bytes; a variable's or an activation's buffer is empty.
        buffer_bytes: how many bytes that buffer has.
        is_variable: keeps its value from one inference to the next.
        sparse: its buffer holds only the non-zero values.
        external: its bytes lie in another file.
        quantization: of its numbers.
        layout: where the values of a sparse one belong.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    buffer: int
    buffer_bytes: int
    is_variable: bool
    sparse: bool
    external: bool
    quantization: Quantization
    layout: SparseLayout | None = None

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        product = 1
        for extent in self.shape:
            product *= extent
        return product

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all elements; None for strings and resources, whose size no shape gives."""
        bits = opnames.ELEMENT_BITS[self.type]
        return -(-self.elements * bits // 8) if bits else None

    @property
    def constant(self) -> bool:
        """Whether the file holds its values."""
        return self.buffer_bytes > 0 or self.external


@dataclass(frozen=True)
class Operator:
    """One op of a subgraph; -1 among its tensors is an optional one that was left out.

    Attributes:
        name: ``CONV_2D``, or a custom op's own name.
        version: of the op's definition.
        custom: not one of TensorFlow Lite's own.
        inputs: tensors' indices.
        outputs: likewise.
        intermediates: likewise.
        calls: subgraphs that it runs.
    """

    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...] = ()
    calls: tuple[int, ...] = ()

    @property
    def flex(self) -> bool:
        """Whether it is a TensorFlow op that only the big runtime has."""
        return self.custom and self.name.startswith("Flex")


@dataclass(frozen=True)
class FileSubgraph:
    """A list of ops in the order in which they run, and the tensors they share."""

    tensors: tuple[FileTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class FileSignature:
    """Names of a subgraph's inputs and outputs: name -> tensor's index."""

    key: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """A whole file; the first subgraph is the one that runs."""

    version: int
    description: str
    subgraphs: tuple[FileSubgraph, ...]
    buffers: tuple[Buffer, ...]
    signatures: tuple[FileSignature, ...]
    metadata: dict[str, int]
    custom_operators: tuple[str, ...]


class _Code(NamedTuple):
    name: str
    version: int
    custom: bool


def read_graph(content: bytes | memoryview) -> Graph:
    """Return what the file describes.

    Raises:
        ModelFileError: it is empty, truncated, something else, or a position leads out of it.
    """
    source = Source(memoryview(content))
    if not source.size:
        refuse("the file is empty")
    if source.size < 8 or bytes(source.data[4:8]) != IDENTIFIER:
        refuse("not a .tflite file: the identifier 'TFL3' is missing at byte 4")
    model = source.root()
    codes = [_code(table) for table in model.tables(1)]
    buffers = tuple(_buffer(table, number, source.size) for number, table in enumerate(model.tables(4)))
    return Graph(
        version=model.number(0, "I"),
        description=model.text(3),
        subgraphs=tuple(_subgraph(table, codes, buffers) for table in model.tables(2)),
        buffers=buffers,
        signatures=tuple(_signature(table) for table in model.tables(7)),
        metadata={table.text(0): table.number(1, "I") for table in model.tables(6)},
        custom_operators=tuple(code.name for code in codes if code.custom),
    )


def _code(table: Table) -> _Code:
    number = max(table.number(0, "b"), table.number(3, "i"))
    version = table.number(2, "i", 1)
    if not 0 <= number <= _MOST_CODE:
        refuse(f"op code {number} is none of TensorFlow Lite's")
    custom = table.text(1)
    if number == opnames.CUSTOM:
        return _Code(custom or "CUSTOM", version, custom=True)
    return _Code(opnames.op_name(number), version, custom=False)


def _buffer(table: Table, number: int, file_bytes: int) -> Buffer:
    start, size = table.vector(0, 1)
    offset, length = table.number(1, "Q"), table.number(2, "Q")
    if offset <= 1:
        return Buffer(start, size)
    if offset + length > file_bytes:
        refuse(f"buffer {number} reaches to byte {offset + length} of a file of {file_bytes} bytes")
    return Buffer(offset, length)


def _subgraph(table: Table, codes: list[_Code], buffers: tuple[Buffer, ...]) -> FileSubgraph:
    table.text(4)
    return FileSubgraph(
        tensors=tuple(_tensor(tensor, number, buffers) for number, tensor in enumerate(table.tables(0))),
        inputs=table.numbers(1),
        outputs=table.numbers(2),
        operators=tuple(_operator(operator, number, codes) for number, operator in enumerate(table.tables(3))),
    )


def _tensor(table: Table, number: int, buffers: tuple[Buffer, ...]) -> FileTensor:
    kind, buffer = table.number(1, "b"), table.number(2, "I")
    if not 0 <= kind < len(opnames.TYPES):
        refuse(f"tensor {number} is of type {kind}, which is none of TensorFlow Lite's")
    if buffer >= max(len(buffers), 1):
        refuse(f"tensor {number} uses buffer {buffer}, and there are {len(buffers)}")
    sparsity = table.table(6)
    for variant in table.tables(9):
        variant.sound()
    return FileTensor(
        name=table.text(3),
        type=opnames.TYPES[kind],
        shape=table.numbers(0),
        signature=table.numbers(7),
        buffer=buffer,
        buffer_bytes=buffers[buffer].size_bytes if buffers else 0,
        is_variable=bool(table.number(5, "b")),
        sparse=sparsity is not None,
        external=bool(table.number(10, "I")),
        quantization=_quantization(table.table(4)),
        layout=None if sparsity is None else _layout(sparsity),
    )


def _quantization(table: Table | None) -> Quantization:
    if table is None:
        return Quantization()
    table.vector(0, 4)
    table.vector(1, 4)
    kind, details = table.number(4, "B"), table.table(5)
    if details is not None and kind == 1:
        details.vector(0, 1)
    blockwise = details.number(0, "i") if details is not None and kind == 2 else None
    return Quantization(table.reals(2), table.longs(3), table.number(6, "i"), blockwise)


def _layout(table: Table) -> SparseLayout:
    axes = []
    for axis in table.tables(2):
        segments, indices = (_sparse_numbers(axis, kind) for kind in (2, 4))
        stored = (segments, indices) if axis.number(0, "b") else (None, None)
        axes.append(SparseAxis(axis.number(1, "i"), *stored))
    return SparseLayout(table.numbers(0), table.numbers(1), tuple(axes))


def _sparse_numbers(axis: Table, kind_field: int) -> NumberVector | None:
    kind, values = axis.number(kind_field, "B"), axis.table(kind_field + 1)
    if values is None:
        return None
    size = _SPARSE_ITEM_BYTES.get(kind, 1)
    return NumberVector(*values.vector(0, size), size)


def _operator(table: Table, number: int, codes: list[_Code]) -> Operator:
    place = table.number(0, "I")
    if place >= len(codes):
        refuse(f"op {number} uses op code {place}, and there are {len(codes)}")
    table.vector(5, 1)
    table.vector(7, 1)
    calls = _options(table, 3, _CALLS) + _options(table, 11, _CALLS_2)
    code = codes[place]
    return Operator(
        code.name, code.version, code.custom, table.numbers(1), table.numbers(2), table.numbers(8), tuple(calls)
    )


def _options(operator: Table, field: int, calls: dict[int, tuple[int, ...]]) -> list[int]:
    """Check the options whose type stands in *field* and which follow it; return the subgraphs that they name."""
    kind, options = operator.number(field, "B"), operator.table(field + 1)
    if options is None:
        return []
    options.sound()
    if calls is _CALLS:
        for place in _VECTORS.get(kind, ()):
            options.vector(place, 4)
        for place in _TEXTS.get(kind, ()):
            options.text(place)
    return [options.number(place, "i") for place in calls.get(kind, ())]


def _signature(table: Table) -> FileSignature:
    inputs, outputs = ({entry.text(0): entry.number(1, "I") for entry in table.tables(field)} for field in (0, 1))
    return FileSignature(table.text(2), table.number(4, "I"), inputs, outputs)
