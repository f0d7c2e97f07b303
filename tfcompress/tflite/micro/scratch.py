"""What kernels ask for beside their tensors while they run, op by op, as TensorFlow Lite Micro's recorder counts it.

The recorder counts the head as one. An op alone, in a file of its own, has nothing there but its inputs, its outputs
and what its kernel asks for, all at once and each filled up to 16 bytes: what the tensors do not take is the kernel's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edge_runner.graph import FileSubgraph, read_graph
from tfcompress.tflite.micro.op_places import OpPlaces
from tfcompress.tflite.micro.record import KernelScratch
from tfcompress.tflite.micro.scratch_child import ALIGNMENT
from tfcompress.tflite.tree import Node, Numbers, parse_tree
from tfcompress.tflite.tree_writer import write_tree
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

_CHILD = "tfcompress.tflite.micro.scratch_child"
_ENTERING = frozenset({"IF", "WHILE", "CALL", "CALL_ONCE"})
"""Ops that run another subgraph, and ask for nothing themselves: the ops in there do."""
_HANDLES = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"})
"""Ops on variables, which stay in the tail: they move numbers, and ask for nothing."""


def scratch_of(content: bytes, places: OpPlaces, arena_bytes: int) -> tuple[KernelScratch, ...] | None:
    """Measure the kernels of a file that TFLM runs.

    Args:
        content: the file.
        places: what ops are called.
        arena_bytes: in which each of them is set up.

    Returns:
        The ops that ask for any, in the order of the file; None: an op does not stand alone in TFLM.
    """
    alone = list(_ops_alone(content))
    if not alone:
        return ()
    with Worker(_CHILD) as worker:
        paths = [worker.folder / f"op{number}.tflite" for number in range(len(alone))]
        for path, each in zip(paths, alone, strict=True):
            path.write_bytes(each.content)
        try:
            heads = worker.ask({"files": list(map(str, paths)), "arena_bytes": arena_bytes})["heads"]
        except (WorkerAnswerError, WorkerDiedError):
            return None
    found = [
        KernelScratch(op=each.op, where=_where(each, places), size_bytes=head - each.tensor_bytes)
        for each, head in zip(alone, heads, strict=True)
    ]
    if any(each.size_bytes < 0 for each in found):  # tensors that TFLM lays one upon the other
        return None
    return tuple(each for each in found if each.size_bytes)


@dataclass(frozen=True)
class _OpAlone:
    """An op in a file of its own.

    Attributes:
        content: the file.
        op: its name.
        graph: its subgraph.
        place: its number there.
        tensor_bytes: that its inputs and outputs take in the head.
    """

    content: bytes
    op: str
    graph: int
    place: int
    tensor_bytes: int


def _where(each: _OpAlone, places: OpPlaces) -> str:
    return places.of(each.place) if each.graph == 0 else f"{each.op} in subgraph {each.graph}"


def _ops_alone(content: bytes) -> Iterator[_OpAlone]:
    tree, read = parse_tree(content), read_graph(content)
    for number, (node, graph) in enumerate(zip(tree.nodes("subgraphs"), read.subgraphs, strict=True)):
        for place, op in enumerate(graph.operators):
            if op.name in _ENTERING or op.name in _HANDLES:
                continue
            file = write_tree(_alone(tree, node, graph, place))
            yield _OpAlone(file, op.name, number, place, _tensor_bytes(graph, place))


def _tensor_bytes(graph: FileSubgraph, place: int) -> int:
    """Return what the tensors of an op that are neither constants nor variables take, each filled up."""
    sizes = (graph.tensors[n].size_bytes or 0 for n in _moving(graph, place))
    return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)


def _moving(graph: FileSubgraph, place: int) -> tuple[int, ...]:
    op = graph.operators[place]
    used = dict.fromkeys(number for number in (*op.inputs, *op.outputs) if number >= 0)
    return tuple(n for n in used if not graph.tensors[n].constant and not graph.tensors[n].is_variable)


def _alone(tree: Node, node: Node, graph: FileSubgraph, place: int) -> Node:
    """Return the model with one op, its tensors and their buffers."""
    op = node.nodes("operators")[place]
    sides = {side: op.numbers(side) for side in ("inputs", "outputs", "intermediates")}
    used = {old: new for new, old in enumerate(dict.fromkeys(n for side in sides.values() for n in side if n >= 0))}
    tensors = [node.nodes("tensors")[old] for old in used]
    stored = tree.nodes("buffers")
    kept = {0: 0, **{tensor.number("buffer"): 0 for tensor in tensors}}
    kept = {old: new for new, old in enumerate(kept)}
    moving = _moving(graph, place)
    given = [used[n] for n in moving if n in sides["inputs"]]
    made = [used[n] for n in moving if n in sides["outputs"]]
    main = node.having(
        tensors=tuple(tensor.having(buffer=kept[tensor.number("buffer")]) for tensor in tensors),
        operators=(op.having(**{side: _moved(numbers, used) for side, numbers in sides.items() if numbers}),),
        inputs=_numbers(given),
        outputs=_numbers(made),
    )
    return tree.having(
        subgraphs=(main,),
        buffers=tuple(stored[old] for old in kept),
        signature_defs=None,
        metadata=None,
        metadata_buffer=None,
    )


def _moved(numbers: tuple[int, ...], used: Mapping[int, int]) -> Numbers:
    return _numbers([used.get(number, -1) for number in numbers])


def _numbers(values: list[int]) -> Numbers:
    return Numbers(4, np.asarray(values, "<i4").tobytes())
