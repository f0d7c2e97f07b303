"""Slim: the same model in fewer bytes, no number changed.

What is equal is written once (:mod:`tfcompress.tflite.tree_writer`): scales, zero points, shapes, options, constants.
What nothing refers to goes, and so does what no runtime reads: the converter's own record (its name, which runtime it
thought of, ``CONVERSION_METADATA``), ranges beside scales, shape signatures that say what the shape says, and the names
of graphs and of tensors inside them.

Of the MLPerf Tiny ResNet8 in int8, 95,568 bytes, 78,864 are kernels and biases.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfcompress.errors import UnsupportedError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.tree import Node, Numbers, Text, parse_tree
from tfcompress.tflite.tree_writer import write_tree

LARGEST_BYTES = 2**31 - 1
"""Of a flatbuffer; larger files keep their constants behind it."""
_DROPPED = frozenset({"CONVERSION_METADATA", "min_runtime_version"})
"""Metadata of the converter. A runtime refuses a version of an op that it does not know, and asks for nothing else."""
_WITHOUT_BUFFERS = frozenset(
    {
        "CONVERSION_METADATA",
        "OfflineMemoryAllocation",
        "TFCOMPRESS_METADATA",
        "TFLITE_METADATA",
        "model_control_dependencies",
        "reduced_precision_support",
    }
)
"""Metadata known to hold no numbers of buffers (tables of tflite-micro's compression do)."""


def slim(content: bytes, *, keep_names: bool = False) -> bytes:
    """Return a file that computes the same from fewer bytes.

    Args:
        content: a TFLite file.
        keep_names: keep the names of graphs and of tensors inside them; inputs and outputs always keep theirs.

    Raises:
        ModelError: a malformed file.
        UnsupportedError: one that holds what this version does not know, or keeps its constants outside the flatbuffer.
    """
    read_model_file(content)  # what it points at is there
    model = parse_tree(content)
    _check_inside(model, len(content))
    model = _without_records(model)
    graphs = range(len(model.nodes("subgraphs")))
    model = model.having(subgraphs=tuple(_slim_graph(model, n, keep_names=keep_names) for n in graphs))
    if all(entry.text("name") in _WITHOUT_BUFFERS for entry in model.nodes("metadata")):
        model = _renumbered(model)
    return write_tree(model)


def _check_inside(model: Node, size: int) -> None:
    """Refuse what refers to places in the file: they move."""
    graphs = model.nodes("subgraphs")
    outside = (
        size > LARGEST_BYTES
        or any(buffer.number("offset") > 1 for buffer in model.nodes("buffers"))
        or any(op.number("large_custom_options_offset") > 1 for graph in graphs for op in graph.nodes("operators"))
        or bool(model.nodes("external_buffers"))
    )
    if outside:
        msg = "the file keeps constants outside the flatbuffer, as files above 2 GB do; leave it as it is"
        raise UnsupportedError(msg)


def _without_records(model: Node) -> Node:
    kept = tuple(entry for entry in model.nodes("metadata") if entry.text("name") not in _DROPPED)
    return model.having(metadata=kept or None, description=None)


def _slim_graph(model: Node, number: int, *, keep_names: bool) -> Node:
    graph = model.nodes("subgraphs")[number]
    entered = {0, *(signature.number("subgraph_index") for signature in model.nodes("signature_defs"))}
    ends = {*graph.numbers("inputs"), *graph.numbers("outputs")} if number in entered else set()
    tensors = graph.nodes("tensors")
    slimmed = (_slim_tensor(tensor, keep_name=keep_names or place in ends) for place, tensor in enumerate(tensors))
    named = graph if keep_names else graph.having(name=None)
    return named.having(tensors=tuple(slimmed))


def _slim_tensor(tensor: Node, *, keep_name: bool) -> Node:
    quantization = tensor.node("quantization")
    if quantization is not None and quantization.numbers("scale"):
        tensor = tensor.having(quantization=quantization.having(min=None, max=None))
    if tensor.fields.get("shape_signature") == tensor.fields.get("shape"):
        tensor = tensor.having(shape_signature=None)
    # An empty name and not none: readers in Python (Vela's) take it for granted.
    return tensor if keep_name or "name" not in tensor.fields else tensor.having(name=Text(b""))


def _renumbered(model: Node) -> Node:
    """Keep each constant once, in the order in which they stand; what is empty becomes buffer 0, as the schema asks."""
    buffers = model.nodes("buffers")
    used = _used(model)
    numbers: dict[int, int] = {}
    kept: dict[Numbers | None, int] = {None: 0}
    for number, buffer in enumerate(buffers):
        data = buffer.fields.get("data")
        content = data if isinstance(data, Numbers) and data.content else None
        if number in used or content is None:
            numbers[number] = kept.setdefault(content, len(kept))
    graphs = tuple(
        graph.having(tensors=tuple(t.having(buffer=numbers[t.number("buffer")]) for t in graph.nodes("tensors")))
        for graph in model.nodes("subgraphs")
    )
    metadata = tuple(entry.having(buffer=numbers[entry.number("buffer")]) for entry in model.nodes("metadata"))
    return model.having(
        buffers=tuple(Node("Buffer", {} if data is None else {"data": data}) for data in kept),
        subgraphs=graphs,
        metadata=metadata or None,
        metadata_buffer=_mapped(model.numbers("metadata_buffer"), numbers),
    )


def _used(model: Node) -> set[int]:
    tensors = (tensor for graph in model.nodes("subgraphs") for tensor in graph.nodes("tensors"))
    return {
        *(tensor.number("buffer") for tensor in tensors),
        *(entry.number("buffer") for entry in model.nodes("metadata")),
        *model.numbers("metadata_buffer"),
    }


def _mapped(before: Sequence[int], numbers: dict[int, int]) -> Numbers | None:
    after = b"".join(numbers[number].to_bytes(4, "little") for number in before)
    return Numbers(4, after) if before else None
