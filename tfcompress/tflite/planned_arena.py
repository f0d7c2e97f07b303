"""The memory that a file's activations need at once, as planned from the file: see :mod:`edge_runner.arena`."""

from __future__ import annotations

from edge_runner.arena import lifetimes, planned_bytes
from edge_runner.graph import read_graph
from tfcompress.tflite.flatbuffer import reading_errors


def planned_arena_bytes(content: bytes) -> int:
    """Return the bytes that edge_runner plans for a file's activations; kernels' scratch memory is not in them.

    Args:
        content: a TFLite file.

    Raises:
        ModelError: not a TFLite file, or a malformed one.
    """
    with reading_errors():
        return planned_bytes(lifetimes(read_graph(memoryview(content)).subgraphs[0]))
