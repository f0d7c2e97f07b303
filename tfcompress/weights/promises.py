"""What a stage promised about a kernel, and whether the kernel keeps it.

The functions take plain arrays, so the same ones check a Keras kernel, an unpacked TFLite buffer, or a test's example.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfcompress.errors import ContractError
from tfcompress.recipe import Prune

What = Literal["sparsity", "2:4 groups", "4:8 groups", "distinct values"]

GROUPS = {"2:4": (2, 4), "4:8": (4, 8)}
"""Pattern -> zeros in a group of neighbours along the input channels, and the group's size."""

SHOWN = 5
"""Broken promises named in one error message, at most."""


@dataclass(frozen=True)
class Promise:
    """One promise about one kernel.

    Attributes:
        layer: name of the layer (with its models' names before it, where it is nested), and of the weight where the
            layer has several.
        what: ``sparsity``, ``2:4 groups`` and ``4:8 groups`` (fractions, at least *asked*), or ``distinct values`` (a
            count, at most *asked*; of the channel that has most, where channels are clustered apart).
        asked: what the stage asked for.
        got: what the kernel has.
        elements: how many the kernel has, by which it is found again in an exported file.
    """

    layer: str
    what: What
    asked: float
    got: float
    elements: int = 0

    @property
    def kept(self) -> bool:
        """Whether the kernel is what was asked for."""
        return self.got <= self.asked if self.what == "distinct values" else self.got >= self.asked


def sparsity(kernel: np.ndarray) -> float:
    """Return the fraction of zeros in an array of any shape; 0 for an empty one."""
    return 1.0 - int(np.count_nonzero(kernel)) / kernel.size if kernel.size else 0.0


def distinct_values(kernel: np.ndarray, channel_axis: int | None = None) -> int:
    """Count the different values in an array of any shape.

    Args:
        kernel: the array.
        channel_axis: count in every slice along this axis by itself, and return the largest count; None: count in all.
    """
    if channel_axis is None:
        return int(np.unique(kernel).size)
    channels = np.moveaxis(kernel, channel_axis, 0).reshape(kernel.shape[channel_axis], -1)
    return max(int(np.unique(channel).size) for channel in channels)


def _groups(kernel: np.ndarray, input_axis: int, size: int) -> np.ndarray:
    """Return the aligned groups of *size* neighbours along the input channels, shape (groups, size)."""
    return np.moveaxis(kernel, input_axis, -1).reshape(-1, size)


def sparsity_promises(layer: str, kernel: np.ndarray, stage: Prune, *, input_axis: int = -2) -> list[Promise]:
    """Compare a kernel with what a prune stage promises.

    Args:
        layer: name for the promise.
        kernel: the weights, of any shape.
        stage: what was asked.
        input_axis: axis of the input channels: -2 in Keras's layouts, -1 in TFLite's.
    """
    promises = [Promise(layer, "sparsity", stage.sparsity, sparsity(kernel), kernel.size)]
    if stage.pattern == "2:4" or stage.pattern == "4:8":
        least, size = GROUPS[stage.pattern]
        zeros = (_groups(kernel, input_axis, size) == 0).sum(axis=1)
        what: What = "2:4 groups" if stage.pattern == "2:4" else "4:8 groups"
        promises.append(Promise(layer, what, 1.0, float((zeros >= least).mean()), kernel.size))
    return promises


def values_promise(layer: str, kernel: np.ndarray, count: int, *, channel_axis: int | None = None) -> Promise:
    """Compare a kernel with what a cluster stage promises.

    Args:
        layer: name for the promise.
        kernel: the weights, of any shape.
        count: values that it may hold.
        channel_axis: axis of the output channels where these were clustered apart, or quantized apart (int8 codes with
            a scale for each channel hold at most *count* values in a channel, and more in all).
    """
    return Promise(layer, "distinct values", count, distinct_values(kernel, channel_axis), kernel.size)


def check_promises(promises: Iterable[Promise]) -> None:
    """Refuse a model that breaks a promise.

    Raises:
        ContractError: naming layers, what was asked and what they got.
    """
    broken = [promise for promise in promises if not promise.kept]
    if not broken:
        return
    words = [f"{p.layer}: {p.what} {_number(p.got)} instead of {_number(p.asked)}" for p in broken[:SHOWN]]
    more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    msg = f"promises broken in {len(broken)} kernels: {'; '.join(words)}{more}; this is a bug of the technique"
    raise ContractError(msg)


def _number(value: float) -> str:
    return f"{value:.6g}"
