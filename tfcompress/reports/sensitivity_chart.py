"""The chart of a sensitivity analysis: what a model scores with a part of one group's channels gone, group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from tfcompress.reports.svg import drawing, round_numbers, words

_WIDTH, _HEIGHT, _TOP, _LEFT = 920.0, 380.0, 22.0, 62.0
_NAMES = 190.0
_APART = 18.0
"""Least distance between two names at the curves' ends, in pixels."""
_NAMED = 8
"""How many curves get a colour and a name: those that fall most. The others are drawn thin."""


@dataclass(frozen=True)
class ScoreCurve:
    """One group's curve.

    Attributes:
        group: its name.
        channels: how many channels it has.
        macs: share of the model's multiply-accumulates that goes with all its channels; None: not known.
        points: (fraction of the channels removed, score), the fractions rising; without the point at 0.
    """

    group: str
    channels: int
    macs: float | None
    points: tuple[tuple[float, float], ...]

    @property
    def lowest(self) -> float:
        """Its lowest score."""
        return min(score for _, score in self.points)


def highlighted(curves: Sequence[ScoreCurve]) -> tuple[str, ...]:
    """Return the groups that get a colour and a name, those that fall most first."""
    return tuple(curve.group for curve in sorted(curves, key=lambda curve: curve.lowest)[:_NAMED])


def chart(
    curves: Sequence[ScoreCurve],
    baseline: float,
    *,
    percent: bool,
    metric: str = "score",
    limit: float | None = None,
    allowed: str = "limit",
) -> str:
    """Draw all curves on the same axes; a point says what it is when the pointer rests on it.

    Args:
        curves: at least one, with at least one point each.
        baseline: score with every channel.
        percent: whether scores are fractions to be shown in percent.
        metric: what a score is, written above the axis.
        limit: lowest score allowed, drawn as a line; None: none.
        allowed: written beside that line.
    """
    scale = 100.0 if percent else 1.0
    scores = [scale * score for curve in curves for _, score in curve.points] + [scale * baseline]
    spread = (max(scores) - min(scores)) or 1.0
    low, high = min(scores) - 0.04 * spread, max(scores) + 0.04 * spread
    right = _WIDTH - _NAMES
    furthest = max(curve.points[-1][0] for curve in curves)

    def across(fraction: float) -> float:
        return _LEFT + (right - _LEFT) * fraction / furthest

    def down(score: float) -> float:
        return _TOP + _HEIGHT * (high - scale * score) / (high - low)

    parts = [words(_LEFT, _TOP - 8, metric, "label small")]
    parts += _grid(round_numbers(low, high), lambda value: down(value / scale), percent=percent)
    parts += _steps(sorted({fraction for curve in curves for fraction, _ in curve.points}), across)
    parts.append(words((_LEFT + right) / 2, _TOP + _HEIGHT + 46, "channels of the group removed", "tick"))
    if limit is not None:
        parts.append(_level(down(limit), right, "limit"))
    parts += _curves(curves, baseline, (across, down), percent=percent)
    beside = [] if limit is None else [(down(limit), allowed, "small limit-name")]
    parts += _names([*beside, *_ends(curves, down)], right + 16)
    title = f"{metric} against the fraction of one group's channels removed"
    return drawing(_TOP + _HEIGHT + 56, title, parts, width=_WIDTH)


def _grid(ticks: Sequence[float], down: Callable[[float], float], *, percent: bool) -> list[str]:
    parts = []
    for tick in ticks:
        parts.append(_level(down(tick), _WIDTH - _NAMES, "grid"))
        parts.append(words(_LEFT - 10, down(tick) + 4, f"{tick:g}{' %' if percent else ''}", "label end small"))
    return parts


def _steps(fractions: Sequence[float], across: Callable[[float], float]) -> list[str]:
    """Mark every fraction that was measured, and name as many of them as there is room for."""
    every = -(-len(fractions) // 10)
    bottom = _TOP + _HEIGHT
    parts = [words(across(0.0), bottom + 22, "0", "tick")]
    for number, fraction in enumerate(fractions, start=1):
        x = across(fraction)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:g}" y2="{bottom + 6:g}"/>')
        if number % every == 0:
            parts.append(words(x, bottom + 22, f"{100 * fraction:g} %", "tick"))
    return parts


def _level(y: float, right: float, role: str) -> str:
    return f'<line class="{role}" x1="{_LEFT:g}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _curves(
    curves: Sequence[ScoreCurve],
    baseline: float,
    place: tuple[Callable[[float], float], Callable[[float], float]],
    *,
    percent: bool,
) -> list[str]:
    """Return the lines, those with a name above the others; *place* gives x of a fraction and y of a score."""
    across, down = place
    shown = highlighted(curves)
    parts = []
    for curve in sorted(curves, key=lambda each: each.group in shown):
        points = [(0.0, baseline), *curve.points]
        path = " ".join(f"{across(fraction):.1f},{down(score):.1f}" for fraction, score in points)
        role = f"curve c{shown.index(curve.group)}" if curve.group in shown else "curve rest"
        parts.append(f'<polyline class="{role}" points="{path}"/>')
        if curve.group in shown:
            parts += [_dot(curve, role, (f, across(f)), (s, down(s)), percent=percent) for f, s in curve.points]
    parts.append(f'<circle class="whole" cx="{across(0.0):.1f}" cy="{down(baseline):.1f}" r="4.5"/>')
    return parts


def _dot(curve: ScoreCurve, role: str, x: tuple[float, float], y: tuple[float, float], *, percent: bool) -> str:
    score = f"{100 * y[0]:.1f} %" if percent else f"{y[0]:.4g}"
    said = escape(f"{curve.group}: {score} without {100 * x[0]:g} % of {curve.channels} channels")
    return f'<circle class="{role}" cx="{x[1]:.1f}" cy="{y[1]:.1f}" r="4"><title>{said}</title></circle>'


def _ends(curves: Sequence[ScoreCurve], down: Callable[[float], float]) -> list[tuple[float, str, str]]:
    """Return where the curves with a name end, the name, and its CSS classes."""
    shown = highlighted(curves)
    return [
        (down(curve.points[-1][1]), _short(curve.group), f"name small c{shown.index(curve.group)}")
        for curve in curves
        if curve.group in shown
    ]


def _names(wanted: Sequence[tuple[float, str, str]], left: float) -> list[str]:
    """Return names beside the chart, moved apart where they would overlap."""
    ends = sorted(wanted)
    places = spread([y for y, _, _ in ends], _APART, _TOP + _HEIGHT)
    return [words(left, y + 4, text, role) for y, (_, text, role) in zip(places, ends, strict=True)]


def spread(places: Sequence[float], apart: float, lowest: float) -> list[float]:
    """Move rising places so far that neighbours are at least *apart*, and none lies beyond *lowest* (downwards)."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + apart) if moved else place)
    limit = lowest
    for number in range(len(moved) - 1, -1, -1):
        moved[number] = min(moved[number], limit)
        limit = moved[number] - apart
    return moved


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"
