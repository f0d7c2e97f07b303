"""The tensor arena of a file in TensorFlow Lite Micro, as its own recorder counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_runner import arena, graph

_TOTAL = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
_PART = re.compile(
    r"'(?P<name>[^']+)' used (?P<used>\d+) bytes with alignment overhead "
    r"\(requested (?P<requested>\d+) bytes for (?P<count>\d+)"
)


@dataclass(frozen=True, kw_only=True)
class ArenaPart:
    """One line of the recorder's table.

    Attributes:
        name: what the memory is for, in TFLM's words.
        used_bytes: that it takes, filled up to where the next may begin.
        requested_bytes: that were asked for.
        allocations: how many times.
    """

    name: str
    used_bytes: int
    requested_bytes: int
    allocations: int


@dataclass(frozen=True, kw_only=True)
class ArenaUse:
    """What a file keeps in an arena, as the recorder counts it. No arena below *total_bytes* is enough.

    One of just that size is where the head is large; a small net takes more while it is set up, which is given back:
    see :func:`tfcompress.tflite.micro.least_arena.least_arena_bytes`.

    It is measured on a 64-bit machine. A 32-bit one has smaller pointers: its tail is shorter, its head as long.

    Attributes:
        total_bytes: all of it.
        head_bytes: tensors between the ops, and what kernels need while they run; used again and again.
        tail_bytes: what stays: variables, and what TFLM and its kernels keep about ops and tensors.
        parts: the recorder's table, which is mostly about the tail.
    """

    total_bytes: int
    head_bytes: int
    tail_bytes: int
    parts: tuple[ArenaPart, ...] = ()


def read_allocations(text: str) -> ArenaUse:
    """Read what TFLM's recorder printed.

    Raises:
        ValueError: it is not that.
    """
    totals = {name: int(size) for name, size in _TOTAL.findall(text)}
    if set(totals) != {"total", "head", "tail"}:
        msg = f"no table of TFLM's recorder: {text[:200]!r}"
        raise ValueError(msg)
    parts = tuple(
        ArenaPart(
            name=found["name"],
            used_bytes=int(found["used"]),
            requested_bytes=int(found["requested"]),
            allocations=int(found["count"]),
        )
        for found in _PART.finditer(text)
    )
    return ArenaUse(total_bytes=totals["total"], head_bytes=totals["head"], tail_bytes=totals["tail"], parts=parts)


def planned_arena_bytes(content: bytes) -> int:
    """Return what the tensors of a file's main graph need at once: planned from the file, not measured.

    Args:
        content: the file; :func:`tfcompress.tflite.flatbuffer.read_model_file` has read it.
    """
    return arena.planned_bytes(arena.lifetimes(graph.read_graph(content).subgraphs[0]))


def widest_op(content: bytes) -> int:
    """Return the number of the op of the main graph beside which most bytes live; 0 in a file without ops."""
    subgraph = graph.read_graph(content).subgraphs[0]
    living = [0] * max(1, len(subgraph.operators))
    for tensor in arena.lifetimes(subgraph):
        for place in range(tensor.first, min(tensor.last + 1, len(living))):
            living[place] += tensor.size_bytes
    return living.index(max(living))
