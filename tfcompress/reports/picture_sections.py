"""Weights, activations, confusion and changed answers as parts of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tfcompress.reports import wording
from tfcompress.reports.markup import NAME, NUMBER, html_note, html_table, scrolling
from tfcompress.reports.pictures import ChangedAnswer, Confusions, Pictures, Thumbnail, ValueCounts
from tfcompress.reports.report import Report
from tfcompress.reports.svg import WIDTH, drawing, round_numbers, words

_KERNELS = 12
"""How many kernels are drawn: those with most weights."""
_LAYERS = 9
"""Of how many layers it is drawn what comes out: those where it moved most."""
_ROOTS = "Heights are square roots of counts, so that rare values are seen."
_KERNEL_WIDTH, _PLOT, _FOOT = 320.0, 84.0, 24.0
_CELLS = 400.0
_PAIRS = 8
_VERDICTS = {"lost": "right before, wrong now", "gained": "wrong before, right now"}


def weights_part(pictures: Pictures) -> str:
    """Return the histograms of the largest kernels before and after; empty where there are none."""
    largest = sorted(pictures.weights, key=lambda one: -sum(one.before))[:_KERNELS]
    kept = [one for one in pictures.weights if one in largest]
    more = len(pictures.weights) - len(kept)
    left = f" {more} smaller kernels are not drawn." if more > 0 else ""
    return _histograms(kept, "weights of", f"Grey: the float file; coloured: the result. {_ROOTS}{left}")


def activations_part(pictures: Pictures) -> str:
    """Return the histograms of what comes out of the layers where it moved most; empty where there are none."""
    moved = sorted(pictures.activations, key=_moved, reverse=True)[:_LAYERS]
    kept = [one for one in pictures.activations if one in moved]
    more = len(pictures.activations) - len(kept)
    note = (
        f"What comes out of layers, on {pictures.activations_on}. Grey: the model as it came; coloured: the result. "
        f"{_ROOTS} Dashed: where the numbers of an integer file end."
    )
    note += f" The {len(kept)} of {len(pictures.activations)} layers whose values moved most." if more > 0 else ""
    return _histograms(kept, "what comes out of", note)


def _moved(one: ValueCounts) -> float:
    """Return the part of the values that would have to go into other bins (total variation distance)."""
    before, after = (max(1, sum(counts)) for counts in (one.before, one.after))
    return sum(abs(b / before - a / after) for b, a in zip(one.before, one.after, strict=True)) / 2


def _histograms(counts: Sequence[ValueCounts], what: str, note: str) -> str:
    if not counts:
        return ""
    drawn = "".join(f"<figure>{_histogram(one, what)}</figure>" for one in counts)
    return f'<div class="small-multiples">{drawn}</div>{html_note(note)}'


def _histogram(one: ValueCounts, what: str) -> str:
    bins = len(one.before)
    most = max(*one.before, *one.after, 1)
    left, room = 8.0, _KERNEL_WIDTH - 16.0
    width = room / bins

    def place(value: float) -> float:
        return left + room * (value - one.low) / ((one.high - one.low) or 1)

    def outline(counts: Sequence[int]) -> str:
        heights = [_height(count, most) for count in counts]
        steps = [f"L{left + n * width:.1f},{y:.1f}L{left + (n + 1) * width:.1f},{y:.1f}" for n, y in enumerate(heights)]
        return f"M{left},{_PLOT}{''.join(steps)}L{left + room},{_PLOT}Z"

    parts = [
        f'<path class="before area" d="{outline(one.before)}"/>',
        f'<path class="after area" d="{outline(one.after)}"/>',
    ]
    for tick in round_numbers(one.low, one.high):
        x = place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_PLOT}" y2="{_PLOT + 4}"/>')
        if left + 20 < x < left + room - 20:
            parts.append(words(x, _PLOT + 18, f"{tick:g}", "tick"))
    for end in one.grid or ():
        if one.low < end < one.high:
            parts.append(f'<line class="limit" x1="{place(end):.1f}" x2="{place(end):.1f}" y1="0" y2="{_PLOT}"/>')
    for n, (before, after) in enumerate(zip(one.before, one.after, strict=True)):
        if before or after:
            start = one.low + (one.high - one.low) * n / bins
            text = f"{start:.3g} and up: {before:,} before, {after:,} after"
            parts.append(
                f'<g class="mark bin"><title>{escape(text)}</title>'
                f'<rect class="reach" x="{left + n * width:.1f}" y="0" width="{width:.1f}" height="{_PLOT}"/></g>'
            )
    caption = f"<figcaption><b>{escape(one.name)}</b> {escape(_said(one))}</figcaption>"
    return caption + scrolling(drawing(_PLOT + _FOOT, f"{what} {one.name}", parts, width=_KERNEL_WIDTH))


def _said(one: ValueCounts) -> str:
    parts = [f"zeros {wording.percent(one.zeros_before, 0)} → {wording.percent(one.zeros_after, 0)}"]
    if one.distinct_after is not None:
        parts.append(f"{one.distinct_after:,} values")
    if one.beyond:
        parts.append(f"{wording.percent(one.beyond, 1)} beyond the file's numbers")
    return ", ".join(parts)


def _height(count: int, most: int) -> float:
    """Return how high a bin reaches: by the square root, so that a peak at zero leaves the others visible."""
    return _PLOT - (_PLOT - 6) * math.sqrt(count / most)


def confusion_part(report: Report, pictures: Pictures | None) -> str:
    """Return which class is taken for which, before and after: matrices, or the pairs that the report holds."""
    if pictures is not None and pictures.confusions is not None:
        return _matrices(pictures.confusions, pictures.classes, pictures.samples)
    before = report.baseline.score.confusion if report.baseline and report.baseline.score else ()
    after = report.result.score.confusion if report.result.score else ()
    if not before and not after:
        return ""
    one, two = ({pair[:2]: pair[2] for pair in pairs} for pairs in (before, after))
    rows = [
        (str(pair[0]), str(pair[1]), *(f"{side[pair]:,}" if pair in side else wording.NONE for side in (one, two)))
        for pair in sorted({**two, **one}, key=lambda pair: -max(one.get(pair, 0), two.get(pair, 0)))
    ]
    table = html_table(("class", "taken for", "float", "result"), rows, (NUMBER, NUMBER, NUMBER, NUMBER))
    return table + html_note(f"{wording.NONE}: not among the most frequent pairs, which is all that the report keeps.")


def _matrices(found: Confusions, classes: Sequence[str], samples: int) -> str:
    size = len(found.before)
    names = list(classes) if len(classes) == size else [str(number) for number in range(size)]
    wrong = (n for m in (found.before, found.after) for i, row in enumerate(m) for j, n in enumerate(row) if i != j)
    most = max(wrong, default=0) or 1
    drawn = "".join(
        _figure(title, _matrix(matrix, other, names, most, title))
        for title, matrix, other in (("float", found.before, found.after), ("result", found.after, found.before))
    )
    moves = [
        (found.after[i][j] - found.before[i][j], i, j)
        for i in range(size)
        for j in range(size)
        if i != j and found.after[i][j] != found.before[i][j]
    ]
    moves.sort(key=lambda move: -abs(move[0]))
    rows = [
        (names[i], names[j], f"{found.before[i][j]:,}", f"{found.after[i][j]:,}", f"{change:+,}")
        for change, i, j in moves[:_PAIRS]
    ]
    head = ("class", "taken for", "float", "result", "change")
    table = html_table(head, rows, (NAME, NAME, NUMBER, NUMBER, NUMBER)) if rows else ""
    note = f"Rows: the label; columns: the answer; {samples:,} test samples. Stronger colour: more often."
    return f'<div class="pair">{drawn}</div>{html_note(note)}{table}'


def _figure(title: str, drawn: str) -> str:
    return f"<figure><figcaption><b>{escape(title)}</b></figcaption>{scrolling(drawn)}</figure>"


def _matrix(
    matrix: Sequence[Sequence[int]], other: Sequence[Sequence[int]], names: Sequence[str], most: int, title: str
) -> str:
    size = len(matrix)
    left, top = WIDTH - _CELLS - 10, 8.0
    side = (_CELLS - 10) / size
    parts = []
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            if not count and not other[i][j]:
                continue
            share = 0.08 + 0.92 * math.sqrt(count / most) if count else 0.0
            role = "right" if i == j else "wrong"
            opacity = 0.28 if i == j else min(1.0, share)
            said = (
                f"{names[i]} taken for {names[j]}: {count:,} ({title})"
                if i != j
                else f"{names[i]}: {count:,} right ({title})"
            )
            box = f'x="{left + j * side:.1f}" y="{top + i * side:.1f}" width="{side - 1:.1f}" height="{side - 1:.1f}"'
            parts.append(
                f'<g class="mark"><title>{escape(said)}</title>'
                f'<rect class="cell {role}" {box} rx="2" fill-opacity="{opacity:.2f}"/></g>'
            )
            if side >= 26 and count:
                parts.append(words(left + (j + 0.5) * side, top + (i + 0.5) * side + 4, f"{count}", "count"))
    every = max(1, -(-size * 15 // int(_CELLS)))
    for i in range(0, size, every):
        name = names[i] if len(names[i]) <= 9 else f"{names[i][:8]}…"
        parts.append(words(left - 6, top + (i + 0.5) * side + 4, name, "tick end"))
    return drawing(top + size * side + 6, f"which class was taken for which, {title}", parts)


def answers_part(pictures: Pictures | None) -> str:
    """Return samples whose answer changed; a sentence where there are none to be shown."""
    if pictures is None:
        return html_note(
            "This run keeps no pictures (its folder has no pictures.json, which tfcompress export writes where there "
            "is a float file to compare with): no weights and no changed answers can be shown."
        )
    said = list(pictures.notes)
    of = f"{pictures.samples:,} test samples"
    if pictures.samples and pictures.changed is not None:
        share = wording.percent(pictures.changed / pictures.samples)
        said.insert(0, f"{pictures.changed:,} of {of} ({share}) are answered otherwise than by the float file")
    elif pictures.samples and pictures.measure:
        said.insert(0, f"of {of}, those whose answers moved most, by {pictures.measure}")
    cards = "".join(map(_card, pictures.answers))
    notes = "".join(html_note(f"{line[0].upper()}{line[1:]}.") for line in said)
    return notes + (f'<div class="cards">{cards}</div>' if cards else "")


def _card(one: ChangedAnswer) -> str:
    shown = "".join(map(_thumbnail, one.shown))
    rows = [("label", one.label), ("float", one.before), ("result", one.after)]
    lines = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows if text)
    verdict = _VERDICTS.get(one.verdict, "")
    told = f' <span class="verdict {one.verdict}">{verdict}</span>' if verdict else ""
    about = f"<p>test sample {one.number:,}{told}</p>"
    return f'<div class="card"><div class="shown">{shown}</div>{about}<dl>{lines}</dl></div>'


def _thumbnail(one: Thumbnail) -> str:
    if one.png:
        return (
            f'<figure><img alt="{escape(one.title)}" src="data:image/png;base64,{one.png}">'
            f"<figcaption>{escape(one.title)}</figcaption></figure>"
        )
    if one.channels:
        return f"<figure>{_signal(one)}<figcaption>{escape(one.title)}</figcaption></figure>"
    return f'<blockquote title="{escape(one.title)}">{escape(one.text)}</blockquote>'


def _signal(one: Thumbnail) -> str:
    values = [value for channel in one.channels for value in channel]
    low, high = min(values), max(values)
    width, height = 220.0, 84.0
    parts = []
    for number, channel in enumerate(one.channels):
        steps = max(1, len(channel) - 1)
        points = " ".join(
            f"{width * n / steps:.1f},{height - 4 - (height - 8) * (value - low) / ((high - low) or 1):.1f}"
            for n, value in enumerate(channel)
        )
        parts.append(f'<polyline class="signal s{number % 3}" points="{points}"/>')
    return drawing(height, f"{one.title}: {len(one.channels)} channels over time", parts, width=width)
