"""What each op of a ``.tflite`` file costs: weights, zeros among them, multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfcompress.tflite.tensors import Op, Subgraph, Tensor
from tfcompress.tflite.weights import KERNEL_INPUTS, constant_behind, nonzero_in, producers_of

_RECURRENT = {"SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"}


@dataclass(frozen=True)
class OpFacts:
    """One op, as a row of a table.

    Attributes:
        op: its name.
        version: of the op.
        output: name of its first output.
        shape: of that output, -1 where any size is meant.
        dtype: of that output.
        weights: elements of its kernels.
        zeros: fraction of them that stand for 0.0; None: it has no kernel.
        macs: multiply-accumulates.
    """

    op: str
    version: int
    output: str
    shape: tuple[int, ...]
    dtype: str
    weights: int
    zeros: float | None
    macs: int


def table(graph: Subgraph) -> tuple[OpFacts, ...]:
    """Describe every op of a subgraph, in the order in which they run."""
    producers = producers_of(graph)
    return tuple(_op_facts(graph, producers, op) for op in graph.ops)


def _op_facts(graph: Subgraph, producers: dict[int, Op], op: Op) -> OpFacts:
    outputs = graph.of(op.outputs[:1])
    places = KERNEL_INPUTS.get(op.name, ())
    found = [t for place in places if (t := constant_behind(graph, producers, op, place)) is not None]
    elements = sum(t.elements for t in found)
    return OpFacts(
        op=op.name,
        version=op.version,
        output=outputs[0].name if outputs else "",
        shape=outputs[0].shape_signature if outputs else (),
        dtype=outputs[0].dtype if outputs else "",
        weights=elements,
        zeros=1 - sum(map(nonzero_in, found)) / elements if elements else None,
        macs=macs(graph, op),
    )


def macs(graph: Subgraph, op: Op) -> int:
    """Count the multiply-accumulates of an op: convolution, dense, matrix product, recurrent; 0 for any other."""
    outputs = graph.of(op.outputs[:1])
    if not outputs or len(graph.of(op.inputs[:2])) < 2:
        return 0
    if op.name in _RECURRENT:
        return _every_step(graph, op)
    count = _MACS.get(op.name)
    return count(graph.of(op.inputs[:3]), outputs[0]) if count else 0


def _every_step(graph: Subgraph, op: Op) -> int:
    """Count the elements of all kernels once a position of the input (batch, steps, features)."""
    first = graph.tensors[op.inputs[0]]
    found = [op.inputs[place] for place in KERNEL_INPUTS[op.name] if place < len(op.inputs)]
    steps = first.elements // max(1, first.shape[-1]) if first.shape else 0
    return steps * sum(tensor.elements for tensor in graph.of(tuple(found)))


_Count = Callable[[Sequence[Tensor], Tensor], int]


def _per_output(axes: int, *factors: int) -> _Count:
    """Count output elements times the sizes of the kernel's axes *factors*, for a kernel of so many *axes*."""

    def count(inputs: Sequence[Tensor], output: Tensor) -> int:
        shape = inputs[1].shape
        return output.elements * math.prod(shape[axis] for axis in factors) if len(shape) == axes else 0

    return count


def _transposed(inputs: Sequence[Tensor], _: Tensor) -> int:
    """Count input elements (the op's third tensor) times the kernel (out, rows, columns, in) without its last axis."""
    shape = inputs[1].shape
    return inputs[2].elements * math.prod(shape[:3]) if len(inputs) > 2 and len(shape) == 4 else 0


def _product(inputs: Sequence[Tensor], output: Tensor) -> int:
    """Count elements of the first matrix times the columns of the product."""
    shapes = [inputs[0].shape, inputs[1].shape, output.shape]
    return inputs[0].elements * output.shape[-1] if min(map(len, shapes)) >= 2 else 0


_MACS: dict[str, _Count] = {
    "CONV_2D": _per_output(4, 1, 2, 3),
    "DEPTHWISE_CONV_2D": _per_output(4, 1, 2),
    "CONV_3D": _per_output(5, 0, 1, 2, 3),
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _per_output(2, 1),
    "BATCH_MATMUL": _product,
}
