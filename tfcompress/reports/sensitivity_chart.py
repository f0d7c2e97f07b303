"""The chart of a sensitivity analysis: what a model scores with a part of one group's channels gone, group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfcompress.reports.svg import WIDTH, drawing, round_numbers, words

_HEIGHT, _TOP, _LEFT = 250.0, 10.0, 46.0
_NAMES = 132.0
_APART = 15.0
"""Least distance between two names at the curves' ends, in pixels."""
_NAMED = 8
"""So many curves get a colour and a name: those that fall most. The others are drawn thin."""


@dataclass(frozen=True)
class Curve:
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


def named(curves: Sequence[Curve]) -> tuple[str, ...]:
    """Return the groups that get a colour and a name, those that fall most first."""
    return tuple(curve.group for curve in sorted(curves, key=lambda curve: curve.lowest)[:_NAMED])


def chart(curves: Sequence[Curve], baseline: float, *, percent: bool, limit: float | None = None) -> str:
    """Draw all curves on the same axes.

    Args:
        curves: at least one, with at least one point each.
        baseline: score with every channel.
        percent: whether scores are fractions to be shown in percent.
        limit: lowest score allowed, drawn as a line; None: none.
    """
    scale = 100.0 if percent else 1.0
    scores = [scale * score for curve in curves for _, score in curve.points] + [scale * baseline]
    spread = (max(scores) - min(scores)) or 1.0
    low, high = min(scores) - 0.04 * spread, max(scores) + 0.04 * spread
    right = WIDTH - _NAMES
    furthest = max(curve.points[-1][0] for curve in curves)

    def across(fraction: float) -> float:
        return _LEFT + (right - _LEFT) * fraction / furthest

    def down(score: float) -> float:
        return _TOP + _HEIGHT * (high - scale * score) / (high - low)

    parts = _grid(round_numbers(low, high), lambda value: down(value / scale), percent=percent)
    fractions = round_numbers(0.0, furthest)
    parts += [words(across(f), _TOP + _HEIGHT + 18, f"{100 * f:g} %", "tick") for f in fractions]
    parts.append(words((_LEFT + right) / 2, _TOP + _HEIGHT + 38, "channels of the group removed", "tick"))
    if limit is not None:
        parts.append(_level(down(limit), right, "limit"))
    parts += _curves(curves, baseline, across, down)
    parts += _names(curves, down, right + 10)
    return drawing(_TOP + _HEIGHT + 46, "score against the fraction of one group's channels removed", parts)


def _grid(ticks: Sequence[float], down: Callable[[float], float], *, percent: bool) -> list[str]:
    parts = []
    for tick in ticks:
        parts.append(_level(down(tick), WIDTH - _NAMES, "grid"))
        parts.append(words(_LEFT - 8, down(tick) + 4, f"{tick:g}{' %' if percent else ''}", "label end small"))
    return parts


def _level(y: float, right: float, role: str) -> str:
    return f'<line class="{role}" x1="{_LEFT:g}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _curves(
    curves: Sequence[Curve], baseline: float, across: Callable[[float], float], down: Callable[[float], float]
) -> list[str]:
    """Return the lines, those with a name above the others."""
    shown = named(curves)
    parts = []
    for curve in sorted(curves, key=lambda each: each.group in shown):
        points = [(0.0, baseline), *curve.points]
        path = " ".join(f"{across(fraction):.1f},{down(score):.1f}" for fraction, score in points)
        role = f"curve c{shown.index(curve.group)}" if curve.group in shown else "curve rest"
        parts.append(f'<polyline class="{role}" points="{path}"/>')
        if curve.group in shown:
            parts += [
                f'<circle class="{role}" cx="{across(fraction):.1f}" cy="{down(score):.1f}" r="2.5"/>'
                for fraction, score in curve.points
            ]
    return parts


def _names(curves: Sequence[Curve], down: Callable[[float], float], left: float) -> list[str]:
    """Return the curves' names at their ends, moved apart where they would overlap."""
    shown = named(curves)
    ends = sorted((down(curve.points[-1][1]), curve.group) for curve in curves if curve.group in shown)
    places = spread([y for y, _ in ends], _APART, _TOP + _HEIGHT)
    return [
        words(left, y + 4, _short(group), f"name small c{shown.index(group)}")
        for y, (_, group) in zip(places, ends, strict=True)
    ]


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
    return name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
