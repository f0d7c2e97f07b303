"""The numbers that each op of a ``.tflite`` file brings along: how many, how stored, how many of them are zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_runner.graph import Operator
from tfcompress.tflite.tensors import BITS, StoredTensor, Subgraph
from tfcompress.tflite.weights import (
    Graphs,
    KernelFacts,
    constant_behind,
    is_parameter,
    nonzero_in,
    producers_of,
    unpacks_constant,
)


@dataclass(frozen=True)
class OpParameters:
    """What the constants of one op hold that stand for real numbers: kernels, biases, tables.

    Attributes:
        parameters: how many numbers.
        nonzero: how many of them do not stand for 0.0.
        size_bytes: as stored.
        bits: of a number of the largest kernel, as stored; None: the op has no kernel.
        distinct: different stored values in that kernel; None: no kernel, or they are not known.
    """

    parameters: int = 0
    nonzero: int = 0
    size_bytes: int = 0
    bits: int | None = None
    distinct: int | None = None


def op_parameters(graphs: Graphs, kernels: Sequence[KernelFacts]) -> tuple[OpParameters, ...]:
    """Return what each op of the main subgraph brings along, in the order in which they run.

    A constant that several ops read counts for the first of them, one that is unpacked for whoever computes with it, and
    what a subgraph holds for the op that runs it. So the sums over the ops are those of the file.

    Args:
        graphs: of the file.
        kernels: what :func:`tfcompress.tflite.weights.facts` found in it.
    """
    known = {kernel.place: kernel for kernel in kernels}
    counted: set[int] = set()
    return tuple(_of_op(graphs, op, known, counted) for op in graphs[0].ops)


def _of_op(graphs: Graphs, op: Operator, known: dict[tuple[int, int], KernelFacts], counted: set[int]) -> OpParameters:
    found = [(place, tensor) for place, tensor in _constants(graphs, 0, op) if tensor.buffer not in counted]
    found = list({tensor.buffer: (place, tensor) for place, tensor in reversed(found)}.values())
    counted.update(tensor.buffer for _, tensor in found)
    kernels = [(tensor, known[place]) for place, tensor in found if place in known]
    largest, facts = max(kernels, key=lambda pair: pair[0].elements, default=(None, None))
    return OpParameters(
        parameters=sum(tensor.elements for _, tensor in found),
        nonzero=sum(nonzero_in(tensor) for _, tensor in found),
        size_bytes=sum(tensor.data.nbytes for _, tensor in found),
        bits=None if largest is None else BITS.get(largest.dtype),
        distinct=None if facts is None else facts.distinct,
    )


def _constants(
    graphs: Graphs, number: int, op: Operator, seen: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[int, int], StoredTensor]]:
    """Go through the parameters that an op reads, and those of the subgraphs that it runs, with their places."""
    graph: Subgraph = graphs[number]
    if unpacks_constant(graph, op):
        return
    producers = producers_of(graph)
    for place in range(len(op.inputs)):
        tensor = constant_behind(graph, producers, op, place)
        if tensor is not None and is_parameter(tensor):
            yield (number, tensor.index), tensor
    for called in op.calls:
        if called not in seen:
            for inner in graphs[called].ops:
                yield from _constants(graphs, called, inner, seen | {called})
