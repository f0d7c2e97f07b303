"""Setting exactly as many weights to zero as was asked, in plain arithmetic.

Training schedules work in float32 and with ties and so miss a target by a weight or two; what is left over is done
here, once, at the end.
"""

from __future__ import annotations

import math

import numpy as np

from tfcompress.recipe import Prune
from tfcompress.weights.promises import GROUP, ZEROS_IN_GROUP, groups_of_four

ROUNDING = 1e-9
"""0.8 * 5 is 4.000000000000001 in floating point, and is meant to be 4."""


def zeros_needed(size: int, sparsity: float) -> int:
    """Return the least number of zeros among *size* weights whose fraction is not below *sparsity*.

    Example:
        >>> zeros_needed(5, 0.8), zeros_needed(5, 0.5)
        (4, 3)
    """
    return math.ceil(size * sparsity - ROUNDING)


def pruned(kernel: np.ndarray, stage: Prune) -> np.ndarray:
    """Return a copy of *kernel* whose smallest magnitudes are zero, as many as *stage* asks for and no more.

    Weights that are zero already stay so and count. A kernel that satisfies the stage comes back equal.

    Args:
        kernel: weights; of any shape for ``unstructured``, shape (…, inputs, outputs) with inputs a multiple of four
            for ``2:4``, shape (rows, columns) for ``block``.
        stage: what is asked.
    """
    prune = {"unstructured": _unstructured, "2:4": _two_of_four, "block": _blocks}[stage.pattern]
    return prune(kernel, stage)


def _smallest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the *count* smallest values of a flat array."""
    return np.argpartition(magnitudes, count - 1)[:count] if count else np.empty(0, dtype=np.intp)


def _unstructured(kernel: np.ndarray, stage: Prune) -> np.ndarray:
    result = kernel.flatten()
    result[_smallest(np.abs(result), zeros_needed(kernel.size, stage.sparsity))] = 0
    return result.reshape(kernel.shape)


def _two_of_four(kernel: np.ndarray, _: Prune) -> np.ndarray:
    groups = groups_of_four(kernel, -2).copy()
    smallest = np.argsort(np.abs(groups), axis=1, kind="stable")[:, :ZEROS_IN_GROUP]
    np.put_along_axis(groups, smallest, 0, axis=1)
    moved = np.moveaxis(kernel, -2, -1).shape
    return np.moveaxis(groups.reshape(moved), -1, -2)


def _blocks(kernel: np.ndarray, stage: Prune) -> np.ndarray:
    """Zero whole blocks in the order of their mean magnitude until there are enough; edge blocks may be smaller."""
    height, width = stage.block_shape
    rows, columns = kernel.shape
    row_of, column_of = np.arange(rows) // height, np.arange(columns) // width
    block_of = row_of[:, None] * (column_of[-1] + 1) + column_of
    sizes = np.bincount(block_of.ravel())
    means = np.bincount(block_of.ravel(), weights=np.abs(kernel).ravel()) / sizes
    order = np.argsort(means, kind="stable")
    enough = int(np.searchsorted(np.cumsum(sizes[order]), zeros_needed(kernel.size, stage.sparsity))) + 1
    return np.where(np.isin(block_of, order[:enough]), 0, kernel).astype(kernel.dtype)


def fits(shape: tuple[int, ...], stage: Prune) -> str:
    """Say why a kernel of *shape* cannot be pruned as asked; an empty string if it can.

    A kernel that would be left without a single weight is not pruned either: its layer would be dead.
    """
    size = math.prod(shape)
    if stage.pattern == "2:4" and (len(shape) < 2 or shape[-2] % GROUP):
        channels = shape[-2] if len(shape) >= 2 else 1
        return f"its {channels} input channels are not a multiple of four"
    if stage.pattern == "block" and math.prod(stage.block_shape) > size - zeros_needed(size, stage.sparsity):
        return f"blocks of {stage.block_shape[0]}x{stage.block_shape[1]} would leave nothing of its {size} weights"
    if zeros_needed(size, stage.sparsity) >= size:
        return f"nothing would be left of its {size} weights"
    return ""
