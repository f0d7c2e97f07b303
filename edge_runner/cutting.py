"""One node of a model as a model of its own, made by changing a few numbers of the file.

A subgraph is a table with three lists of numbers: inputs, outputs, ops. The list of ops is shortened in place to the
one that is wanted, and new lists of its inputs and outputs are appended to the file, where the table then points:
references in a flatbuffer lead forward. Tensors, constants and everything else stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edge_runner.cursor import Source, Table
from edge_runner.graph import Graph

_SUBGRAPHS, _INPUTS, _OUTPUTS, _OPERATORS = 2, 1, 2, 3
_ITEM_BYTES = 4


def fed(graph: Graph, index: int) -> list[int]:
    """Return the tensors that must be fed when node *index* of the first subgraph stands alone."""
    subgraph = graph.subgraphs[0]
    known = {place for place, tensor in enumerate(subgraph.tensors) if tensor.constant or tensor.is_variable}
    return [tensor for tensor in dict.fromkeys(subgraph.operators[index].inputs) if tensor >= 0 and tensor not in known]


def cut(content: bytes, graph: Graph, index: int) -> bytes:
    """Return a .tflite file that runs node *index* of the first subgraph alone.

    Args:
        content: a whole file, already checked.
        graph: what it describes.
        index: place of the node among the ops.
    """
    result = bytearray(content)
    table = Source(memoryview(content)).root().tables(_SUBGRAPHS)[0]
    _keep_one(result, table, index)
    operator = graph.subgraphs[0].operators[index]
    outputs = [tensor for tensor in operator.outputs if tensor >= 0]
    _point_to(result, table, _INPUTS, fed(graph, index))
    _point_to(result, table, _OUTPUTS, outputs)
    return bytes(result)


def _keep_one(content: bytearray, table: Table, index: int) -> None:
    """Make the list of ops one long, its only entry leading where entry *index* led."""
    start, _ = table.vector(_OPERATORS, _ITEM_BYTES)
    place = start + _ITEM_BYTES * index
    (offset,) = struct.unpack_from("<I", content, place)
    struct.pack_into("<I", content, start - _ITEM_BYTES, 1)
    struct.pack_into("<I", content, start, place + offset - start)


def _point_to(content: bytearray, table: Table, field: int, items: Sequence[int]) -> None:
    """Append a list and make *field* of *table*, which every file of a converter has, lead to it."""
    (back,) = struct.unpack_from("<i", content, table.position)
    (inside,) = struct.unpack_from("<H", content, table.position - back + 2 * (2 + field))
    content.extend(bytes(-len(content) % _ITEM_BYTES))
    place = table.position + inside
    struct.pack_into("<I", content, place, len(content) - place)
    content.extend(struct.pack(f"<I{len(items)}i", len(items), *items))
