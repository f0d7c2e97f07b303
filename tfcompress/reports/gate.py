"""Conditions that a pipeline fails on: ``accuracy_drop > 0.5pt``, ``p90_latency > 1.05x``, ``size > 100KB``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_runner.wording import digits
from tfcompress.errors import UsageError, nearest
from tfcompress.reports.changes import Change
from tfcompress.tasks.figures import FIGURES

GateOutcome = Literal["fails", "passes", "indistinguishable", "not measured"]

NAMES = (
    *("size", "gzip", "package", "kernels", "parameters", "nonzero", "macs", "agreement"),
    *("median_latency", "p90_latency", "p99_latency", "peak_memory", "arena", "energy"),
)
"""Quantities of every report; beside them the figures of the task, by their names."""
DROP = "_drop"
MAIN = "accuracy"
"""Stands for the main figure of the task, whatever it is."""

_CONDITION = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9_]*)\s*(>=|<=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z%]*)\s*"
)
_FACTORS: Mapping[str, Mapping[str, float]] = {
    "bytes": {"": 1, "B": 1, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024, "MiB": 1024**2},
    "count": {"": 1, "K": 1e3, "M": 1e6, "G": 1e9},
    "milliseconds": {"ms": 1, "us": 1e-3, "s": 1e3},
    "joules": {"J": 1, "mJ": 1e-3, "uJ": 1e-6},
    "decibels": {"dB": 1, "": 1},
    "fraction": {"%": 0.01, "pt": 0.01},
    "number": {"": 1},
}
"""By the kind of a quantity, its units and what they come to."""
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda value, level: value > level,
    ">=": lambda value, level: value >= level,
    "<": lambda value, level: value < level,
    "<=": lambda value, level: value <= level,
}


@dataclass(frozen=True)
class Condition:
    """What a comparison fails on.

    Attributes:
        text: as it was given.
        name: of the quantity, without ``_drop``.
        drop: it is about how much worse the quantity became, in its own unit.
        sign: ``>``, ``>=``, ``<`` or ``<=``.
        level: the number.
        unit: behind the number; ``x``: times as much as before; ``%``: more than before in percent (of a fraction that
            is no drop: the value itself).
    """

    text: str
    name: str
    drop: bool
    sign: str
    level: float
    unit: str

    @property
    def relative(self) -> bool:
        """Whether it is about the new value over the old one."""
        return self.unit == "x"

    def judge(self, found: Sequence[Change]) -> Judged:
        """Say whether it holds.

        Args:
            found: the quantities of two reports; of figures the main one first.

        Raises:
            UsageError: a unit that the quantity has not.
        """
        change = self._quantity(found)
        if change is None or change.after is None or (change.before is None and (self.relative or self.drop)):
            return Judged(self, "not measured", "")
        value, ends = self._value(change)
        level = self.level if self.relative else self.level * self._factor(change.kind)
        holds = _SIGNS[self.sign](value, level)
        told = self._told(value, change)
        if ends and _SIGNS[self.sign](ends[0], level) != _SIGNS[self.sign](ends[1], level):
            between = f"between {self._told(ends[0], change)} and {self._told(ends[1], change)}"
            return Judged(self, "indistinguishable", f"{told}, {between}")
        return Judged(self, "fails" if holds else "passes", told)

    def _quantity(self, found: Sequence[Change]) -> Change | None:
        if self.name == MAIN and not any(change.name == MAIN for change in found):
            return next((change for change in found if change.name not in NAMES), None)
        return next((change for change in found if change.name == self.name), None)

    def _value(self, change: Change) -> tuple[float, tuple[float, float] | None]:
        """Return the number that is compared, and its interval."""
        before, after = change.before or 0.0, change.after or 0.0
        if self.relative:
            return (after / before if before else math.inf if after else 1.0), change.ratio
        if self.drop:
            sign = 1 if change.lower_is_better else -1
            ends = change.difference and (sign * change.difference[0], sign * change.difference[1])
            return sign * (after - before), ends and (min(ends), max(ends))
        return after, None

    def _factor(self, kind: str) -> float:
        units = _FACTORS[kind]
        if self.unit not in units:
            allowed = ", ".join(repr(unit) if unit else "no unit" for unit in units)
            msg = (
                f"--fail-if {self.text!r}: the unit must be one of {allowed}, or x (times as before), got {self.unit!r}"
            )
            raise UsageError(msg)
        return units[self.unit]

    def _told(self, value: float, change: Change) -> str:
        if self.relative:
            return f"{digits(value, 4)}x"
        if self.drop and change.kind == "fraction":
            return f"{100 * value:.2f} pt"
        return change.words(value)


@dataclass(frozen=True)
class Judged:
    """A condition, and whether it holds.

    Attributes:
        condition: which.
        outcome: ``fails``: it holds; ``indistinguishable``: the interval of what was measured has values on either
            side; ``not measured``: a report lacks the quantity.
        told: the value in words, with its interval where that matters.
    """

    condition: Condition
    outcome: GateOutcome
    told: str


def read_condition(text: str, figures: Iterable[str] = ()) -> Condition:
    """Read ``NAME OP NUMBER[UNIT]``.

    Args:
        text: as typed.
        figures: names of figures that the reports hold, beside those of the table.

    Raises:
        UsageError: it is none, or there is no quantity of that name.
    """
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        msg = f"--fail-if must be NAME OP NUMBER[UNIT], such as 'accuracy_drop > 0.5pt' or 'size > 1.1x', got {text!r}"
        raise UsageError(msg)
    name, sign, number, unit = parts.groups()
    try:
        level = float(number)
    except ValueError:
        msg = f"--fail-if {text!r}: {number!r} is no number"
        raise UsageError(msg) from None
    drop = name.endswith(DROP)
    name = name.removesuffix(DROP)
    known = dict.fromkeys((*NAMES, MAIN, *figures, *FIGURES))
    if name not in known:
        msg = f"--fail-if {text!r}: no quantity {name!r}{nearest(name, known)}; there are {', '.join(known)}"
        raise UsageError(msg)
    if drop and unit == "x":
        msg = f"--fail-if {text!r}: a drop is a difference; for a ratio write {name} without {DROP}"
        raise UsageError(msg)
    return Condition(text.strip(), name, drop, sign, level, unit)
