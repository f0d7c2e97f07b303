"""A sensitivity analysis as one self-contained page, and as rows for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from tfcompress.reports.markup import (
    NAME,
    NUMBER,
    VALUE,
    Markup,
    html_note,
    html_page,
    html_section,
    html_table,
    scrolling,
)
from tfcompress.reports.sensitivity_chart import ScoreCurve, chart
from tfcompress.reports.style import CSS
from tfcompress.reports.svg import words

__all__ = ["ScoreCurve", "SensitivityAnalysis", "group_rows", "removable", "to_page", "to_svg"]

_CSS = """
main { max-width: 1010px; }
svg { max-width: none; }
svg .small { font-size: 12px; }
svg .curve { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
svg .curve.rest { stroke: var(--before); stroke-width: 1; opacity: .4; }
svg circle.curve { stroke: var(--card); stroke-width: 1.5; }
svg circle.whole { fill: var(--ink); stroke: var(--card); stroke-width: 1.5; }
svg .name { font-weight: 600; }
svg .limit-name { fill: var(--soft); }
:root { --c0: #c2255c; --c1: #e8710a; --c2: #1769aa; --c3: #2b8a3e; --c4: #7048e8; --c5: #0b8f8f; --c6: #a07800;
  --c7: #5c6b7d; }
@media screen and (prefers-color-scheme: dark) { :root { --c0: #ff7aa8; --c1: #ffa94d; --c2: #6cb6f5; --c3: #69db7c;
  --c4: #b197fc; --c5: #4fd1c5; --c6: #e0c04a; --c7: #b6c2d0; } }
section + section, header + section { margin-top: 14px; }
td.number, th.number { padding: 6px 8px; }
.heat { display: block; margin: -6px -8px; padding: 6px 8px; }
@media (max-width: 699px) { svg { min-width: 640px; font-size: 13px; } }
""" + "".join(
    f"svg .curve.c{n} {{ stroke: var(--c{n}); }}\n"
    f"svg circle.curve.c{n} {{ fill: var(--c{n}); stroke: var(--card); }}\n"
    f"svg .name.c{n} {{ fill: var(--c{n}); }}\n"
    for n in range(8)
)
_IMAGE_CSS = """
svg { width: auto; min-width: 0; font-size: 13px; }
svg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
svg .tick { font-size: 11.5px; }
svg .title { font-size: 17px; font-weight: 600; }
"""
_MARGIN, _TITLE = 24.0, 44.0
"""Around the image, and for its two lines of title, in pixels."""
_MINUS = "\N{MINUS SIGN}"
_CHANGES = 4
"""Columns of the table before the changes."""


@dataclass(frozen=True)
class SensitivityAnalysis:
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
        spare: what a group may lose, in percentage points (of a score that is no fraction: in its unit).
    """

    model: str
    data: str
    samples: int
    metric: str
    percent: bool
    criterion: str
    baseline: float
    curves: tuple[ScoreCurve, ...]
    pinned: tuple[tuple[str, str], ...] = ()
    spare: float = 1.0

    @property
    def limit(self) -> float:
        """The lowest score allowed."""
        return self.baseline - (self.spare / 100.0 if self.percent else self.spare)


def removable(curve: ScoreCurve, limit: float) -> float:
    """Return the largest measured fraction of a group up to which no score falls below *limit*; 0 where none is."""
    allowed = 0.0
    for fraction, score in curve.points:
        if score < limit:
            break
        allowed = fraction
    return allowed


def group_rows(analysis: SensitivityAnalysis) -> list[tuple[str, ...]]:
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


def column_titles(analysis: SensitivityAnalysis) -> tuple[str, ...]:
    """Return the titles of the columns of :func:`group_rows`."""
    fractions = [fraction for fraction, _ in analysis.curves[0].points]
    return (
        "group (first layer)",
        "channels",
        "MACs",
        "can go",
        *(f"{_MINUS}{100 * f:g} %" for f in fractions),
    )


def _change(analysis: SensitivityAnalysis, score: float) -> str:
    change = (score - analysis.baseline) * (100 if analysis.percent else 1)
    text = f"{change:+.1f}" if analysis.percent else f"{change:+.3g}"
    return text.replace("-", _MINUS)


def to_page(analysis: SensitivityAnalysis) -> str:
    """Return the page; it needs no network and no scripts.

    Args:
        analysis: with at least one curve; every curve has the same fractions.
    """
    about = (
        f"Each group of channels alone loses a part of them, those first that matter least by {analysis.criterion}; "
        "the layers that read them are fitted to those that stay, nothing is trained. "
        f"Dashed: {_allowed(analysis)} below the whole model."
    )
    can_go = (
        f"Can go: the largest part up to which no score is more than {_allowed(analysis)} below the whole model's. "
        "MACs: the share of the multiply-accumulates that goes with the group's channels; a kernel between two groups "
        "counts for both."
    )
    figure = scrolling(_figure(analysis)) + html_note(about)
    changes = html_table(
        column_titles(analysis), _shaded(analysis), (NAME, *(NUMBER for _ in column_titles(analysis)[1:]))
    )
    parts = [
        html_section(f"{analysis.metric.capitalize()} against channels removed", figure),
        html_section("Group by group, the most sensitive first", changes + html_note(can_go)),
    ]
    if analysis.pinned:
        pinned = html_table(("group (first layer)", "why"), analysis.pinned, (NAME, VALUE))
        parts.append(html_section("Groups that cannot shrink", pinned))
    return html_page(f"Sensitivity of {analysis.model}", f"{_header(analysis)}\n{''.join(parts)}", _CSS)


def to_svg(analysis: SensitivityAnalysis) -> str:
    """Return the chart alone, as an image with a title and its style inside.

    Args:
        analysis: with at least one curve.
    """
    drawn = _figure(analysis)
    width, height = (float(number) for number in drawn.split('"')[1].split()[2:])
    inner = drawn[drawn.index(">") + 1 : -len("</svg>")]
    wide, high = width + 2 * _MARGIN, height + 2 * _MARGIN + _TITLE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}">'
        f"<style>{CSS}{_CSS}{_IMAGE_CSS}</style>"
        '<rect width="100%" height="100%" style="fill: var(--card)"/>'
        + words(_MARGIN, _MARGIN + 8, f"Sensitivity of {analysis.model}", "title")
        + words(_MARGIN, _MARGIN + 28, _said(analysis), "label")
        + f'<g transform="translate({_MARGIN} {_MARGIN + _TITLE})">{inner}</g></svg>\n'
    )


def _allowed(analysis: SensitivityAnalysis) -> str:
    unit = f" point{'' if analysis.spare == 1 else 's'}" if analysis.percent else ""
    return f"{analysis.spare:g}{unit}"


def _figure(analysis: SensitivityAnalysis) -> str:
    return chart(
        analysis.curves,
        analysis.baseline,
        percent=analysis.percent,
        metric=analysis.metric,
        limit=analysis.limit,
        allowed=f"{_MINUS}{_allowed(analysis)}",
    )


def _header(analysis: SensitivityAnalysis) -> str:
    return f"<header><p>{escape(_said(analysis))}</p><h1>Sensitivity of {escape(analysis.model)}</h1></header>"


def _said(analysis: SensitivityAnalysis) -> str:
    score = f"{100 * analysis.baseline:.2f} %" if analysis.percent else f"{analysis.baseline:.4g}"
    return f"{analysis.metric} {score} on {analysis.samples:,} samples of {analysis.data}"


def _shaded(analysis: SensitivityAnalysis) -> list[tuple[str, ...]]:
    """Return the table's rows with the changes in colour: the further down, the stronger."""
    deepest = min((curve.lowest for curve in analysis.curves), default=0.0) - analysis.baseline or -1.0
    shades = {
        _change(analysis, score): min(1.0, change / deepest) ** 0.7 * 0.55
        for curve in analysis.curves
        for _, score in curve.points
        if (change := score - analysis.baseline) < 0
    }

    def shaded(text: str) -> str:
        if text not in shades:
            return text
        return Markup(
            f'<span class="heat" style="background: rgb(214 92 20 / {shades[text]:.2f})">{escape(text)}</span>'
        )

    return [(*row[:_CHANGES], *map(shaded, row[_CHANGES:])) for row in group_rows(analysis)]
