"""Charts as inline SVG: no scripts, colours from the page's style, every number also readable as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 480
"""Every chart is drawn this wide and scales with the page."""
_LABEL = 112
_ROW = 34
_BINS = 60


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: beside it.
        value: its length; at least 0.
        text: behind it.
        role: CSS class: ``before`` or ``after``, and ``soft`` for a lighter one.
    """

    label: str
    value: float
    text: str
    role: str


@dataclass(frozen=True)
class Range:
    """A value with its interval.

    Attributes:
        label: beside it.
        low: lower end.
        value: the value.
        high: upper end.
        text: behind it.
        role: CSS class.
    """

    label: str
    low: float
    value: float
    high: float
    text: str
    role: str


def bars(items: Sequence[Bar], title: str) -> str:
    """Draw horizontal bars from zero.

    Args:
        items: from top to bottom.
        title: what a screen reader says.
    """
    most = max((item.value for item in items), default=0) or 1
    room = WIDTH - _LABEL - 96
    parts = []
    for number, item in enumerate(items):
        top = number * _ROW
        length = max(2.0, room * item.value / most)
        parts.append(words(_LABEL - 12, top + 21, item.label, "label end"))
        parts.append(
            f'<rect class="{item.role}" x="{_LABEL}" y="{top + 6}" width="{length:.1f}" height="{_ROW - 12}" rx="4"/>'
        )
        parts.append(words(_LABEL + length + 10, top + 21, item.text, "value"))
    return drawing(len(items) * _ROW, title, parts)


def ranges(items: Sequence[Range], title: str, unit: str) -> str:
    """Draw values with their intervals on an axis that shows their differences.

    Args:
        items: from top to bottom; at least one.
        title: what a screen reader says.
        unit: behind the axis' numbers.
    """
    least, most = min(item.low for item in items), max(item.high for item in items)
    edge = (most - least) * 0.12 or 1e-3
    ticks = round_numbers(least - edge, most + edge)
    low, high = min(ticks[0], least - edge), max(ticks[-1], most + edge)
    room = WIDTH - _LABEL - 84

    def place(value: float) -> float:
        return _LABEL + room * (value - low) / (high - low)

    height = len(items) * _ROW
    parts = _axis([(place(tick), f"{tick:g}{unit}") for tick in ticks], height)
    for number, item in enumerate(items):
        middle = number * _ROW + _ROW / 2
        parts.append(words(_LABEL - 12, middle + 4, item.label, "label end"))
        parts.append(
            f'<line class="{item.role} span" x1="{place(item.low):.1f}" x2="{place(item.high):.1f}"'
            f' y1="{middle}" y2="{middle}"/>'
        )
        parts.append(f'<circle class="{item.role}" cx="{place(item.value):.1f}" cy="{middle}" r="6"/>')
        parts.append(words(WIDTH - 2, middle + 4, item.text, "value end"))
    return drawing(height + 26, title, parts)


def histogram(series: Mapping[str, tuple[Sequence[float], str]], title: str, unit: str) -> str:
    """Draw how often each latency occurred, one outline a series, its median marked.

    Args:
        series: by label, the values (at least one) and the CSS class. Values beyond the 99th percentile are left out.
        title: what a screen reader says.
        unit: behind the axis' numbers.
    """
    ordered = {label: sorted(values) for label, (values, _) in series.items()}
    kept = {label: values[: max(1, math.ceil(len(values) * 0.99))] for label, values in ordered.items()}
    least, most = min(values[0] for values in kept.values()), max(values[-1] for values in kept.values())
    edge = (most - least) * 0.05 or most * 0.05 or 1.0
    low, high = max(0.0, least - edge), most + edge
    height, left, room = 180, 20, WIDTH - 40

    def place(value: float) -> float:
        return left + room * (value - low) / (high - low)

    parts = _axis([(place(tick), f"{tick:g} {unit}") for tick in round_numbers(low, high)], height)
    for number, (label, values) in enumerate(kept.items()):
        role = series[label][1]
        parts.append(f'<path class="{role} area" d="{_outline(values, low, high, height, place)}"/>')
        middle = place(ordered[label][len(values) // 2])
        parts.append(f'<line class="{role} median" x1="{middle:.1f}" x2="{middle:.1f}" y1="24" y2="{height}"/>')
        side = "" if middle < WIDTH * 0.6 else " end"
        parts.append(words(middle + (-6 if side else 6), 34 + 18 * number, label, f"{role} name{side}"))
    return drawing(height + 26, title, parts)


def lines(series: Mapping[str, Sequence[float | None]], title: str) -> str:
    """Draw values by epoch, each series on its own scale (their first and last values stand beside them).

    Args:
        series: by label; at least two epochs each.
        title: what a screen reader says.
    """
    parts = []
    left, room = _LABEL, WIDTH - _LABEL - 136  # beside the curve: two numbers of four digits
    for number, (label, raw) in enumerate(series.items()):
        values = [(epoch, value) for epoch, value in enumerate(raw) if value is not None]
        top, height = number * 48 + 8, 32
        least, most = min(value for _, value in values), max(value for _, value in values)
        spread = (most - least) or 1.0
        steps = max(1, len(raw) - 1)
        points = [
            f"{left + room * e / steps:.1f},{top + height - height * (v - least) / spread:.1f}" for e, v in values
        ]
        parts.append(words(left - 12, top + 20, label, "label end"))
        parts.append(f'<polyline class="after line" points="{" ".join(points)}"/>')
        parts.append(words(left + room + 10, top + 20, f"{values[0][1]:.4g} → {values[-1][1]:.4g}", "value"))
    return drawing(len(series) * 48, title, parts)


def _outline(values: Sequence[float], low: float, high: float, height: int, place: Callable[[float], float]) -> str:
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += 1
    most = max(counts)
    width = (high - low) / _BINS
    points = [f"M{place(low):.1f},{height}"]
    for number, count in enumerate(counts):
        level = height - (height - 40) * count / most
        points.append(
            f"L{place(low + number * width):.1f},{level:.1f}L{place(low + (number + 1) * width):.1f},{level:.1f}"
        )
    return "".join(points) + f"L{place(high):.1f},{height}Z"


def round_numbers(low: float, high: float) -> list[float]:
    """Return round numbers, about five, within *low*..*high* (Heckbert 1990, Graphics Gems I, "Nice numbers")."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step)
    found = [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]
    return found or [low]


def _axis(ticks: Sequence[tuple[float, str]], height: float) -> list[str]:
    parts = []
    for place, text in ticks:
        parts.append(f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="0" y2="{height}"/>')
        parts.append(words(place, height + 18, text, "tick"))
    return parts


def words(x: float, y: float, text: str, role: str) -> str:
    """Return text at a place, with the CSS classes *role*."""
    return f'<text class="{role}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def drawing(height: float, title: str, parts: Sequence[str], *, width: float = WIDTH) -> str:
    """Return a chart of *width* by *height* put together from its parts; *title* is what a screen reader says."""
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>{inner}</svg>'
