"""What a file takes beside the values of some of its kernels, found by making it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edge_runner.graph import read_graph
from tfcompress.tflite.packaging import make_package
from tfcompress.tflite.tensors import with_values
from tfcompress.tflite.weights import kernels

def rest_bytes(content: bytes, sizes: Mapping[int, int], *, packed: bool) -> int:
    """Return the bytes of a file without the values of some kernels.

    Args:
        content: a ``.tflite`` file.
        sizes: number of a kernel's elements -> how many kernels of that size are meant; the first ones of the file.
        packed: whether the bytes of its package (.tfz) are meant.

    Raises:
        ModelError: not a TFLite file, or a malformed one.
    """
    graph = read_graph(content)
    wanted, blank, taken = Counter(sizes), bytearray(content), 0
    for kernel in kernels(with_values(graph, content)):
        if wanted[kernel.tensor.elements] > 0:
            wanted[kernel.tensor.elements] -= 1
            start, size = graph.buffers[kernel.tensor.buffer]
            blank[start : start + size] = bytes(size)
            taken += size
    return len(make_package(bytes(blank)).content) if packed else len(content) - taken
