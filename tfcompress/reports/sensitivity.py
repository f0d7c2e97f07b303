"""A sensitivity analysis as one self-contained page, and as rows for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tfcompress.reports.sensitivity_chart import Curve, chart
from tfcompress.reports.style import CSS

__all__ = ["Analysis", "Curve", "removable", "rows", "to_html"]

_CSS = """
main { max-width: 980px; }
svg { max-width: 780px; }
svg .small { font-size: 11px; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .curve.rest { stroke: var(--before); stroke-width: 1; opacity: .4; }
svg .limit { stroke: var(--bad); stroke-dasharray: 5 4; }
:root { --c0: #b3261e; --c1: #c2410c; --c2: #a16207; --c3: #4d7c0f; --c4: #0f766e; --c5: #0369a1; --c6: #4f46e5;
  --c7: #86198f; }
@media (prefers-color-scheme: dark) { :root { --c0: #f2857d; --c1: #fb9a5f; --c2: #e3b341; --c3: #a3d15f;
  --c4: #4fd1c0; --c5: #63b8f0; --c6: #a5a0fb; --c7: #e08ae8; } }
td.number, th.number { padding: 6px 8px; }
""" + "".join(
    f"svg .curve.c{n} {{ stroke: var(--c{n}); }}\nsvg circle.c{n} {{ fill: var(--c{n}); stroke: none; }}\n"
    f"svg .name.c{n} {{ fill: var(--c{n}); }}\n"
    for n in range(8)
)
_MINUS = "\N{MINUS SIGN}"
_CHANGES = 4
"""Columns of the table before the changes."""


@dataclass(frozen=True)
class Analysis:
    """What was measured.

    Attributes:
        model: the file, or the model's name.
        data: where the samples come from.
        samples: how many were scored.
        metric: what a score is, e.g. ``accuracy``.
        percent: whether scores are fractions to be shown in percent; higher is better either way.
        criterion: by what the channels were chosen that go first.
        baseline: score of the whole model.
        curves: one a group.
        pinned: groups that cannot shrink, with the reason.
        max_drop: what a group may lose, in percentage points (of a score that is no fraction: in its unit).
    """

    model: str
    data: str
    samples: int
    metric: str
    percent: bool
    criterion: str
    baseline: float
    curves: tuple[Curve, ...]
    pinned: tuple[tuple[str, str], ...] = ()
    max_drop: float = 1.0

    @property
    def limit(self) -> float:
        """The lowest score allowed."""
        return self.baseline - (self.max_drop / 100.0 if self.percent else self.max_drop)


def removable(curve: Curve, limit: float) -> float:
    """Return the largest measured fraction of a group up to which no score falls below *limit*; 0 where none is."""
    allowed = 0.0
    for fraction, score in curve.points:
        if score < limit:
            break
        allowed = fraction
    return allowed


def rows(analysis: Analysis) -> list[tuple[str, ...]]:
    """Return the table as text, the most sensitive group first: group, channels, MACs, can go, then score changes."""
    ordered = sorted(analysis.curves, key=lambda curve: (removable(curve, analysis.limit), curve.lowest))
    return [
        (
            curve.group,
            str(curve.channels),
            "—" if curve.macs is None else f"{100 * curve.macs:.1f} %",
            f"{100 * removable(curve, analysis.limit):g} %",
            *(_change(analysis, score) for _, score in curve.points),
        )
        for curve in ordered
    ]


def head(analysis: Analysis) -> tuple[str, ...]:
    """Return the titles of the columns of :func:`rows`."""
    fractions = [fraction for fraction, _ in analysis.curves[0].points]
    return (
        "group (first layer)",
        "channels",
        "MACs",
        "can go",
        *(f"{_MINUS}{100 * f:g} %" for f in fractions),
    )


def _change(analysis: Analysis, score: float) -> str:
    change = (score - analysis.baseline) * (100 if analysis.percent else 1)
    text = f"{change:+.1f}" if analysis.percent else f"{change:+.3g}"
    return text.replace("-", _MINUS)


def to_html(analysis: Analysis) -> str:
    """Return the page; it needs no network and no scripts.

    Args:
        analysis: with at least one curve; every curve has the same fractions.
    """
    name = escape(analysis.model)
    about = (
        f"Each group of channels alone loses a part of them, those first that matter least by {analysis.criterion}; "
        "the layers that read them are fitted to those that stay, nothing is trained. "
        f"Dashed: {_allowed(analysis)} below the whole model."
    )
    can_go = f"Can go: the largest part up to which no score is more than {_allowed(analysis)} below the whole model's."
    parts = [
        _section("Score against channels removed", _figure(analysis) + f'<p class="note">{escape(about)}</p>'),
        _section(
            "Group by group, the most sensitive first",
            _table(head(analysis), rows(analysis), _heat(analysis)) + f'<p class="note">{escape(can_go)}</p>',
        ),
    ]
    if analysis.pinned:
        parts.append(_section("Groups that cannot shrink", _table(("group (first layer)", "why"), analysis.pinned)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Sensitivity of {name}</title>\n<style>{CSS}{_CSS}</style>\n</head>\n<body>\n<main>\n"
        f"{_header(analysis)}\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _allowed(analysis: Analysis) -> str:
    unit = f" point{'' if analysis.max_drop == 1 else 's'}" if analysis.percent else ""
    return f"{analysis.max_drop:g}{unit}"


def _figure(analysis: Analysis) -> str:
    return chart(analysis.curves, analysis.baseline, percent=analysis.percent, limit=analysis.limit)


def _header(analysis: Analysis) -> str:
    score = f"{100 * analysis.baseline:.2f} %" if analysis.percent else f"{analysis.baseline:.4g}"
    said = f"{analysis.metric} {score} on {analysis.samples:,} samples of {analysis.data}"
    return f"<header><p>{escape(said)}</p><h1>Sensitivity of {escape(analysis.model)}</h1></header>"


def _section(title: str, content: str) -> str:
    return f'<section style="margin-top: 14px"><h2>{escape(title)}</h2>{content}</section>\n'


def _heat(analysis: Analysis) -> dict[str, str]:
    """Return a style by the text of a change: the further down, the stronger."""
    deepest = min((curve.lowest for curve in analysis.curves), default=0.0) - analysis.baseline or -1.0
    return {
        _change(analysis, score): f"background: rgb(214 92 20 / {min(1.0, change / deepest) ** 0.7 * 0.55:.2f})"
        for curve in analysis.curves
        for _, score in curve.points
        if (change := score - analysis.baseline) < 0
    }


def _table(titles: Sequence[str], body: Sequence[Sequence[str]], heat: Mapping[str, str] | None = None) -> str:
    numbers = heat is not None

    def cell(tag: str, column: int, text: str) -> str:
        role = ' class="number"' if numbers and column else ' class="name"'
        style = (heat or {}).get(text, "") if tag == "td" and column >= _CHANGES else ""
        return f"<{tag}{role}{f' style={chr(34)}{style}{chr(34)}' if style else ''}>{escape(text)}</{tag}>"

    lines = [f"<tr>{''.join(cell('th', c, text) for c, text in enumerate(titles))}</tr>"]
    lines += [f"<tr>{''.join(cell('td', c, text) for c, text in enumerate(row))}</tr>" for row in body]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'
