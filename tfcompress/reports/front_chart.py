"""A Pareto front as inline SVG: what a file loses against one of its other figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tfcompress.reports import wording
from tfcompress.reports.svg import drawing, round_numbers, words

WIDTH, HEIGHT = 760, 380
"""Of the drawing, in its own pixels."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 26, 44
_MOST = 1.6
"""The axis of the drop ends at so many limits, or medians: a few ruined files would press all others together."""

_ABOVE = ("finished", "front", "winner")
"""Roles whose dots are drawn last, those on top at the end."""

Axis = tuple[str, str, float | None]
"""Title, unit (``points``, ``bytes``, ``ms``, ``joules``), and the limit (None: there is none)."""


@dataclass(frozen=True)
class Dot:
    """A candidate.

    Attributes:
        x: figure along the page.
        y: figure up the page, lower is better.
        text: what a pointer over it shows.
        role: CSS class: ``winner``, ``front``, ``finished``, or what else became of it.
    """

    x: float
    y: float
    text: str
    role: str


def front_chart(dots: Sequence[Dot], across: Axis, up: Axis) -> str:
    """Draw candidates, their front as steps, and the limits.

    Args:
        dots: at least one.
        across: the figure of *x*.
        up: the figure of *y*; what lies far beyond its limit is drawn at the upper edge.
    """
    low_x, high_x = _span([dot.x for dot in dots], across[2])
    highest = _highest([dot.y for dot in dots], up[2])
    low_y, high_y = _span([min(dot.y, highest) for dot in dots], up[2])

    def place(dot: Dot) -> tuple[float, float]:
        return _across(dot.x, low_x, high_x), _up(min(dot.y, highest), low_y, high_y)

    parts = _grid(across, (low_x, high_x), up, (low_y, high_y))
    parts += _limits(across, (low_x, high_x), up, (low_y, high_y))
    parts.append(_steps([place(dot) for dot in dots if dot.role in ("front", "winner")]))
    for dot in sorted(dots, key=lambda each: _ABOVE.index(each.role) if each.role in _ABOVE else -1):
        x, y = place(dot)
        size = 7 if dot.role == "winner" else 5 if dot.role == "front" else 3.5
        title = f"<title>{escape(dot.text)}</title>"
        parts.append(f'<circle class="dot {dot.role}" cx="{x:.1f}" cy="{y:.1f}" r="{size}">{title}</circle>')
    return drawing(HEIGHT, f"{up[0]} against {across[0]}", parts, width=WIDTH)


def _highest(values: Sequence[float], limit: float | None) -> float:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return max(_MOST * (limit or 0.0), _MOST * middle, ordered[0] + 1e-9)


def _span(values: Sequence[float], limit: float | None) -> tuple[float, float]:
    known = [*values, *([] if limit is None else [limit])]
    least, most = min(known), max(known)
    edge = (most - least) * 0.06 or abs(most) * 0.1 or 1.0
    return least - edge, most + edge


def _across(value: float, low: float, high: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)


def _up(value: float, low: float, high: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)


def _grid(across: Axis, span_x: tuple[float, float], up: Axis, span_y: tuple[float, float]) -> list[str]:
    parts = []
    for tick in round_numbers(*span_x):
        x = _across(tick, *span_x)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(words(x, HEIGHT - _BOTTOM + 18, _text(tick, across[1]), "tick"))
    for tick in round_numbers(*span_y):
        y = _up(tick, *span_y)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(words(_LEFT - 8, y + 4, _text(tick, up[1]), "label end"))
    parts.append(words(_LEFT - 8, 12, f"{up[0]}, {up[1]}", "label"))
    parts.append(words(WIDTH - _RIGHT, HEIGHT - 6, f"{across[0]}", "label end"))
    return parts


def _text(value: float, unit: str) -> str:
    if unit == "bytes":
        return wording.size(round(value)) if value < 10_000 else f"{value / 1000:g} kB"
    if unit == "joules":
        return f"{1000 * value:g} mJ"
    return f"{value:g} ms" if unit == "ms" else f"{value:g}"


def _limits(across: Axis, span_x: tuple[float, float], up: Axis, span_y: tuple[float, float]) -> list[str]:
    parts = []
    if across[2] is not None:
        x = _across(across[2], *span_x)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(words(x - 5, _TOP + 11, "limit", "limit-name end"))
    if up[2] is not None:
        y = _up(up[2], *span_y)
        parts.append(f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(words(WIDTH - _RIGHT, y - 5, "limit", "limit-name end"))
    return parts


def _steps(places: Sequence[tuple[float, float]]) -> str:
    """Return the border of what the front dominates."""
    ordered = sorted(places)
    if len(ordered) < 2:
        return ""
    points = [ordered[0]]
    for x, y in ordered[1:]:
        points += [(x, points[-1][1]), (x, y)]
    return f'<polyline class="steps" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
