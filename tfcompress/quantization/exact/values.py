"""What flows between the ops of an emulated model: integers on a grid, and results that wait for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tfcompress.quantization.exact.fixed_point import round_half_away

LEAST, LARGEST = -128, 127
Bounds = tuple[float, float | None]


@dataclass(frozen=True)
class Grid:
    """Where a tensor's int8 numbers lie: ``real = scale * (number - zero_point)``.

    Attributes:
        step: distance of two values, as the training computes it.
        zero_point: from -128 to 127.
    """

    step: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float) -> Grid:
        """Return the grid of a range that holds zero, moved so that zero is on it (Jacob et al. 2018, section 3)."""
        step = (high - low) / 255.0 or 1.0
        return cls(step, LEAST + min(max(round(-low / step), 0), 255))

    @property
    def scale(self) -> float:
        """The step as the file holds it, a float32 number."""
        return float(np.float32(self.step))

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers nearest to real values, int64, of the same shape."""
        steps = np.rint(np.asarray(values, np.float32) / np.float32(self.scale)).astype(np.int64)
        return np.asarray(np.clip(steps + self.zero_point, LEAST, LARGEST))

    def limits(self, bounds: Bounds | None) -> tuple[int, int]:
        """Return least and largest number of a tensor whose activation bounds its real values, e.g. (0, 6)."""
        if bounds is None:
            return LEAST, LARGEST
        low, high = (LARGEST * 4 if b is None else self._steps(b) for b in bounds)
        return max(LEAST, self.zero_point + low), min(LARGEST, self.zero_point + high)

    def _steps(self, value: float) -> int:
        return int(round_half_away(np.asarray(np.float32(value) / np.float32(self.scale))))


LARGEST_BIAS = 2**30 - 1
"""A bias of more steps has the converter coarsen the kernel."""


@dataclass(frozen=True)
class Held:
    """A tensor of int8 numbers.

    Attributes:
        numbers: int64, shape (batch, …).
        grid: what they mean.
        dense: what a FULLY_CONNECTED rounded to them: the converter does that op once more for a ReLU on its output,
            with the ReLU in it, where others read the output, too.
    """

    numbers: np.ndarray
    grid: Grid
    dense: Sums | None = None

    @property
    def centred(self) -> np.ndarray:
        """The numbers without the zero point, int64."""
        return self.numbers - self.grid.zero_point

    @property
    def real(self) -> np.ndarray:
        """The real values, float32."""
        return self.centred.astype(np.float32) * np.float32(self.grid.scale)


@dataclass(frozen=True)
class Waiting:
    """The result of an op, before it is rounded to its output's grid.

    Attributes:
        rescale: gives the output's numbers, int64 with the zero point and not yet bounded, on a grid.
        bounds: of the activation that the op does, as :meth:`Grid.limits` takes them.
    """

    rescale: Callable[[Grid], np.ndarray]
    bounds: Bounds | None = None

    def bounded(self, bounds: Bounds) -> Waiting:
        """Return the same with an activation."""
        return replace(self, bounds=bounds)

    def on(self, grid: Grid) -> Held:
        """Round to a grid."""
        return Held(np.clip(self.rescale(grid), *grid.limits(self.bounds)), grid)


@dataclass(frozen=True)
class Sums:
    """What a convolution or dense layer adds up, before its bias and its scales.

    Attributes:
        sums: int64, shape (batch, …, channels).
        source: grid of the layer's input.
        largest: largest magnitude of each channel's kernel, float32, shape (channels,).
        levels: that magnitude in steps of the kernel's grid: 127, or 7 for 4 bits.
        bias: float32, shape (channels,).
        bias_source: step of the grid that training rounded the bias for: the input's, but for a layer that is shared;
            None: the bias was not rounded.
        dense: the layer is a FULLY_CONNECTED.
    """

    sums: np.ndarray
    source: Grid
    largest: np.ndarray
    levels: int
    bias: np.ndarray
    bias_source: float | None
    dense: bool

    @property
    def factors(self) -> np.ndarray:
        """Kernel steps of the channels, float64 as the training computes them, shape (channels,)."""
        return np.asarray(np.where(self.largest > 0.0, self.largest, 1.0).astype(np.float64) / self.levels)

    @property
    def overflows(self) -> bool:
        """Whether a bias is too large for the input's scale, next to nothing: the converter makes the kernel fit it."""
        return bool((np.abs(self.bias) > LARGEST_BIAS * self.source.scale * self.factors).any())
