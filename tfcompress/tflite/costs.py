"""What each op of a ``.tflite`` file costs: weights, zeros among them, multiply-accumulates.

A number that the file does not give is None, with the reason: a loop mostly runs as often as its data say (where it
counts up to a constant, as recurrent layers do, it is counted), and an extent that the file leaves open stands in it as
1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edge_runner.graph import Operator
from tfcompress.tflite.loops import trips
from tfcompress.tflite.tensors import StoredTensor, Subgraph
from tfcompress.tflite.weights import KERNEL_INPUTS, Graphs, constant_behind, nonzero_in, producers_of

_RECURRENT = {
    "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
}  # fmt: skip
_LOOPS = {"WHILE", "STABLEHLO_WHILE"}
_BRANCHES = {"IF", "STABLEHLO_CASE"}
_ONCE = {"CALL_ONCE"}  # it sets up tables and variables before the first inference
_UNKNOWN = {
    "BIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "RNN", "REDUCE_WINDOW", "STABLEHLO_CONVOLUTION", "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW",
}  # fmt: skip
"""Ops that multiply, but are not counted here."""
_DATA_SIZED = {"UNIQUE", "WHERE"}  # as many outputs as the data have of them
_CUSTOM_WITHOUT = {"AudioSpectrogram", "FlexErf", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"}
"""Custom ops that multiply no matrices."""


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
        macs: multiply-accumulates; None: the file does not say.
    """

    op: str
    version: int
    output: str
    shape: tuple[int, ...]
    dtype: str
    weights: int
    zeros: float | None
    macs: int | None


def table(graphs: Graphs) -> tuple[OpFacts, ...]:
    """Describe every op of the first subgraph, in the order in which they run."""
    producers = producers_of(graphs[0])
    return tuple(
        _op_facts(graphs[0], producers, op, count) for op, count in zip(graphs[0].ops, counts(graphs), strict=True)
    )


def _op_facts(graph: Subgraph, producers: dict[int, Operator], op: Operator, count: int | None) -> OpFacts:
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
        macs=count,
    )


def counts(graphs: Graphs) -> tuple[int | None, ...]:
    """Count the multiply-accumulates of each op of the first subgraph, with those of the subgraphs that it runs.

    None for an op whose work the file does not state: see :func:`uncounted`.
    """
    whole: dict[int, int | None] = {}
    for number in _callees_first(graphs):
        found = _counts_of(graphs, graphs[number], whole)
        known = [count for count in found if count is not None]
        whole[number] = sum(known) if len(known) == len(found) else None
    return _counts_of(graphs, graphs[0], whole)


def uncounted(graphs: Graphs, names: Mapping[int, str] = MappingProxyType({})) -> str:
    """Say why the multiply-accumulates of a file cannot be known; empty where :func:`counts` has them all.

    Args:
        graphs: of the file.
        names: of its inputs, by the tensor's number; the tensor's own without.
    """
    graph = graphs[0]
    unknown = [op for op, count in zip(graph.ops, counts(graphs), strict=True) if count is None]
    if not unknown:
        return ""
    for tensor in graph.of(graph.inputs):
        if -1 in tensor.shape_signature[1:]:
            sizes = ", ".join("any" if size < 0 else str(size) for size in tensor.shape_signature)
            return (
                f"they depend on the shape of input {names.get(tensor.index, tensor.name)!r}, which is open: ({sizes})"
            )
    for op in unknown:
        if op.name in _LOOPS:
            return f"a loop ({op.name}) runs as often as its data say, which the file does not"
        if op.name in _BRANCHES:
            return f"which branch of {op.name} runs depends on its data"
        if _multiplies_otherwise(op):
            return f"what {op.name} multiplies is not known"
        if op.calls:
            return f"a subgraph that {op.name} runs has ops whose work the file does not state"
    return f"the shapes at {unknown[0].name} are settled only when the file runs"


def _callees_first(graphs: Graphs) -> list[int]:
    """Return the subgraphs that the first one runs, directly or through others, each behind those that it runs."""
    order: list[int] = []
    waiting = [(called, False) for op in graphs[0].ops for called in op.calls]
    seen: set[int] = set()
    while waiting:
        number, done = waiting.pop()
        if done:
            order.append(number)
        elif number not in seen:
            seen.add(number)
            waiting.append((number, True))
            waiting.extend((called, False) for op in graphs[number].ops for called in op.calls)
    return order


def _counts_of(graphs: Graphs, graph: Subgraph, whole: Mapping[int, int | None]) -> tuple[int | None, ...]:
    """Count every op of a subgraph, given the counts of those that it runs."""
    unsettled = _unsettled(graph)
    found = []
    for op in graph.ops:
        count = _called(graphs, graph, op, whole) if op.calls else macs(graph, op)
        found.append(None if count and unsettled.intersection(op.inputs + op.outputs) else count)
    return tuple(found)


def _called(graphs: Graphs, graph: Subgraph, op: Operator, whole: Mapping[int, int | None]) -> int | None:
    """Count what an op runs in other subgraphs; None where the data decide how often, or which of them."""
    if op.name in _ONCE:
        return 0
    bodies = [whole[number] for number in op.calls]
    known = [count for count in bodies if count is not None]
    if len(known) < len(bodies):
        return None
    if not any(known) or op.name not in _LOOPS | _BRANCHES:
        return sum(known)
    count = trips(graphs, graph, op)
    return None if count is None else known[0] * (count + 1) + known[1] * count  # the condition fails once


def _unsettled(graph: Subgraph) -> set[int]:
    """Return the tensors whose sizes the file leaves open beyond the batch: there they stand as 1.

    One open extent is the batch, wherever it stands, as long as an input has an open batch and nothing else that is
    open. What is computed from an unsettled tensor is unsettled where any extent of it is open; so is what RESHAPE
    makes of more than the batch (its elements at a batch of 1 are not those it is given).
    """
    inputs = graph.of(graph.inputs)
    most = 1 if any(tensor.shape_signature[:1] == (-1,) for tensor in inputs) else 0
    found = {tensor.index for tensor in graph.tensors if tensor.shape_signature.count(-1) > most}
    found.update(tensor.index for tensor in inputs if -1 in tensor.shape_signature[1:])
    for op in graph.ops:
        given, made = graph.of(op.inputs), graph.of(op.outputs)
        joined = op.name == "RESHAPE" and given and made and given[0].elements != made[0].elements
        if joined or op.name in _DATA_SIZED or any(tensor.index in found for tensor in given):
            found.update(tensor.index for tensor in made if -1 in tensor.shape_signature)
    return found


def _multiplies_otherwise(op: Operator) -> bool:
    return op.name in _UNKNOWN or (op.custom and op.name not in _CUSTOM_WITHOUT)


def macs(graph: Subgraph, op: Operator) -> int | None:
    """Count the multiply-accumulates of an op: convolution, dense, matrix product, recurrent; 0 for any other.

    None for one that multiplies matrices in a way that is not known here.
    """
    if _multiplies_otherwise(op) or op.name in _LOOPS | _BRANCHES:
        return None
    outputs = graph.of(op.outputs[:1])
    if not outputs or len(graph.of(op.inputs[:2])) < 2:
        return 0
    if op.name in _RECURRENT:
        return _every_step(graph, op)
    count = _MACS.get(op.name)
    return count(graph.of(op.inputs[:3]), outputs[0]) if count else 0


def _every_step(graph: Subgraph, op: Operator) -> int:
    """Count the elements of all kernels once a position of the input (batch, steps, features)."""
    first = graph.tensors[op.inputs[0]]
    found = [op.inputs[place] for place in KERNEL_INPUTS[op.name] if place < len(op.inputs)]
    steps = first.elements // max(1, first.shape[-1]) if first.shape else 0
    return steps * sum(tensor.elements for tensor in graph.of(tuple(found)))


_Count = Callable[[Sequence[StoredTensor], StoredTensor], int]


def _per_output(axes: int, *factors: int) -> _Count:
    """Count output elements times the sizes of the kernel's axes *factors*, for a kernel of so many *axes*."""

    def count(inputs: Sequence[StoredTensor], output: StoredTensor) -> int:
        shape = inputs[1].shape
        return output.elements * math.prod(shape[axis] for axis in factors) if len(shape) == axes else 0

    return count


def _transposed(inputs: Sequence[StoredTensor], _: StoredTensor) -> int:
    """Count input elements (the op's third tensor) times the kernel without its last axis, the input's channels.

    Kernels are (out, rows, columns, in), and (depth, rows, columns, out, in) in three dimensions.
    """
    shape = inputs[1].shape
    return inputs[2].elements * math.prod(shape[:-1]) if len(inputs) > 2 and len(shape) >= 4 else 0


def _product(inputs: Sequence[StoredTensor], output: StoredTensor) -> int:
    """Count elements of the first matrix times the columns of the product."""
    shapes = [inputs[0].shape, inputs[1].shape, output.shape]
    return inputs[0].elements * output.shape[-1] if min(map(len, shapes)) >= 2 else 0


_MACS: dict[str, _Count] = {
    "CONV_2D": _per_output(4, 1, 2, 3),
    "DEPTHWISE_CONV_2D": _per_output(4, 1, 2),
    "CONV_3D": _per_output(5, 0, 1, 2, 3),
    "TRANSPOSE_CONV": _transposed,
    "CONV_3D_TRANSPOSE": _transposed,
    "FULLY_CONNECTED": _per_output(2, 1),
    "BATCH_MATMUL": _product,
}
