"""Tensors and subgraphs of a TFLite file with the values it holds, which edge_runner's reader leaves in the file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge_runner.graph import FileSubgraph, FileTensor, Graph, NumberVector, Operator, SparseLayout
from edge_runner.opnames import ELEMENT_BITS

BITS = {kind.lower(): bits for kind, bits in ELEMENT_BITS.items() if bits}
"""Bits an element takes, of the types that have a size."""


@dataclass(frozen=True)
class StoredLayout:
    """A :class:`edge_runner.graph.SparseLayout` with its numbers.

    Attributes:
        order: axes of the tensor, then those within blocks, in the order in which they are stored.
        blocks: the axis of the tensor that each axis within blocks divides.
        axes: for each, its extent where all places are stored; else the segments and the indices of those that are.
    """

    order: tuple[int, ...]
    blocks: tuple[int, ...]
    axes: tuple[int | tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a subgraph.

    Attributes:
        index: its number in the subgraph.
        name: as the converter gave it; it mostly holds the names of the layers that were fused into it.
        shape: sizes; () for a scalar.
        shape_signature: the same with -1 where any size is meant.
        dtype: NumPy's name, or int4, int2, bfloat16, string, resource, variant.
        scales: quantization scales, one or one a channel; empty: not quantized.
            Real value = scale * (stored - zero point).
        zero_points: as many as scales.
        axis: axis that the scales run along.
        buffer: number of its buffer; 0: none.
        data: bytes stored for it (shape (bytes,), uint8, a view into the file); empty for what is computed.
        variable: keeps its value from one run to the next.
        sparse: stored in TFLite's sparse encoding.
        layout: where its values belong then.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    buffer: int
    data: np.ndarray = field(repr=False, compare=False)
    variable: bool
    sparse: bool
    layout: StoredLayout | None = field(default=None, repr=False, compare=False)

    @property
    def elements(self) -> int:
        """How many elements the shape has."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def constant(self) -> bool:
        """Whether the file holds its values."""
        return self.data.size > 0


@dataclass(frozen=True)
class Subgraph:
    """Tensors, and the ops between them in the order in which they run."""

    tensors: tuple[StoredTensor, ...]
    ops: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def of(self, numbers: tuple[int, ...]) -> tuple[StoredTensor, ...]:
        """Return tensors by number, without the absent ones."""
        return tuple(self.tensors[n] for n in numbers if n >= 0)


def with_values(graph: Graph, content: bytes) -> tuple[Subgraph, ...]:
    """Return the subgraphs of a file with views of the values it holds.

    Args:
        graph: what edge_runner read from *content*, its references checked.
        content: the whole file.
    """
    file = np.frombuffer(content, np.uint8)
    buffers = [file[start : start + size] for start, size in graph.buffers] or [file[:0]]
    return tuple(_subgraph(subgraph, buffers, file) for subgraph in graph.subgraphs)


def _subgraph(subgraph: FileSubgraph, buffers: list[np.ndarray], file: np.ndarray) -> Subgraph:
    tensors = tuple(_tensor(index, tensor, buffers, file) for index, tensor in enumerate(subgraph.tensors))
    return Subgraph(tensors, subgraph.operators, subgraph.inputs, subgraph.outputs)


def _tensor(index: int, tensor: FileTensor, buffers: list[np.ndarray], file: np.ndarray) -> StoredTensor:
    scales, points = tuple(tensor.quantization.scales), tuple(tensor.quantization.zero_points)
    return StoredTensor(
        index=index,
        name=tensor.name,
        shape=tensor.shape,
        shape_signature=tensor.signature if len(tensor.signature) == len(tensor.shape) else tensor.shape,
        dtype=tensor.type.lower(),
        scales=scales,
        zero_points=points if len(points) == len(scales) else (points or (0,))[:1] * len(scales),
        axis=tensor.quantization.axis,
        buffer=tensor.buffer,
        data=buffers[tensor.buffer],
        variable=tensor.is_variable,
        sparse=tensor.sparse,
        layout=None if tensor.layout is None else _stored_layout(tensor.layout, file),
    )


def _stored_layout(layout: SparseLayout, file: np.ndarray) -> StoredLayout:
    def read(numbers: NumberVector | None) -> np.ndarray:
        start, count, size = numbers or (0, 0, 1)
        return file[start : start + count * size].view(f"<u{size}").astype(np.int64)

    return StoredLayout(
        layout.order,
        layout.blocks,
        tuple(
            axis.size if axis.segments is None else (read(axis.segments), read(axis.indices)) for axis in layout.axes
        ),
    )
