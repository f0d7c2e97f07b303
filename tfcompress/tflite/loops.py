"""How often a WHILE of a ``.tflite`` file runs, where the file says: a counter that runs up to a constant.

That is what recurrent layers become which no op stands for: ``while (step < 28 and time < 28)``, each counter starting
at a constant and growing by one in the body. A loop that may end for any other reason runs as often as its data say.
"""

from __future__ import annotations

import numpy as np

from edge_runner.graph import Operator
from tfcompress.tflite.tensors import Subgraph
from tfcompress.tflite.weights import Graphs, producers_of, stored_values

_MOST_CONDITIONS = 64


def trips(graphs: Graphs, graph: Subgraph, op: Operator) -> int | None:
    """Return how often the body of a loop runs; None: the file does not say.

    Args:
        graphs: of the file.
        graph: the one that the loop stands in.
        op: the loop; it runs its condition and its body, in this order.
    """
    if op.name != "WHILE" or len(op.calls) != 2:
        return None
    condition, body = (graphs[number] for number in op.calls)
    sides = (op.inputs, op.outputs, condition.inputs, body.inputs, body.outputs)
    if len({len(side) for side in sides}) != 1 or len(condition.outputs) != 1:
        return None
    found = [_counted(graph, op, condition, body, pair) for pair in _comparisons(condition)]
    known = [count for count in found if count is not None]
    return min(known) if known and len(known) == len(found) else None


def _comparisons(condition: Subgraph) -> list[tuple[int, int] | None]:
    """Return the pairs of tensors of which the first must be less, all of them, for the loop to go on; None: others."""
    producers, waiting, found = producers_of(condition), [condition.outputs[0]], list[tuple[int, int] | None]()
    while waiting and len(found) < _MOST_CONDITIONS:
        maker = producers.get(waiting.pop())
        if maker is not None and maker.name == "LOGICAL_AND":
            waiting.extend(maker.inputs)
        elif maker is not None and maker.name in ("LESS", "GREATER") and len(maker.inputs) == 2:
            first, second = maker.inputs
            found.append((first, second) if maker.name == "LESS" else (second, first))
        else:
            found.append(None)
    return [*found, None] if waiting else found


def _counted(
    graph: Subgraph, op: Operator, condition: Subgraph, body: Subgraph, pair: tuple[int, int] | None
) -> int | None:
    """Return how often a comparison lets the loop go on: a counter that grows by a constant, below a constant."""
    if pair is None or pair[0] not in condition.inputs:
        return None
    place = condition.inputs.index(pair[0])
    start, limit = _whole(graph, op.inputs[place]), _limit(graph, op, condition, body, pair[1])
    step = _step(body, place)
    if start is None or limit is None or step is None or step <= 0:
        return None
    return max(0, -(-(limit - start) // step))


def _limit(graph: Subgraph, op: Operator, condition: Subgraph, body: Subgraph, number: int) -> int | None:
    """Return a constant of the condition, or one that goes in and comes round the loop as it is."""
    if number not in condition.inputs:
        return _whole(condition, number)
    place = condition.inputs.index(number)
    return _whole(graph, op.inputs[place]) if body.outputs[place] == body.inputs[place] else None


def _step(body: Subgraph, place: int) -> int | None:
    """Return what the body adds to a counter; None: it does something else with it."""
    maker = producers_of(body).get(body.outputs[place])
    if maker is None or maker.name != "ADD" or len(maker.inputs) != 2 or body.inputs[place] not in maker.inputs:
        return None
    one, two = maker.inputs
    return _whole(body, two if one == body.inputs[place] else one)


def _whole(graph: Subgraph, number: int) -> int | None:
    """Return a constant that is one whole number; None: it is no constant, or no such one."""
    tensor = graph.tensors[number] if number >= 0 else None
    if tensor is None or not tensor.constant or tensor.elements != 1 or tensor.dtype not in ("int32", "int64"):
        return None
    values = stored_values(tensor)
    return None if values is None else int(np.asarray(values).reshape(-1)[0])
