"""Masks of the weights that pruning keeps, given how much each one matters: plain arithmetic, exact to the weight.

A weight that went stays away: its importance is to be ``-inf``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfcompress.recipe import Prune
from tfcompress.weights.promises import GROUPS

LEAST_DENSITY = 0.1
"""Part of the density asked for that a global threshold leaves to every kernel: a layer without weights is dead."""

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

    Training schedules work in float32 and with ties and so miss a target by a weight or two; what is left over is done
    here, once, at the end. Weights that are zero already stay so and count. A kernel that satisfies the stage comes
    back equal.

    Args:
        kernel: weights, of a shape as for :func:`keep_mask`.
        stage: what is asked.
    """
    return np.where(keep_mask(np.abs(kernel), stage.sparsity, stage), kernel, 0).astype(kernel.dtype)


def keep_mask(importance: np.ndarray, sparsity: float, stage: Prune) -> np.ndarray:
    """Choose the weights of one kernel that stay.

    Args:
        importance: of each weight; shape of the kernel. For groups of neighbours the last axis but one is that of the
            input channels; blocks lie in the two last axes.
        sparsity: fraction that goes, rounded up to whole weights (``unstructured``) or blocks; groups of neighbours
            have theirs by definition.
        stage: its pattern, and the shape of its blocks.

    Returns:
        bool of the kernel's shape; the most important weights are True.
    """
    if stage.pattern in GROUPS:
        return _groups(importance, *GROUPS[stage.pattern])
    if stage.pattern == "block":
        return _blocks(importance, sparsity, stage.block_shape)
    return _all_but(importance, zeros_needed(importance.size, sparsity))


def keep_masks(importances: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Choose the weights of several kernels that stay, by one threshold for all.

    Every kernel keeps its most important weights, as many as :data:`LEAST_DENSITY` of an equal share.

    Args:
        importances: of each weight of each kernel, on one scale.
        sparsity: fraction of all weights together that goes, rounded up.

    Returns:
        A bool array of each kernel's shape.
    """
    safe = [_least(values, sparsity) for values in importances]
    flat = np.concatenate([np.where(s, np.inf, v).ravel() for v, s in zip(importances, safe, strict=True)])
    stays = _all_but(flat, zeros_needed(flat.size, sparsity))
    ends = np.cumsum([values.size for values in importances])[:-1]
    return [part.reshape(v.shape) for part, v in zip(np.split(stays, ends), importances, strict=True)]


def _least(importance: np.ndarray, sparsity: float) -> np.ndarray:
    least = max(1, math.floor(LEAST_DENSITY * (1 - sparsity) * importance.size))
    return _all_but(importance, importance.size - least)


def _all_but(importance: np.ndarray, count: int) -> np.ndarray:
    stays = np.ones(importance.size, bool)
    if count:
        stays[np.argpartition(importance, count - 1, axis=None)[:count]] = False
    return stays.reshape(importance.shape)


def _groups(importance: np.ndarray, zeros: int, size: int) -> np.ndarray:
    moved = np.moveaxis(importance, -2, -1)
    groups = moved.reshape(-1, size)
    stays = np.ones(groups.shape, bool)
    np.put_along_axis(stays, np.argsort(groups, axis=1, kind="stable")[:, :zeros], False, axis=1)
    return np.moveaxis(stays.reshape(moved.shape), -1, -2)


def _blocks(importance: np.ndarray, sparsity: float, shape: tuple[int, ...]) -> np.ndarray:
    """Drop whole blocks in the order of their mean importance until enough weights went; edge blocks may be smaller."""
    height, width = shape
    rows, columns = importance.shape[-2:]
    across, down = -(-columns // width), -(-rows // height)
    in_matrix = (np.arange(rows) // height)[:, None] * across + np.arange(columns) // width
    matrices = importance.reshape(-1, rows, columns)
    block_of = np.arange(len(matrices))[:, None, None] * (across * down) + in_matrix
    sizes = np.bincount(block_of.ravel())
    means = np.bincount(block_of.ravel(), weights=matrices.ravel()) / sizes
    order = np.argsort(means, kind="stable")
    needed = zeros_needed(importance.size, sparsity)
    count = int(np.searchsorted(np.cumsum(sizes[order]), needed)) + 1 if needed else 0
    return ~np.isin(block_of, order[:count]).reshape(importance.shape)


def pruning_obstacle(shape: tuple[int, ...], stage: Prune) -> str:
    """Say why a kernel of *shape* cannot be pruned as asked; an empty string if it can.

    A kernel that would be left without a single weight is not pruned either: its layer would be dead.
    """
    size = math.prod(shape)
    if stage.pattern in GROUPS:
        neighbours = GROUPS[stage.pattern][1]
        channels = shape[-2] if len(shape) > 1 else 1
        return f"its {channels} input channels are not a multiple of {neighbours}" if channels % neighbours else ""
    if stage.pattern == "block" and len(shape) < 2:
        return "a vector has no blocks"
    if stage.pattern == "block" and math.prod(stage.block_shape) > size - zeros_needed(size, stage.sparsity):
        return f"blocks of {stage.block_shape[0]}x{stage.block_shape[1]} would leave nothing of its {size} weights"
    if zeros_needed(size, stage.sparsity) >= size:
        return f"nothing would be left of its {size} weights"
    return ""
