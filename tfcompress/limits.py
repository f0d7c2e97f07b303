"""Limits as people write them: ``49KB``, ``12ms``, ``1.25x``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

SIZE_UNITS: Mapping[str, float] = {"": 1, "b": 1, "kb": 1e3, "kib": 2**10, "mb": 1e6, "mib": 2**20}
"""Units of a size -> bytes."""
LATENCY_UNITS: Mapping[str, float] = {"": 1, "us": 1e-3, "ms": 1, "s": 1e3}
"""Units of a latency -> milliseconds."""
RATIO = "x"
_SPELT = {"b": "B", "kb": "KB", "kib": "KiB", "mb": "MB", "mib": "MiB"}


@dataclass(frozen=True)
class Limit:
    """The most that something may be.

    Attributes:
        value: in bytes or milliseconds; or how many times as much as what it is compared with.
        relative: which of the two.
    """

    value: float
    relative: bool

    def beside(self, reference: float) -> float:
        """Return the limit in bytes or milliseconds, where what it is compared with has *reference*."""
        return self.value * reference if self.relative else self.value


def read_limit(text: str, units: Mapping[str, float]) -> Limit:
    """Read a limit.

    Args:
        text: a number with a unit, or with ``x``.
        units: names of units in small letters; the empty name is what a bare number has.

    Raises:
        ValueError: with what is allowed.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)\s*", text)
    unit = found[2].lower() if found else ""
    if found is None or float(found[1]) <= 0 or unit not in (*units, RATIO):
        named = ", ".join(_SPELT.get(unit, unit) for unit in units if unit)
        msg = f"a number above 0 with one of {named}, or with x (so many times the plain int8 file)"
        raise ValueError(msg)
    number = float(found[1])
    return Limit(number, relative=True) if unit == RATIO else Limit(number * units[unit], relative=False)


def read_size(text: str, units: Mapping[str, float] = SIZE_UNITS) -> float:
    """Read a limit that is compared with nothing: a number with a unit.

    Args:
        text: such as ``64KB``.
        units: as for :func:`read_limit`.

    Raises:
        ValueError: with what is allowed.
    """
    try:
        limit = read_limit(text, units)
    except ValueError:
        limit = Limit(1.0, relative=True)
    if limit.relative:
        named = ", ".join(_SPELT.get(unit, unit) for unit in units if unit)
        msg = f"a number above 0 with one of {named}"
        raise ValueError(msg)
    return limit.value
