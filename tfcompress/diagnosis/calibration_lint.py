"""Whether samples are fit to calibrate on, by themselves: ranges, halves, classes, overlap with the test split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfcompress.reports.remark import Remark

FACTORS = (255.0, 127.5)
"""What images are scaled by: to 0 … 1, and to -1 … 1."""
NEAR = 0.15
"""How far a ratio of ranges may be from one of those factors, or two ranges from each other, as a fraction."""
APART = 0.5
"""A range that reaches beyond another one by more than this fraction is another range."""
HALVES = 0.5
"""How much further one half of the samples may reach than the other, as a fraction."""
_SHARE = 0.1  # of the tensors: so many must differ before more samples are asked for

Arrays = Mapping[str, np.ndarray]


def lint_ranges(calibration: Arrays, other: Arrays, names: tuple[str, str] = ("calibration", "test")) -> list[Remark]:
    """Compare the inputs of two sets of samples: their ranges, and the order of their channels.

    Args:
        calibration: arrays of shape (samples, ...) by input name.
        other: the same from elsewhere.
        names: what the two are called.
    """
    return [remark for name in calibration if name in other for remark in _pair(name, calibration, other, names)]


def _pair(name: str, calibration: Arrays, other: Arrays, names: tuple[str, str]) -> Iterator[Remark]:
    a, b = calibration[name], other[name]
    if a.dtype.kind not in "fiu" or b.dtype.kind not in "fiu":
        return
    ranges = f"{names[0]} samples span {span(a)}, {names[1]} samples {span(b)}"
    factor = scale_between(reach(a), reach(b))
    if factor:
        remedy = "scale both alike (--scale); the file's input range follows the first"
        yield Remark("fault", f"input {name}", f"{ranges}: {factor_text(factor)}", remedy)
    elif reach(a) and reach(b) > (1 + APART) * reach(a):
        yield Remark(
            "risk", f"input {name}", f"{ranges}: what lies beyond is clipped", "calibrate on samples like those"
        )
    elif looks_reversed(channel_means(a), channel_means(b), _deviation(a)):
        what = f"the channel means of the {names[1]} samples are those of the {names[0]} samples in reverse"
        yield Remark("fault", f"input {name}", what, "read both in one order of channels (RGB or BGR)")


def _deviation(values: np.ndarray) -> float:
    return float(values.astype(np.float64).std())


def reach(values: np.ndarray) -> float:
    """Return the largest absolute value."""
    return float(np.abs(values.astype(np.float64)).max()) if values.size else 0.0


def span(values: np.ndarray) -> str:
    """Return the smallest and the largest value as text."""
    return f"[{float(values.min()):.3g}, {float(values.max()):.3g}]"


def channel_means(values: np.ndarray) -> np.ndarray:
    """Return the mean of each channel, the last axis, float64; empty where there are no channels."""
    if values.ndim < 3:
        return np.zeros(0)
    return np.asarray(values.reshape(-1, values.shape[-1]).astype(np.float64).mean(axis=0))


def scale_between(first: float, second: float) -> float:
    """Return by which of :data:`FACTORS`, or its inverse, the second of two reaches is larger; 0: by none of them."""
    if not first or not second:
        return 0.0
    for factor in FACTORS:
        for signed in (factor, 1 / factor):
            if abs(second / first / signed - 1) <= NEAR:
                return signed
    return 0.0


def factor_text(factor: float) -> str:
    """Return a factor in words."""
    return f"{factor:g} times as far" if factor > 1 else f"1/{1 / factor:g} as far"


def looks_reversed(means: np.ndarray, others: np.ndarray, deviation: float) -> bool:
    """Say whether the means of other channels are these in reverse, and clearly not these as they are.

    Args:
        means: shape (channels,), three channels or more.
        others: the same of other samples.
        deviation: of the values; means that differ by less than a tenth of it mean nothing.
    """
    if len(means) < 3 or len(means) != len(others):
        return False
    straight, back = float(np.abs(means - others).max()), float(np.abs(means - others[::-1]).max())
    return straight > 0.1 * deviation and back < straight / 4


def lint_halves(tensors: Arrays) -> list[Remark]:
    """Compare how far tensors reach on the two halves of the samples.

    Args:
        tensors: what inputs or layers hold, arrays of shape (samples, ...) by name.
    """
    floats = {name: values for name, values in tensors.items() if values.dtype.kind == "f" and len(values) > 1}
    halves = {name: (values[: len(values) // 2], values[len(values) // 2 :]) for name, values in floats.items()}
    samples = len(next(iter(floats.values()))) if floats else 0
    return lint_reaches({name: (reach(one), reach(other)) for name, (one, other) in halves.items()}, samples)


def lint_reaches(reaches: Mapping[str, tuple[float, float]], samples: int) -> list[Remark]:
    """Compare how far tensors reach on the two halves of the samples.

    Args:
        reaches: the largest absolute value of either half, by name.
        samples: how many there are in both.
    """
    apart: dict[str, float] = {}
    for name, pair in reaches.items():
        low, high = sorted(pair)
        if high > (1 + HALVES) * low:
            apart[name] = high / low if low else np.inf
    if not reaches or len(apart) <= _SHARE * len(reaches):
        return []
    worst = max(apart, key=lambda name: apart[name])
    what = (
        f"one half of the {samples} samples reaches more than {HALVES:.0%} further than the other in {len(apart)} of "
        f"{len(reaches)} tensors ({worst}: {apart[worst]:.2g} times)"
    )
    return [Remark("risk", "calibration", what, "calibrate on more samples, and shuffled ones")]


def lint_classes(counts: np.ndarray) -> list[Remark]:
    """Name classes of which there is no sample.

    Args:
        counts: how often each class occurs, shape (classes,).
    """
    missing = np.flatnonzero(counts == 0)
    if not len(missing):
        return []
    shown = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
    what = f"no sample of {len(missing)} of {len(counts)} classes ({shown}): their ranges are not seen"
    return [Remark("risk", "calibration", what, "calibrate on more samples, or on some of each class")]


def lint_overlap(calibration: Arrays, test: Arrays) -> list[Remark]:
    """Count calibration samples that are in the test split too, equal in every number.

    Args:
        calibration: arrays of shape (samples, ...) by input name.
        test: the same.
    """
    known = set(_digests(test))
    both = sum(digest in known for digest in _digests(calibration))
    if not both:
        return []
    count = len(next(iter(calibration.values())))
    what = f"{both} of {count} calibration samples are test samples, too: accuracy would be measured on what was seen"
    return [Remark("risk", "calibration", what, "take them out of one of the two")]


def _digests(arrays: Arrays) -> Sequence[bytes]:
    names = sorted(arrays)
    count = len(arrays[names[0]])
    return [
        hashlib.blake2b(b"".join(np.ascontiguousarray(arrays[name][place]).tobytes() for name in names)).digest()
        for place in range(count)
    ]
