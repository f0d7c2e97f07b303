"""What a SavedModel would take of memory, read from its protocol buffers before it is taken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError
from tfcompress.safety.saved_graph import SavedGraph

MAX_GRAPH_BYTES = 2**31 - 1
"""Size of the largest protocol buffer (https://protobuf.dev/programming-guides/proto-limits)."""
MAX_CONSTANT_BYTES = 2**31
"""Most that all constants may take beyond what is written out of them: more than a TFLite file can hold."""
MAX_OPERATIONS = 10**8
"""Most nodes that the graph may have with every call unfolded; NASNetLarge has some ten thousand."""


def check_saved_size(path: Path) -> None:
    """Check the size of ``saved_model.pb`` before it is read.

    Raises:
        ModelError: it is larger than a protocol buffer can be.
        OSError: it cannot be looked at.
    """
    size = (path / "saved_model.pb").stat().st_size
    if size > MAX_GRAPH_BYTES:
        msg = f"model {str(path)!r} cannot be read: its saved_model.pb has {size} bytes, more than a graph can have"
        raise ModelError(msg)


def check_graph_sizes(path: Path, graph: SavedGraph) -> None:
    """Check what the constants take, and how many operations there are once all calls are unfolded.

    Raises:
        ModelError: that is out of proportion to the file, or functions call each other in a circle.
    """
    hidden = sum(_hidden_bytes(tensor) for node in graph.all_nodes() for tensor in node.constants)
    if hidden > MAX_CONSTANT_BYTES:
        raise _out_of_proportion(path, f"its constants take {hidden} bytes that are not in the file")
    operations = _unfolded(path, graph)
    if operations > MAX_OPERATIONS:
        raise _out_of_proportion(path, f"its functions unfold into {operations} operations")


def check_variables(path: Path) -> None:
    """Check that the variables have no more bytes than the files that hold them.

    Raises:
        ModelError: they have, or the index of the variables is damaged.
    """
    import tensorflow as tf

    prefix = path / "variables" / "variables"
    if not prefix.with_suffix(".index").is_file():
        return
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(str(prefix))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except (ValueError, tf.errors.OpError) as error:
        msg = f"model {str(path)!r} cannot be read: its variables.index is damaged"
        raise ModelError(msg) from error
    held = sum(file.stat().st_size for file in prefix.parent.glob("variables.data-*") if file.is_file())
    wanted = sum(math.prod(shape) * _bytes_each(dtypes[name]) for name, shape in shapes.items())
    if wanted > held:
        raise _out_of_proportion(path, f"its variables take {wanted} bytes, their files have {held}")


def _out_of_proportion(path: Path, what: str) -> ModelError:
    return ModelError(f"model {str(path)!r} cannot be read: {what}; the file is damaged")


def _bytes_each(dtype: Any) -> int:
    """Return the size of an element; of a string, the one byte at least that a file has for it."""
    size: int = dtype.size or 1
    return max(size, 1)


def _hidden_bytes(tensor: Any) -> int:
    """Return how many bytes a constant takes in memory beyond those of its description."""
    import tensorflow as tf

    try:
        each = _bytes_each(tf.as_dtype(tensor.dtype))
    except TypeError:
        return 0  # no such type: the loader refuses it
    size: int = math.prod(max(dimension.size, 0) for dimension in tensor.tensor_shape.dim) * each
    described: int = tensor.ByteSize()
    return max(size - described, 0)


def _unfolded(path: Path, graph: SavedGraph) -> int:
    """Return how many operations the largest function has with every function that it calls put in its place."""
    sizes: dict[str, int] = {}
    open_ones: set[str] = set()
    stack = list(graph.library)
    while stack:
        name = stack[-1]
        waiting = [called for called in graph.calls[name] if called not in sizes] if name not in sizes else []
        if not waiting:
            stack.pop()
            open_ones.discard(name)
            if name not in sizes:
                called = (sizes[other] for node in graph.library[name] for other in node.called)
                sizes[name] = len(graph.library[name]) + sum(called)
        elif open_ones.intersection(waiting) or name in waiting:
            raise _out_of_proportion(path, "its functions call each other in a circle")
        else:
            open_ones.add(name)
            stack.extend(waiting)
    return max(sizes.values(), default=0) + len(graph.nodes)
