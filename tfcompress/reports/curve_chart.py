"""Quantities by epoch on common axes, as inline SVG: training beside validation, names at the lines' ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tfcompress.reports.sensitivity_chart import spread
from tfcompress.reports.svg import WIDTH, drawing, round_numbers, words

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 200, 62, 96, 12, 34
_APART = 17.0
_DOTS = 60
"""Up to so many epochs each can be pointed at."""
VALIDATION = "val_"
"""What Keras puts before the name of a quantity that is measured on the validation split."""


def curve_families(history: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return what belongs on one chart: a quantity while training and on the validation split, by epoch from 1.

    Quantities that are known for fewer than two epochs are left out.
    """
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name, values in history.items():
        known = [(epoch, value) for epoch, value in enumerate(values, start=1) if value is not None]
        if len(known) >= 2:
            own = "validation" if name.startswith(VALIDATION) else "training"
            found.setdefault(name.removeprefix(VALIDATION), {})[own] = known
    return found


def curve_chart(title: str, curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Draw curves.

    Args:
        title: the quantity.
        curves: by name, epochs with their values; at least one of at least two.
    """
    values = [value for curve in curves.values() for _, value in curve]
    last = max(epoch for curve in curves.values() for epoch, _ in curve)
    edge = 0.06 * (max(values) - min(values)) or abs(values[0]) * 0.1 or 1.0
    low, high = min(values) - edge, max(values) + edge

    def across(epoch: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (epoch - 1) / max(1, last - 1)

    def down(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    parts = []
    for tick in round_numbers(low, high):
        y = down(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(words(_LEFT - 8, y + 4, f"{tick:g}", "tick end"))
    every = max(1, round(last / 6))
    epochs = range(1, last + 1, every)
    parts += [words(across(epoch), _HEIGHT - _BOTTOM + 18, str(epoch), "tick") for epoch in epochs]
    parts.append(words(WIDTH - _RIGHT + 8, _HEIGHT - _BOTTOM + 18, "epoch", "tick start"))
    ordered = sorted(curves.items(), key=lambda item: down(item[1][-1][1]))
    ends = spread([down(curve[-1][1]) for _, curve in ordered], _APART, _HEIGHT - _BOTTOM)
    for (name, curve), end in zip(ordered, ends, strict=True):
        role = "before" if name == "training" and len(curves) > 1 else "after"
        points = [(across(epoch), down(value)) for epoch, value in curve]
        parts.append(f'<polyline class="curve {role}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        if len(curve) <= _DOTS:
            parts += [
                _dot(x, y, f"{title}, {name}, epoch {epoch}: {value:.5g}", role)
                for (x, y), (epoch, value) in zip(points, curve, strict=True)
            ]
        parts.append(words(points[-1][0] + 8, end + 4, name, f"{role} name"))
    return drawing(_HEIGHT, f"{title} by epoch", parts)


def _dot(x: float, y: float, text: str, role: str) -> str:
    return (
        f'<g class="mark {role}"><title>{escape(text)}</title><circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/></g>'
    )
