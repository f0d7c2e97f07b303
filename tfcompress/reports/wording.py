"""How numbers are written for a person: one place, so that the table and the page say the same."""

from __future__ import annotations

from edge_runner.wording import digits
from tfcompress.tasks.figures import FRACTION, figure_kind
from tfcompress.tasks.score import Difference, Figure, Score

NONE = "-"
"""What stands where nothing was measured."""


def size(value: int | None) -> str:
    """Bytes: exact below 10 MB, else in MB (1,000,000 bytes)."""
    if value is None:
        return NONE
    return f"{value:,} B" if value < 10_000_000 else f"{value / 1e6:,.1f} MB"


def count(value: int | None) -> str:
    """A whole number; millions and more shortened to four digits."""
    if value is None:
        return NONE
    for limit, unit in ((10**9, "G"), (10**6, "M")):
        if value >= limit:
            return f"{digits(value / limit, 4)} {unit}"
    return f"{value:,}"


def at_least(value: int | None) -> str:
    """A whole number that may be larger."""
    return NONE if value is None else f"{count(value)} at least"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as a percentage."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def times(value: float | None) -> str:
    """A ratio."""
    return NONE if value is None else f"{digits(value, 3)}x"


def duration(value_ms: float | None) -> str:
    """Milliseconds, or microseconds below a tenth of one."""
    if value_ms is None:
        return NONE
    return f"{digits(value_ms, 3)} ms" if value_ms >= 0.1 else f"{digits(value_ms * 1000, 3)} µs"


def of_unit(value: float | None, unit: str) -> str:
    """What a search makes small: ``points``, ``bytes``, ``ms`` or ``joules``."""
    if value is None:
        return NONE
    if unit == "points":
        return f"{value:.2f} points"
    if unit == "joules":
        return joules(value)
    return size(round(value)) if unit == "bytes" else duration(value)


def joules(value_joules: float | None) -> str:
    """Joules, in millijoules."""
    return NONE if value_joules is None else f"{digits(value_joules * 1000, 3)} mJ"


def seconds(value: float | None) -> str:
    """Seconds, with minutes from two on."""
    if value is None:
        return NONE
    return f"{value:.1f} s" if round(value, 1) < 120 else f"{round(value) // 60} min {round(value) % 60} s"


def main_figure(found: Score | None) -> str:
    """The main figure of a score, with its name where it is no fraction."""
    if found is None or found.main_figure.value is None:
        return NONE
    text = figure(found.main_figure)
    return text if found.main_figure.unit == FRACTION else f"{figure_kind(found.main).title} {text}"


def figure(found: Figure | None) -> str:
    """A figure in its unit."""
    if found is None or found.value is None:
        return NONE
    return percent(found.value) if found.unit == FRACTION else digits(found.value, 4)


def interval(found: Figure | None) -> str:
    """The 95 % interval of a figure; empty when there is none."""
    if found is None or found.low is None or found.high is None:
        return ""
    return _span(found.low, found.high, found.unit)


def _span(low: float, high: float, unit: str) -> str:
    return f"{100 * low:.1f}..{100 * high:.1f}" if unit == FRACTION else f"{digits(low, 4)}..{digits(high, 4)}"


def figure_difference(found: Difference | None) -> str:
    """A difference of two figures: percentage points of fractions, else in the figure's unit."""
    if found is None:
        return NONE
    return f"{100 * found.value:+.2f} pt" if found.unit == FRACTION else digits(found.value, 4, sign="+")


def difference_interval(found: Difference) -> str:
    """The ends of the 95 % interval of a difference; empty when there is none."""
    if found.low is None or found.high is None:
        return ""
    if found.unit == FRACTION:
        return f"{100 * found.low:+.2f} and {100 * found.high:+.2f} pt"
    return f"{digits(found.low, 4, sign='+')} and {digits(found.high, 4, sign='+')}"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NONE
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
