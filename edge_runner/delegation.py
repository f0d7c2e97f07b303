"""Which nodes of a model a delegate took: read off the interpreter's node list, which shows both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the interpreter's module loads numpy, which whoever imports this one may not need
    from edge_runner.interpreter import PlannedOp

DELEGATE = "DELEGATE"


def delegate_name(nodes: Sequence[PlannedOp] | None) -> str | None:
    """Return ``XNNPACK`` when a delegate took ops, ``none`` when none did, None when the runtime does not say.

    XNNPACK is the only delegate that the runtimes apply by themselves.
    """
    if nodes is None:
        return None
    return "XNNPACK" if any(node.op == DELEGATE for node in nodes) else "none"


def taken(nodes: Sequence[PlannedOp]) -> list[bool]:
    """Say of each of the file's own nodes, in order, whether a delegate runs it.

    A delegate's node stands behind the file's, with the tensors that go in and come out: what lies between them, found
    by walking back from its outputs, is what it took.

    Args:
        nodes: of one subgraph, as the interpreter lists them after planning.
    """
    own = [node for node in nodes if node.op != DELEGATE]
    producer = {tensor: place for place, node in enumerate(own) for tensor in node.outputs}
    result = [False] * len(own)
    for node in nodes:
        if node.op == DELEGATE:
            _mark(node, own, producer, result)
    return result


def _mark(delegate: PlannedOp, own: Sequence[PlannedOp], producer: dict[int, int], result: list[bool]) -> None:
    enters, open_ends = set(delegate.inputs), list(delegate.outputs)
    while open_ends:
        place = producer.get(open_ends.pop())
        if place is None or result[place]:
            continue
        result[place] = True
        open_ends.extend(tensor for tensor in own[place].inputs if tensor not in enters)


def coverage(nodes: Sequence[PlannedOp] | None) -> dict[str, Any] | None:
    """Return how many nodes there are and how many a delegate took; None where the runtime does not say."""
    if nodes is None:
        return None
    delegated = taken(nodes)
    by_op: dict[str, dict[str, int]] = {}
    for node, inside in zip((node for node in nodes if node.op != DELEGATE), delegated):
        counts = by_op.setdefault(node.op, {"nodes": 0, "delegated": 0})
        counts["nodes"] += 1
        counts["delegated"] += inside
    return {
        "nodes": len(delegated),
        "delegated": sum(delegated),
        "partitions": sum(node.op == DELEGATE for node in nodes),
        "by_op": by_op,
        "difference": None,
    }
