"""The kernels of a file as the numbers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.sparse_layout import dense_values
from tfcompress.tflite.tensors import StoredTensor
from tfcompress.tflite.weights import kernels, stored_values

_REAL = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class KernelValues:
    """A kernel of a file.

    Attributes:
        op: name of the op that multiplies with it.
        tensor: its name in the file; empty where a packing took the names out.
        shape: its shape.
        values: its elements as real numbers, float32, flat; None: they are no numbers, or not finite.
        distinct: different stored values; None for a kernel of reals, and where they are not known.
        place: of the op in the main subgraph; None: it is in another one.
    """

    op: str
    tensor: str
    shape: tuple[int, ...]
    values: np.ndarray | None = field(repr=False, compare=False)
    distinct: int | None
    place: int | None = None

    @property
    def elements(self) -> int:
        """How many elements the shape has."""
        return int(np.prod(self.shape, dtype=np.int64))


def kernel_values(content: bytes) -> list[KernelValues]:
    """Return the kernels of a file, in the order of its ops.

    Raises:
        ModelError: it is no file that can be read.
    """
    found = []
    for kernel in kernels(read_model_file(content).subgraphs):
        tensor = kernel.tensor
        stored = stored_values(tensor)
        distinct = None if stored is None or tensor.dtype in _REAL else len(np.unique(stored))
        values = None if stored is None else _real(tensor, stored)
        place = None if kernel.graph else kernel.place
        found.append(KernelValues(kernel.op, tensor.name, tensor.shape, values, distinct, place))
    return found


def _real(tensor: StoredTensor, stored: np.ndarray) -> np.ndarray | None:
    whole = dense_values(tensor, stored) if tensor.sparse else stored.reshape(tensor.shape)
    if whole is None:
        return None
    values = whole.astype(np.float32)
    if tensor.scales:
        values = (values - _along(tensor, tensor.zero_points)) * _along(tensor, tensor.scales)
    flat: np.ndarray = values.reshape(-1)
    return flat if np.isfinite(flat).all() else None


def _along(tensor: StoredTensor, numbers: Sequence[float]) -> np.ndarray:
    """Return scales or zero points so that they spread over the tensor."""
    found = np.asarray(numbers, np.float32)
    if len(found) == 1 or not 0 <= tensor.axis < len(tensor.shape) or len(found) != tensor.shape[tensor.axis]:
        return found[:1]
    shape = [1] * len(tensor.shape)
    shape[tensor.axis] = len(found)
    return found.reshape(shape)
