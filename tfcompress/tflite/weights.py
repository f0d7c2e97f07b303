"""The weights inside a ``.tflite`` file: kernels, zeros, distinct values, bytes by dtype."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_runner.graph import Operator
from tfcompress.tflite.sparse_layout import dense_values
from tfcompress.tflite.tensors import BITS, StoredTensor, Subgraph

KERNEL_INPUTS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "FULLY_CONNECTED": (1,),
    "TRANSPOSE_CONV": (1,),
    "CONV_3D": (1,),
    "CONV_3D_TRANSPOSE": (1,),
    "EMBEDDING_LOOKUP": (1,),
    "GATHER": (0,),
    "BATCH_MATMUL": (0, 1),
    "SVDF": (1, 2),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 9)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), *range(18, 26)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
}
"""Which inputs of an op are kernels."""
_CHANNEL_AXIS = {"DEPTHWISE_CONV_2D": -1, "CONV_3D": -1, "BATCH_MATMUL": -1}  # of the others: 0
_STORAGE = {"DEQUANTIZE", "DENSIFY"}  # ops that only unpack a constant


Graphs = Sequence[Subgraph]


@dataclass(frozen=True)
class Kernel:
    """A constant that an op multiplies with.

    Attributes:
        op: name of the op.
        tensor: the constant as stored.
        axis: axis of the output channels.
        graph: number of the subgraph.
    """

    op: str
    tensor: StoredTensor
    axis: int
    graph: int = 0


@dataclass(frozen=True)
class KernelFacts:
    """What a kernel's values are like.

    Attributes:
        name: name of its tensor.
        op: name of the op that uses it.
        shape: its shape.
        dtype: as stored.
        size_bytes: bytes stored for it.
        zeros: fraction of its elements that stand for 0.0.
        distinct: different stored values in the whole kernel; None: not counted (sparse encoding of a packed type).
        distinct_per_channel: the most different values in one output channel; None: not known (a sparse encoding whose
            places make no sense).
        sparse: stored in TFLite's sparse encoding.
        entropy_bytes: the fewest bytes in which a code that treats every stored value alike can hold them (Shannon
            1948: elements times the entropy of the values' frequencies); None where the values are not known.
        place: number of the subgraph, and of the tensor in it.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    zeros: float
    distinct: int | None
    distinct_per_channel: int | None
    sparse: bool
    entropy_bytes: int | None = None
    place: tuple[int, int] = field(default=(0, -1), compare=False)


def kernels(graphs: Graphs) -> Iterator[Kernel]:
    """Go through the kernels of all ops, each constant once, in however many graphs it is taken.

    The first step of a loop stands in another graph than the others, and has their kernels.
    """
    seen: set[tuple[int, int]] = set()
    graph_of: dict[tuple[object, ...], int] = {}
    for number, graph in enumerate(graphs):
        producers = producers_of(graph)
        for op in graph.ops:
            for place in KERNEL_INPUTS.get(op.name, ()):
                tensor = constant_behind(graph, producers, op, place)
                if tensor is None or (number, tensor.index) in seen:
                    continue
                seen.add((number, tensor.index))
                same = (tensor.buffer, tensor.shape, tensor.dtype, tensor.scales, tensor.zero_points)
                if graph_of.setdefault(same, number) == number:
                    yield Kernel(op.name, tensor, _CHANNEL_AXIS.get(op.name, 0), number)


def bits_by_op(graph: Subgraph) -> dict[int, int]:
    """Return the bits of a number of the largest kernel of each op that has one, by the op's place."""
    producers, found = producers_of(graph), {}
    for number, op in enumerate(graph.ops):
        behind = (constant_behind(graph, producers, op, place) for place in KERNEL_INPUTS.get(op.name, ()))
        held = [tensor for tensor in behind if tensor is not None and tensor.dtype in BITS]
        if held:
            found[number] = BITS[max(held, key=lambda tensor: math.prod(tensor.shape)).dtype]
    return found


def producers_of(graph: Subgraph) -> dict[int, Operator]:
    """Return the op that computes each tensor, by the tensor's number."""
    return {number: op for op in graph.ops for number in op.outputs}


def constant_behind(graph: Subgraph, producers: dict[int, Operator], op: Operator, place: int) -> StoredTensor | None:
    """Return the constant behind an op's input, through what unpacks it."""
    number = op.inputs[place] if place < len(op.inputs) else -1
    for _ in range(len(_STORAGE) + 1):
        if number < 0:
            return None
        tensor = graph.tensors[number]
        if tensor.constant:
            return tensor
        producer = producers.get(number)
        if producer is None or producer.name not in _STORAGE or not producer.inputs:
            return None
        number = producer.inputs[0]
    return None


def unpacks_constant(graph: Subgraph, op: Operator) -> bool:
    """Say whether an op does nothing but unpack a constant, or what was unpacked of one."""
    return op.name in _STORAGE and constant_behind(graph, producers_of(graph), op, 0) is not None


def kernel_sizes(graph: Subgraph) -> dict[int, int]:
    """Return how many weights the kernel of each dense or convolutional op has, by the op's place."""
    producers, found = producers_of(graph), {}
    for place, op in enumerate(graph.ops):
        wanted = KERNEL_INPUTS.get(op.name, ())
        kernel = constant_behind(graph, producers, op, wanted[0]) if len(wanted) == 1 else None
        if kernel is not None:
            found[place] = kernel.elements
    return found


def facts(graphs: Graphs) -> tuple[KernelFacts, ...]:
    """Measure every kernel of a file."""
    return tuple(_facts(kernel) for kernel in kernels(graphs))


def stored_values(tensor: StoredTensor) -> np.ndarray | None:
    """Return a constant's stored numbers as a flat array (float32 where a type has no NumPy equal).

    None where the bytes do not fit the shape, or the type is not numeric.
    """
    values = _decode(tensor.dtype, tensor.data)
    if values is None:
        return None
    if tensor.sparse:
        return values
    return values[: tensor.elements] if len(values) >= tensor.elements else None


def _decode(dtype: str, data: np.ndarray) -> np.ndarray | None:
    if dtype in ("int4", "uint4", "int2"):
        return _unpack(data, BITS[dtype], signed=dtype.startswith("int"))
    if dtype == "bfloat16":
        return (data[: len(data) // 2 * 2].view("<u2").astype("<u4") << 16).view("<f4")
    if dtype not in BITS or dtype.startswith("float8"):
        return None
    kind = np.dtype(dtype)
    return data[: len(data) // kind.itemsize * kind.itemsize].view(kind)


def _unpack(data: np.ndarray, bits: int, *, signed: bool) -> np.ndarray:
    """Split bytes into numbers of *bits* bits, lowest first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = ((data[:, np.newaxis] >> shifts) & ((1 << bits) - 1)).reshape(-1).astype(np.int8)
    return np.where(codes >= 1 << (bits - 1), codes - (1 << bits), codes).astype(np.int8) if signed else codes


def _facts(kernel: Kernel) -> KernelFacts:
    tensor = kernel.tensor
    values = stored_values(tensor)
    zeros, distinct, per_channel, entropy = 0.0, None, None, None
    if values is not None and tensor.elements:
        zeros = 1 - nonzero_in(tensor) / tensor.elements
        found, counts = np.unique(values, return_counts=True)
        if tensor.sparse:
            left_out = tensor.elements - len(values)
            counts = np.append(counts[found != 0], counts[found == 0].sum() + left_out)
        distinct, entropy = len(counts), _entropy_bytes(counts[counts > 0])
        whole = dense_values(tensor, values) if tensor.sparse else values.reshape(tensor.shape)
        per_channel = None if whole is None else _most_per_channel(whole, kernel.axis)
    return KernelFacts(
        tensor.name,
        kernel.op,
        tensor.shape,
        tensor.dtype,
        tensor.data.nbytes,
        zeros,
        distinct,
        per_channel,
        tensor.sparse,
        entropy,
        (kernel.graph, tensor.index),
    )


def _entropy_bytes(counts: np.ndarray) -> int:
    """Return the bytes of so many values with these frequencies: ``sum(n * log2(total / n)) / 8``, rounded up."""
    return int(np.ceil(float((counts * np.log2(counts.sum() / counts)).sum()) / 8))


def _zero_points(tensor: StoredTensor) -> np.ndarray | int:
    """Return what the flat stored values of a tensor have where they stand for 0.0."""
    points = np.asarray(tensor.zero_points, np.int64)
    per_channel = 0 <= tensor.axis < len(tensor.shape) and len(points) == tensor.shape[tensor.axis]
    if not points.any():
        return 0
    if len(points) == 1 or tensor.sparse or not per_channel:
        return int(points[0])
    shape = [1] * len(tensor.shape)
    shape[tensor.axis] = len(points)
    return np.broadcast_to(points.reshape(shape), tensor.shape).reshape(-1)


def _most_per_channel(values: np.ndarray, axis: int) -> int:
    if values.ndim < 2:
        return len(np.unique(values))
    rows = np.sort(np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1), axis=1)
    return int((rows[:, 1:] != rows[:, :-1]).sum(axis=1).max()) + 1


def _constants(graphs: Graphs, wanted: Callable[[StoredTensor], bool]) -> Iterator[StoredTensor]:
    """Go through the constants that are wanted, each buffer once."""
    seen: set[int] = set()
    for graph in graphs:
        for tensor in graph.tensors:
            if tensor.constant and tensor.buffer not in seen and wanted(tensor):
                seen.add(tensor.buffer)
                yield tensor


def _parameters(graphs: Graphs) -> Iterator[StoredTensor]:
    """Go through the constants that stand for real numbers; zeros may share their buffer with whole ones."""
    return _constants(graphs, is_parameter)


def is_parameter(tensor: StoredTensor) -> bool:
    """Say whether a constant stands for real numbers: floats, and whole numbers with a scale."""
    return tensor.constant and bool(tensor.scales or tensor.dtype.startswith(("float", "bfloat")))


def parameters(graphs: Graphs) -> int:
    """Count the real numbers that the file holds: kernels, biases and other constants of the computation."""
    return sum(tensor.elements for tensor in _parameters(graphs))


def nonzero(graphs: Graphs) -> int:
    """Count the parameters that are not 0.0."""
    return sum(nonzero_in(tensor) for tensor in _parameters(graphs))


def nonzero_in(tensor: StoredTensor) -> int:
    """Count the elements of a constant that do not stand for 0.0."""
    values = stored_values(tensor)
    if values is None:
        return tensor.elements
    return min(int(np.count_nonzero(values != _zero_points(tensor))), tensor.elements)


def stored_bytes(graphs: Graphs) -> int:
    """Sum the bytes of all parameters as stored."""
    return sum(tensor.data.nbytes for tensor in _parameters(graphs))


def float_bytes(graphs: Graphs) -> int:
    """Sum the bytes that all parameters would take in float32."""
    return 4 * parameters(graphs)


def bytes_by_dtype(graphs: Graphs) -> dict[str, int]:
    """Sum the bytes of all constants by dtype, each buffer once."""
    total: Counter[str] = Counter()
    for tensor in _constants(graphs, lambda _: True):
        total[tensor.dtype] += tensor.data.nbytes
    return dict(total)


def ops_by_dtype(graphs: Graphs) -> dict[str, int]:
    """Count ops by the dtype that they compute: that of their first output."""
    return dict(
        Counter(
            graph.tensors[op.outputs[0]].dtype
            for graph in graphs
            for op in graph.ops
            if op.outputs and op.outputs[0] >= 0
        )
    )
