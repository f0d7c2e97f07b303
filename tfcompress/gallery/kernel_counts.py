"""The weights of a file beside those of the float file, kernel by kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tfcompress.reports.pictures import WeightCounts
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.sparse_layout import dense_values
from tfcompress.tflite.tensors import StoredTensor
from tfcompress.tflite.weights import Kernel, kernels, stored_values

_BINS = 48
_REAL = ("float32", "float16", "bfloat16")


def kernel_counts(before: bytes, after: bytes, layers: Sequence[str]) -> tuple[tuple[WeightCounts, ...], str]:
    """Count the weights of two files of one model.

    Args:
        before: the float file.
        after: the other.
        layers: the names of the model's layers, that kernels are called by.

    Returns:
        A count for each kernel, in the file's order, and what is to be said about those that are not there; kernels
        are told apart by their order, so where the files have not as many, nothing is counted.
    """
    ones, others = (list(kernels(read_model_file(content).subgraphs)) for content in (before, after))
    if len(ones) != len(others):
        return (), (
            f"the result has {len(others)} kernels and the float file {len(ones)}, so their weights cannot be paired"
        )
    found, left = [], 0
    for number, (one, other) in enumerate(zip(ones, others, strict=True), start=1):
        values = _real_values(one), _real_values(other)
        if values[0] is None or values[1] is None or not values[0].size or not values[1].size:
            left += 1
            continue
        stored = stored_values(other.tensor)
        distinct = None if stored is None or other.tensor.dtype in _REAL else len(np.unique(stored))
        found.append(_counts(_called(one, layers, number), (values[0], values[1]), distinct))
    return tuple(found), f"the weights of {left} kernels cannot be read as numbers" if left else ""


def _called(kernel: Kernel, layers: Sequence[str], number: int) -> str:
    """Return the layer that a kernel's name in the float file names, else that name."""
    known = set(layers)
    parts = [part for part in re.split(r"[/;]", kernel.tensor.name) if part]
    return next((part for part in parts if part in known), kernel.tensor.name or f"{kernel.op} {number}")


def _counts(name: str, values: tuple[np.ndarray, np.ndarray], distinct: int | None) -> WeightCounts:
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    one, two = (tuple(np.histogram(v, _BINS, (low, high))[0].tolist()) for v in values)
    zeros = [float(np.mean(v == 0)) for v in values]
    return WeightCounts(
        name=name,
        low=low,
        high=high,
        before=one,
        after=two,
        zeros_before=zeros[0],
        zeros_after=zeros[1],
        distinct_after=distinct,
    )


def _real_values(kernel: Kernel) -> np.ndarray | None:
    """Return the numbers that a kernel stands for, flat; None where they are none, or not finite."""
    tensor = kernel.tensor
    stored = stored_values(tensor)
    if stored is None:
        return None
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
