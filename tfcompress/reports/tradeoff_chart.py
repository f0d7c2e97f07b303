"""What files weigh or take against how well they do, as inline SVG, with the front and names at the points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from tfcompress.reports.run_points import front
from tfcompress.reports.svg import WIDTH, drawing, round_numbers, words

HEIGHT = 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 30, 46
_LETTER, _LINE = 7.4, 16.0
"""Room that a letter and a line of text take: that of a phone's larger letters, in the drawing's own pixels."""
_NAMED = 14
"""Up to so many points all have their names; of more, those of the front."""
_LOGARITHMIC = 5.0
"""From this ratio of the largest to the smallest on, the axis is logarithmic."""
_DEEP = 30.0
"""The axis ends so many times the distance of the median from the best below the best: ruined files would press all
others together."""
_LONGEST = 26

Box = tuple[float, float, float, float]
Place = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class TradeDot:
    """A file.

    Attributes:
        x: what it weighs or takes; above 0.
        y: how well it does.
        low: lower end of y's interval; None: it has none.
        high: upper end.
        name: written beside it.
        text: what pointing at it shows, a line each.
        role: CSS class.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    name: str
    text: str
    role: str


@dataclass(frozen=True)
class TradeAxis:
    """What is drawn along an axis.

    Attributes:
        title: its name with its unit.
        tick: writes one of its numbers.
    """

    title: str
    tick: Callable[[float], str]


def tradeoff_chart(dots: Sequence[TradeDot], across: TradeAxis, up: TradeAxis, *, lower_is_better: bool = False) -> str:
    """Draw files and their front.

    Args:
        dots: at least one.
        across: of x, where less is better.
        up: of y.
        lower_is_better: y is an error.
    """
    sign = -1.0 if lower_is_better else 1.0
    on_front = front([(dot.x, sign * dot.y) for dot in dots])
    low, high = _heights(dots, sign)
    place_x, ticks_x = _horizontal([dot.x for dot in dots])

    def place_y(value: float) -> float:
        inside = min(max(value, low), high)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (inside - low) / (high - low)

    parts = _grid(ticks_x, place_x, across, round_numbers(low, high), place_y, up, lower_is_better=lower_is_better)
    places = [(place_x(dot.x), place_y(dot.y)) for dot in dots]
    parts.append(_border([places[number] for number in on_front]))
    parts += [_whisker(dot, place_x, place_y, (low, high)) for dot in dots if len(dots) <= _NAMED]
    outside = [not low <= dot.y <= high for dot in dots]
    order = sorted(range(len(dots)), key=lambda number: number in on_front)
    parts += [_mark(dots[n], places[n], on_front=n in on_front, outside=outside[n]) for n in order]
    parts += _labels(dots, places, on_front)
    title = f"{up.title} against {across.title}: {len(dots)} files, {len(on_front)} on the front"
    return drawing(HEIGHT, title, parts)


def _heights(dots: Sequence[TradeDot], sign: float) -> tuple[float, float]:
    merits = sorted((sign * dot.y for dot in dots), reverse=True)
    best, middle = merits[0], merits[len(merits) // 2]
    lowest = max(merits[-1], best - _DEEP * (best - middle)) if best > middle else merits[-1]
    kept = [dot for dot in dots if sign * dot.y >= lowest]
    ends = [end for dot in kept for end in (dot.low, dot.high) if end is not None] if len(dots) <= _NAMED else []
    known = [*(dot.y for dot in kept), *ends]
    edge = 0.08 * (max(known) - min(known)) or abs(best) * 0.02 or 1.0
    return min(known) - edge, max(known) + edge


def _horizontal(values: Sequence[float]) -> tuple[Place, list[float]]:
    """Return what places a value along the page, and round values to mark."""
    least, most = min(values), max(values)
    logarithmic = least > 0 and most / least >= _LOGARITHMIC
    scale: Callable[[float], float] = math.log10 if logarithmic else float
    edge = 0.08 * (scale(most) - scale(least)) or 0.1 * abs(scale(most)) or 1.0
    low, high = scale(least) - edge, scale(most) + edge

    def place(value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (scale(value) - low) / (high - low)

    if not logarithmic:
        return place, round_numbers(low, high)
    steps = (1, 2, 5) if high - low < 2.2 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return place, [s * 10.0**p for p in powers for s in steps if low <= math.log10(s * 10.0**p) <= high]


def _grid(
    ticks_x: Sequence[float],
    place_x: Place,
    across: TradeAxis,
    ticks_y: Sequence[float],
    place_y: Place,
    up: TradeAxis,
    *,
    lower_is_better: bool,
) -> list[str]:
    parts, last = [], -math.inf
    for tick in ticks_x:
        x, text = place_x(tick), across.tick(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        if x - last >= _LETTER * len(text) + 10:
            last = x
            inside = min(x, WIDTH - _LETTER * len(text) / 2 - 2)
            parts.append(words(inside, HEIGHT - _BOTTOM + 18, text, "tick"))
    for tick in ticks_y:
        y = place_y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(words(_LEFT - 8, y + 4, up.tick(tick), "tick end"))
    better = "lower is better" if lower_is_better else "higher is better"
    parts.append(words(6, 16, f"{up.title}, {better}", "label"))
    parts.append(words(WIDTH - _RIGHT, HEIGHT - 8, across.title, "label end"))
    return parts


def _border(places: Sequence[tuple[float, float]]) -> str:
    if len(places) < 2:
        return ""
    points = [places[0]]
    for x, y in places[1:]:
        points += [(x, points[-1][1]), (x, y)]
    return f'<polyline class="steps" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _whisker(dot: TradeDot, place_x: Place, place_y: Place, ends: tuple[float, float]) -> str:
    if dot.low is None or dot.high is None or dot.high < ends[0] or dot.low > ends[1]:
        return ""
    x = place_x(dot.x)
    return (
        f'<line class="whisker {dot.role}" x1="{x:.1f}" x2="{x:.1f}" '
        f'y1="{place_y(dot.low):.1f}" y2="{place_y(dot.high):.1f}"/>'
    )


def _mark(dot: TradeDot, place: tuple[float, float], *, on_front: bool, outside: bool) -> str:
    x, y = place
    role = f"{dot.role} {'on-front' if on_front else 'behind'}{' outside' if outside else ''}"
    return (
        f'<g class="mark {role}"><title>{escape(dot.text)}</title><circle class="reach" cx="{x:.1f}" cy="{y:.1f}" '
        f'r="11"/><circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="{5.5 if on_front else 4.5}"/></g>'
    )


def _labels(dots: Sequence[TradeDot], places: Sequence[tuple[float, float]], on_front: Sequence[int]) -> list[str]:
    """Return the names for which there is room, those of the front first."""
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    rest = [number for number in range(len(dots)) if number not in on_front] if len(dots) <= _NAMED else []
    parts = []
    for number in [*on_front, *rest]:
        name = shortened(dots[number].name)
        found = _room(places[number], _LETTER * len(name), taken)
        if found is not None:
            x, y, role, box = found
            taken.append(box)
            parts.append(words(x, y, name, role))
    return parts


def shortened(name: str) -> str:
    """Return a name that fits beside a point: the middle of a long one is left out."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2 - 1]}…{name[-_LONGEST // 2 :]}"


def _room(place: tuple[float, float], width: float, taken: Sequence[Box]) -> tuple[float, float, str, Box] | None:
    x, y = place
    half = width / 2
    for left, top, anchor_x, role in (
        (x + 10, y - 8, x + 10, "named"),
        (x - 10 - width, y - 8, x - 10, "named end"),
        (x - half, y - 26, x, "named middle"),
        (x - half, y + 10, x, "named middle"),
        (x + 6, y - 24, x + 6, "named"),
        (x + 6, y + 8, x + 6, "named"),
        (x - 6 - width, y - 24, x - 6, "named end"),
        (x - 6 - width, y + 8, x - 6, "named end"),
    ):
        box = (left, top, left + width, top + _LINE)
        inside = left >= _LEFT and box[2] <= WIDTH - 2 and top >= _TOP - 8 and box[3] <= HEIGHT - _BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            return anchor_x, top + 12, role, box
    return None


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
