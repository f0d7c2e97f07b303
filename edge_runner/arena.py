"""How much memory a model's activations need at once: planned from the file, as TensorFlow Lite plans it.

This is a computation, not a measurement: kernels' scratch memory, tensors that share memory in place, and what a
delegate packs or keeps for itself are not in the file. It is what a smaller device without a delegate has to offer, and
a lower figure than any measured peak, which holds Python and the runtime too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edge_runner.graph import FileSubgraph

ALIGNMENT = 64
PLANNED_BY = (
    "greedy by size over the lifetimes of the first subgraph's tensors, 64-byte aligned, as TensorFlow Lite plans; "
    "shapes as in the file, without kernels' scratch and delegates"
)


class Lifetime(NamedTuple):
    """A tensor in memory from op *first* to op *last*, both included."""

    first: int
    last: int
    size_bytes: int


class _Placed(NamedTuple):
    offset: int
    lifetime: Lifetime


def lifetimes(subgraph: FileSubgraph) -> list[Lifetime]:
    """Return the lifetimes of the tensors that the file does not hold: inputs and variables live all the time.

    An output of the subgraph lives from the op that makes it to the end; everything else until its last reader.
    """
    end = len(subgraph.operators)
    first = dict.fromkeys([*subgraph.inputs, *_variables(subgraph)], 0)
    last = dict.fromkeys([*subgraph.inputs, *_variables(subgraph), *subgraph.outputs], end)
    for place, operator in enumerate(subgraph.operators):
        for tensor in operator.outputs:
            first.setdefault(tensor, place)
            last.setdefault(tensor, place)
        for tensor in operator.inputs:
            last[tensor] = max(last.get(tensor, place), place)
    found = []
    for index, begin in sorted(first.items()):
        if index < 0:  # an optional output that was left out
            continue
        needed = subgraph.tensors[index]
        if not needed.constant and needed.size_bytes:
            found.append(Lifetime(begin, last.get(index, end), needed.size_bytes))
    return found


def _variables(subgraph: FileSubgraph) -> list[int]:
    return [index for index, tensor in enumerate(subgraph.tensors) if tensor.is_variable]


def planned_bytes(tensors: Sequence[Lifetime]) -> int:
    """Return the size of the arena that holds *tensors*.

    Largest first, each into the tightest gap among those that live at the same time (Pisarchyk & Lee 2020, "Efficient
    memory management for deep neural net inference", arXiv:2001.03288, algorithm 3: greedy by size for offset
    calculation); what lives all the time goes first.
    """
    end = max((tensor.last for tensor in tensors), default=0)
    placed: list[_Placed] = []
    high = 0
    for tensor in sorted(tensors, key=lambda t: (not (t.first == 0 and t.last == end), -t.size_bytes, t.first)):
        offset = _offset(tensor, placed)
        placed.append(_Placed(offset, tensor))
        placed.sort()
        high = max(high, offset + tensor.size_bytes)
    return high


def _offset(tensor: Lifetime, placed: Sequence[_Placed]) -> int:
    """Return where the tightest gap that takes *tensor* begins, or the place behind all that live with it."""
    best, tightest, free = None, 0, 0
    for offset, other in placed:
        if other.last < tensor.first or tensor.last < other.first:
            continue
        start = _aligned(free)
        if start + tensor.size_bytes <= offset and (best is None or offset - start < tightest):
            best, tightest = start, offset - start
        free = max(free, offset + other.size_bytes)
    return _aligned(free) if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
