"""What is done to the samples before the model sees them: stated once, applied alike everywhere.

The same :class:`Preprocessing` serves training, calibration, evaluation and the file written for the device, and it is
recorded in the report.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tfcompress.errors import DataError, UsageError
from tfcompress.references import imported


@dataclass(frozen=True)
class Preprocessing:
    """``(x * scale - mean) / std`` in float32, then a function of the user's; nothing at all by default.

    Attributes:
        scale: factor on every value; None: 1.
        mean: subtracted after scaling, one value or one for each channel (the last axis); empty: 0.
        std: divisor, one value or one for each channel; empty: 1.
        function: ``module:function``, called last with one batch (an array, samples along the first axis) and giving
            one of as many samples; empty: none. The module is looked for in the working directory too.

    Raises:
        UsageError: a scale or standard deviation of zero, a value that is not finite, mean and std of different
            lengths.
    """

    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    function: str = ""

    def __post_init__(self) -> None:
        """Reject values that are out of range or contradict each other."""
        if self.scale is not None and (not math.isfinite(self.scale) or self.scale == 0):
            msg = f"preprocessing scale must be a finite number other than 0, got {self.scale!r}"
            raise UsageError(msg)
        if not all(map(math.isfinite, self.mean)):
            msg = f"preprocessing mean must be finite numbers, got {self.mean!r}"
            raise UsageError(msg)
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            msg = f"preprocessing std must be finite numbers above 0, got {self.std!r}"
            raise UsageError(msg)
        if len({len(values) for values in (self.mean, self.std) if len(values) > 1}) > 1:
            msg = f"preprocessing mean and std must be as long as each other, got {len(self.mean)} and {len(self.std)}"
            raise UsageError(msg)

    @property
    def active(self) -> bool:
        """Whether anything is done at all."""
        return self.scale is not None or bool(self.mean or self.std or self.function)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Preprocess one batch.

        Args:
            x: batch of any numeric dtype, shape (samples, ...).

        Returns:
            *x* itself when nothing is set; otherwise a new array, float32 unless the function gives another dtype, of
            as many samples.

        Raises:
            DataError: mean or std do not fit the last axis; the function is missing, fails, or changes the sample
                count.
        """
        if self.scale is not None or self.mean or self.std:
            x = self._normalised(x)
        return self._called(x) if self.function else x

    def _normalised(self, x: np.ndarray) -> np.ndarray:
        channels = x.shape[-1] if x.ndim > 1 else 1
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) > 1 and len(values) != channels:
                msg = (
                    f"preprocessing {name} must have 1 value or one for each of the {channels} channels (last axis), "
                    f"got {len(values)}"
                )
                raise DataError(msg)
        out: np.ndarray = np.multiply(x, np.float32(1 if self.scale is None else self.scale), dtype=np.float32)
        if self.mean:
            out -= np.asarray(self.mean, np.float32)
        if self.std:
            out /= np.asarray(self.std, np.float32)
        return out

    def _called(self, x: np.ndarray) -> np.ndarray:
        function = self._function
        try:
            out = np.asarray(function(x))
        except Exception as error:  # the user's function may fail in any way
            msg = (
                f"preprocessing {self.function!r} failed on a batch of shape {x.shape}: {type(error).__name__}: {error}"
            )
            raise DataError(msg) from error
        if out.ndim == 0 or len(out) != len(x):
            got = len(out) if out.ndim else "one number"
            msg = f"preprocessing {self.function!r} must give as many samples as it gets: {len(x)}, got {got}"
            raise DataError(msg)
        return out

    @cached_property
    def _function(self) -> Callable[[np.ndarray], Any]:
        return import_function(self.function, "preprocessing")

    def check(self) -> None:
        """Import the function now, so that a wrong name is reported before any work.

        Raises:
            DataError: there is no such function.
        """
        if self.function:
            self._function  # noqa: B018 - a cached property: reading it imports

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the report: scale, mean, std, function."""
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std), "function": self.function or None}


def parse_scale(text: str) -> float:
    """Read a scale such as ``1/255`` or ``0.0039``.

    Raises:
        UsageError: neither a number nor a fraction of two, or zero.
    """
    above, slash, below = text.partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value) or value == 0:
        msg = f"scale must be a number or a fraction such as 1/255, not 0, got {text!r}"
        raise UsageError(msg)
    return value


def parse_numbers(text: str, where: str) -> tuple[float, ...]:
    """Read ``0.485,0.456,0.406``, for *where* = ``mean`` or ``std``.

    Raises:
        UsageError: a part that is not a number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        msg = f"{where} must be numbers separated by commas, got {text!r}"
        raise UsageError(msg) from error


def import_function(reference: str, where: str) -> Callable[..., Any]:
    """Import ``module:function``, looking in the working directory too.

    Raises:
        DataError: not of this form, no such module or function, or the module fails while it is imported.
    """
    function: Callable[..., Any] = imported(reference, where, what="function", error=DataError)
    return function
