"""Figures of how well a tensor fits a grid of 256 numbers."""

from __future__ import annotations

import numpy as np

from tfcompress.models.transformed_layer import variable_at
from tfcompress.quantization import rules


def kurtosis(values: np.ndarray) -> float | None:
    """Return the fourth moment about the mean over the variance squared: 3 for a Gaussian; None: nothing varies."""
    centred = values.astype(np.float64).reshape(-1)
    centred = centred - centred.mean()
    variance = float(np.mean(centred**2))
    return float(np.mean(centred**4)) / variance**2 if variance > 0 else None


def spread(reach: np.ndarray) -> float | None:
    """Return how much further the widest channel reaches than the middle one of those that are not dead.

    Args:
        reach: largest absolute value of each channel, shape (channels,).
    """
    alive = reach[reach > 0]
    return float(alive.max() / np.median(alive)) if len(alive) > 1 else None


def kernel_of(layer: object, factor: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a layer's kernel and how far each of its output channels reaches; None: it has none.

    Args:
        layer: a Keras 3 layer.
        factor: what a normalization behind it multiplies each output channel by, shape (channels,); None: none is.
    """
    found = rules.KERNELS.get(type(layer).__name__, {})
    if "kernel" not in found:
        return None
    axes = found["kernel"] or (-1,)
    kernel = np.asarray(variable_at(layer, "kernel"))
    kept = {axis % kernel.ndim for axis in axes}
    reach = np.abs(kernel).max(axis=tuple(axis for axis in range(kernel.ndim) if axis not in kept)).reshape(-1)
    return kernel, reach if factor is None or len(factor) != len(reach) else reach * np.abs(factor)


def grid_ratio_db(values: np.ndarray) -> float | None:
    """Return the ratio of a tensor's power to the rounding of an 8-bit grid over its whole range, in decibels.

    Rounding to steps of s makes an error of s^2 / 12 (Bennett 1948), and s is the range (with 0 in it) over 255.
    """
    power = float(np.mean(values.astype(np.float64) ** 2))
    step = (max(float(values.max()), 0.0) - min(float(values.min()), 0.0)) / 255
    return 10 * float(np.log10(12 * power / step**2)) if power and step else None
