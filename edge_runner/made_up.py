"""Inputs for timing without data."""

from __future__ import annotations

import random

import numpy as np

from edge_runner.interpreter import Tensor
from edge_runner.ndarray import Array


def made_up(tensor: Tensor, seed: int) -> Array:
    """Return uniform random values of *tensor*'s shape and dtype, zeros for indices (which have limits).

    Floats are in 0..1, quantized values anywhere in their dtype's range. The standard library's generator makes them:
    numpy's own would take 7 MB and a hundredth of a second to load, in a process whose memory and start are measured.
    """
    size = int(np.prod(tensor.shape, dtype=np.int64))
    if tensor.dtype.kind == "f":
        bits = np.frombuffer(random.Random(seed).randbytes(4 * size), np.uint32)
        return (bits / np.float64(2**32)).astype(tensor.dtype).reshape(tensor.shape)
    if tensor.scale is not None:
        content = random.Random(seed).randbytes(tensor.dtype.itemsize * size)
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape)
    return np.zeros(tensor.shape, tensor.dtype)
