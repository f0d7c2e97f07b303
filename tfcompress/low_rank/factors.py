"""Factors in a row and the kernel that they make together, in numpy.

A kernel has the shape (rows, columns, inputs, outputs); what has no window (Dense, Embedding) is one of 1 x 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Factor:
    """One of the layers in a row that stand for one layer.

    Attributes:
        kernel: shape (rows, columns, inputs, outputs); of a depthwise one (rows, columns, channels, 1).
        windowed: whether it has the layer's window, with its strides and dilation, along rows and along columns.
        depthwise: whether each channel has a filter of its own.
    """

    kernel: Values
    windowed: tuple[bool, bool]
    depthwise: bool = False

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return int(self.kernel.shape[2 if self.depthwise else 3])

    @property
    def weights(self) -> int:
        """Numbers of the kernel."""
        return math.prod(self.kernel.shape)

    def whole_kernel(self) -> Values:
        """Return the kernel of the convolution that computes the same, shape (rows, columns, inputs, outputs)."""
        if not self.depthwise:
            return self.kernel
        return self.kernel * np.eye(self.outputs)


def composed(factors: Sequence[Factor]) -> Values:
    """Return the kernel that factors in a row make, shape (rows, columns, inputs, outputs).

    Of any two of them at most one has a window of more than 1 along an axis, so that windows multiply.

    Example:
        >>> column, row = np.ones((3, 1, 2, 1)), np.ones((1, 3, 1, 4))
        >>> composed([Factor(column, (True, False)), Factor(row, (False, True))]).shape
        (3, 3, 2, 4)
    """
    kernel = factors[0].whole_kernel()
    for factor in factors[1:]:
        after = factor.whole_kernel()
        rows, columns = kernel.shape[0] * after.shape[0], kernel.shape[1] * after.shape[1]
        kernel = np.einsum("abcr,dero->adbeco", kernel, after, optimize=True)
        kernel = kernel.reshape(rows, columns, kernel.shape[4], kernel.shape[5])
    return kernel


def as_matrix(kernel: Values) -> Values:
    """Return a kernel as the matrix that patches are multiplied by: shape (rows * columns * inputs, outputs)."""
    return kernel.reshape(-1, kernel.shape[3])


def with_even_spread(factors: Sequence[Factor], second_moments: Values | None) -> tuple[Factor, ...]:
    """Scale what passes between factors so that every channel there has about the same spread; nothing else changes.

    One step of int8 then suits all channels between two factors, and no factor is far larger than the next. Scales are
    powers of two: no number is rounded.

    Args:
        factors: in a row.
        second_moments: of the patches that go in, shape (rows * columns * inputs,) * 2; None: as if they were white.
    """
    found, whole = list(factors), composed(factors).shape
    for place in range(len(found) - 1):
        so_far = as_matrix(_in_window(composed(found[: place + 1]), whole[:2]))
        seen = so_far if second_moments is None else second_moments @ so_far
        spreads = np.sqrt(np.maximum((so_far * seen).sum(0), 0.0))
        top = float(spreads.max(initial=0.0))
        if top <= 0.0:
            continue
        # What hardly moves stays small: scaled up to the others it would be the rounding of float32.
        inner = np.maximum(spreads, top * 2.0**-10)
        level = math.sqrt(_norm(found[place + 1].whole_kernel() * inner[:, None]) / _norm(found[place].kernel / inner))
        scales = 2.0 ** np.round(np.log2(level / inner))
        found[place] = _scaled(found[place], scales, at_output=True)
        found[place + 1] = _scaled(found[place + 1], 1.0 / scales, at_output=False)
    return tuple(found)


def _in_window(kernel: Values, window: tuple[int, ...]) -> Values:
    """Return a kernel with zeros around it, up to a window's rows and columns."""
    room = [size - mine for size, mine in zip(window, kernel.shape[:2], strict=True)]
    return np.pad(kernel, [*((n // 2, n - n // 2) for n in room), (0, 0), (0, 0)])


def _norm(values: Values) -> float:
    """Return the root mean square of a kernel, or 1 of one that is all zero."""
    return float(np.sqrt(np.mean(values**2))) or 1.0


def _scaled(factor: Factor, scales: Values, *, at_output: bool) -> Factor:
    """Return a factor with its outputs, or its inputs, scaled."""
    by = scales if at_output and not factor.depthwise else scales[:, None]
    return Factor(factor.kernel * by, factor.windowed, factor.depthwise)
