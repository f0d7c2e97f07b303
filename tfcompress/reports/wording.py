"""How numbers are written for a person: one place, so that the table and the page say the same."""

from __future__ import annotations

from tfcompress.reports.sections import Score

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
            return f"{value / limit:.4g} {unit}"
    return f"{value:,}"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as a percentage."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def times(value: float | None) -> str:
    """A ratio."""
    return NONE if value is None else f"{value:.3g}x"


def duration(value_ms: float | None) -> str:
    """Milliseconds, or microseconds below a tenth of one."""
    if value_ms is None:
        return NONE
    return f"{value_ms:.3g} ms" if value_ms >= 0.1 else f"{value_ms * 1000:.3g} µs"


def energy(value_joules: float | None) -> str:
    """Joules, in millijoules."""
    return NONE if value_joules is None else f"{value_joules * 1000:.3g} mJ"


def seconds(value: float | None) -> str:
    """Seconds, with minutes from two on."""
    if value is None:
        return NONE
    return f"{value:.1f} s" if value < 120 else f"{value // 60:.0f} min {value % 60:.0f} s"


def score(found: Score | None) -> str:
    """The main number of a score."""
    if found is None or found.main is None:
        return NONE
    return f"MAE {found.main:.4g}" if found.task == "regression" else percent(found.main)


def interval(found: Score | None) -> str:
    """The 95 % interval of the fraction right; empty when there is none."""
    if found is None or found.top1_low is None or found.top1_high is None:
        return ""
    return f"{100 * found.top1_low:.1f}..{100 * found.top1_high:.1f}"


def difference(value: float | None, task: str | None) -> str:
    """A difference of two scores: percentage points, or the label's unit for a regression."""
    if value is None:
        return NONE
    return f"{value:+.4g}" if task == "regression" else f"{100 * value:+.2f} pt"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NONE
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
