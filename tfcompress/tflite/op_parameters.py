"""The numbers that each op of a ``.tflite`` file brings along: how many, how stored, how many of them are zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_runner.graph import Operator
from tfcompress.tflite import weights
from tfcompress.tflite.tensors import BITS, StoredTensor
from tfcompress.tflite.weights import Graphs, KernelFacts

Place = tuple[int, int]
"""Number of a subgraph, and of a tensor in it."""


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

    A constant that several ops read counts for the first of them, one that is unpacked for whoever computes with it,
    and what a subgraph holds for the op that runs it. So the sums over the ops are those of the file.

    Args:
        graphs: of the file.
        kernels: what :func:`tfcompress.tflite.weights.facts` found in it.
    """
    known = {kernel.place: kernel for kernel in kernels}
    constants, counted, rows = _Constants(graphs), set[int](), []
    for op in graphs[0].ops:
        found = {t.buffer: (place, t) for place, t in constants.of(0, op) if t.buffer not in counted}
        counted.update(found)
        rows.append(_summed(list(found.values()), known))
    return tuple(rows)


def _summed(found: Sequence[tuple[Place, StoredTensor]], known: dict[Place, KernelFacts]) -> OpParameters:
    kernels = [(tensor, known[place]) for place, tensor in found if place in known]
    largest, facts = max(kernels, key=lambda pair: pair[0].elements, default=(None, None))
    return OpParameters(
        parameters=sum(tensor.elements for _, tensor in found),
        nonzero=sum(weights.nonzero_in(tensor) for _, tensor in found),
        size_bytes=sum(tensor.data.nbytes for _, tensor in found),
        bits=None if largest is None else BITS.get(largest.dtype),
        distinct=None if facts is None else facts.distinct,
    )


class _Constants:
    """The constants of a file that stand for real numbers, by who computes with them."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._producers = [weights.producers_of(graph) for graph in graphs]

    def of(self, number: int, op: Operator, seen: frozenset[int] = frozenset()) -> Iterator[tuple[Place, StoredTensor]]:
        """Go through what an op of subgraph *number* reads, and what the subgraphs hold that it runs."""
        graph, producers = self._graphs[number], self._producers[number]
        if weights.unpacks_constant(graph, op):
            return
        for place in range(len(op.inputs)):
            tensor = weights.constant_behind(graph, producers, op, place)
            if tensor is not None and weights.is_parameter(tensor):
                yield (number, tensor.index), tensor
        for called in op.calls:
            if called not in seen:
                for inner in self._graphs[called].ops:
                    yield from self.of(called, inner, seen | {called})
