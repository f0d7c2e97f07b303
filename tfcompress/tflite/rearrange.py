"""Changes of a converted file that change no number: the order of inputs and outputs, batches, names of tensors.

All are made in place or by what is put behind the file's own bytes, so that every buffer keeps its alignment.
Field numbers are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np

from edge_runner.cursor import Source, Table
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.tensors import StoredTensor, Subgraph

_SUBGRAPHS, _SIGNATURES = 2, 7  # of the Model table
_TENSORS, _INPUTS, _OUTPUTS = 0, 1, 2  # of the SubGraph table
_NAME = 3  # of the Tensor table


def in_order(content: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return a file whose inputs and outputs come in an order, by index and in its signature.

    The converter sorts the names of a signature, and leaves the lists of the graph as they come.

    Args:
        content: a TFLite file with one signature, of its main subgraph.
        inputs: the names of its inputs in the wanted order.
        outputs: those of its outputs.

    Returns:
        The file; *content* itself where its names are others, or one tensor has two of them.
    """
    root, made = Source(memoryview(content)).root(), bytearray(content)
    graph = root.tables(_SUBGRAPHS)[0]
    signatures = root.tables(_SIGNATURES)
    if len(signatures) != 1:
        return content
    for slot, (field, names) in enumerate(((_INPUTS, inputs), (_OUTPUTS, outputs))):
        entries = signatures[0].tables(slot)
        named = {entry.text(0): entry for entry in entries}
        tensors = graph.numbers(field)
        numbers = [named[name].number(1, "I") for name in names if name in named]
        if sorted(named) != sorted(names) or sorted(numbers) != sorted(tensors):
            return content
        struct.pack_into(f"<{len(numbers)}i", made, graph.target(field) + 4, *numbers)
        _put_order_(made, signatures[0], slot, [named[name].position for name in names])
    return bytes(made)


def _put_order_(made: bytearray, table: Table, field: int, targets: Sequence[int]) -> None:
    """Let a vector of tables refer to its tables in another order."""
    first = table.target(field) + 4
    for place, target in enumerate(targets):
        at = first + 4 * place
        if target > at:
            struct.pack_into("<I", made, at, target - at)


def for_any_batch(content: bytes) -> bytes:
    """Return a file whose RESHAPEs take their first size from what they are given, so that the batch can be resized.

    Traced with a batch of 1, a reshape that keeps the batch has the constant shape (1, …). As (-1, …) it means the same
    for one sample, and the same of each of several.

    Args:
        content: a TFLite file for one sample at a time.

    Returns:
        The file, or *content* itself where nothing is to be changed.
    """
    graph, made = read_model_file(content).subgraphs[0], bytearray(content)
    for shape in _batch_shapes(graph):
        struct.pack_into("<i", made, _place(content, shape), -1)
    return bytes(made)


def _batch_shapes(graph: Subgraph) -> list[StoredTensor]:
    """Return the constants that are shapes with a batch of 1, and nothing else to any op."""
    kept: dict[int, StoredTensor] = {}
    other: set[int] = set()
    for op in graph.ops:
        for slot, number in enumerate(op.inputs):
            tensor = graph.tensors[number] if number >= 0 else None
            if tensor is None or not tensor.constant:
                continue
            if op.name == "RESHAPE" and slot == 1 and _keeps_batch(graph, op.inputs[0], tensor):
                kept[tensor.buffer] = tensor
            else:
                other.add(tensor.buffer)
    return [tensor for buffer, tensor in kept.items() if buffer not in other]


def _keeps_batch(graph: Subgraph, given: int, shape: StoredTensor) -> bool:
    sizes = np.frombuffer(shape.data.tobytes(), "<i4") if shape.dtype == "int32" else np.empty(0, "<i4")
    before = graph.tensors[given].shape
    return len(sizes) > 0 and sizes[0] == 1 and bool((sizes > 0).all()) and before[:1] == (1,)


def _place(content: bytes, tensor: StoredTensor) -> int:
    """Return where in a file a constant's values are."""
    whole = np.frombuffer(content, np.uint8)
    start: int = tensor.data.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return start


def with_unique_names(content: bytes) -> bytes:
    """Return a file in which no two tensors of a subgraph have one name; ``_1``, ``_2`` … tell them apart.

    Args:
        content: a TFLite file.

    Returns:
        The file, or *content* itself where nothing is to be changed.
    """
    model, made = read_model_file(content), bytearray(content)
    for graph, table in zip(model.subgraphs, Source(memoryview(content)).root().tables(_SUBGRAPHS), strict=True):
        tables = table.tables(_TENSORS)
        for number, name in _renamed(graph).items():
            made += b"\0" * (-len(made) % 4)
            at = tables[number].at(_NAME, 4)
            struct.pack_into("<I", made, at, len(made) - at)
            text = name.encode()
            made += struct.pack("<I", len(text)) + text + b"\0"
    return bytes(made)


def _renamed(graph: Subgraph) -> dict[int, str]:
    """Return new names for tensors that share one; inputs and outputs keep theirs, and else the first one does."""
    counts = Counter(tensor.name for tensor in graph.tensors)
    taken, first = set(counts), {*graph.inputs, *graph.outputs}
    seen: set[str] = set()
    renamed: dict[int, str] = {}
    for tensor in sorted(graph.tensors, key=lambda tensor: tensor.index not in first):
        if tensor.name and counts[tensor.name] > 1 and tensor.name in seen:
            count = 1
            while (name := f"{tensor.name}_{count}") in taken:
                count += 1
            taken.add(name)
            renamed[tensor.index] = name
        seen.add(tensor.name)
    return renamed
