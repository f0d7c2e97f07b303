"""A search as one self-contained page: the front, what was judged, what bound, and everything that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tfcompress.reports import wording
from tfcompress.reports.front_chart import Dot, front_chart
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
from tfcompress.reports.search_facts import FinalFacts, GoalFacts, SearchFacts, TriedFacts

_CSS = """
main { max-width: 1010px; }
section + section, header + section { margin-top: 14px; }
svg .dot { fill: var(--before); opacity: .55; }
svg .dot.finished { fill: var(--after); opacity: .55; }
svg .dot.front { fill: var(--after); opacity: 1; stroke: var(--card); stroke-width: 1.5; }
svg .dot.winner { fill: #e8710a; opacity: 1; stroke: var(--card); stroke-width: 1.5; }
svg .steps { fill: none; stroke: var(--after); stroke-width: 1.5; opacity: .6; }
svg .limit-name { fill: var(--soft); }
"""


_CELL = "tfcompress-search"
"""CSS class of what a notebook shows; it brings colours of its own, which are seen on light and on dark."""
_CELL_CSS = f"""
.{_CELL} {{ --before: #8b98a9; --after: #12978a; --card: transparent; --soft: #7b8999; --line: #8886; }}
.{_CELL} .number {{ text-align: right; }} .{_CELL} .name, .{_CELL} .value {{ text-align: left; }}
.{_CELL} .scroll {{ overflow-x: auto; }} .{_CELL} .note {{ color: var(--soft); font-size: 12px; }}
.{_CELL} svg {{ max-width: 640px; width: 100%; height: auto; font-size: 13px; fill: currentColor; }}
.{_CELL} svg .label, .{_CELL} svg .tick, .{_CELL} svg .limit-name {{ fill: var(--soft); }}
.{_CELL} svg .end {{ text-anchor: end; }} .{_CELL} svg .tick {{ text-anchor: middle; }}
.{_CELL} svg .grid {{ stroke: var(--line); }} .{_CELL} svg .limit {{ stroke: var(--soft); stroke-dasharray: 5 4; }}
.{_CELL} svg .steps {{ fill: none; stroke: var(--after); opacity: .6; }}
.{_CELL} svg .dot {{ fill: var(--before); opacity: .55; }}
.{_CELL} svg .dot.finished {{ fill: var(--after); }} .{_CELL} svg .dot.front {{ fill: var(--after); opacity: 1; }}
.{_CELL} svg .dot.winner {{ fill: #e8710a; opacity: 1; }}
"""


def to_search_page(found: SearchFacts) -> str:
    """Return the page; it needs no network and no scripts.

    Args:
        found: the search.
    """
    parts = [
        html_section("In words", "".join(f"<p>{escape(line)}.</p>" for line in found.words)),
        html_section("The front", _charts(found)),
        html_section("Judged on the test split", _judged(found)),
        html_section("The same again, without a search", _command(found)),
        html_section("Gates", _gates(found)),
        html_section("Everything that was tried", _tried(found)),
    ]
    return html_page(_title(found), f"{_header(found)}\n{''.join(parts)}", _CSS)


def to_search_cell(found: SearchFacts) -> str:
    """Return the front and the files that were judged, for the cell of a notebook.

    Args:
        found: the search.
    """
    title = f"<b>{escape(_title(found))}</b>"
    return f'<div class="{_CELL}"><style>{_CELL_CSS}</style>{title}{_charts(found)}{_judged(found)}</div>'


def _title(found: SearchFacts) -> str:
    best = found.best
    return f"{found.model}: {best.name}" if best else f"{found.model}: nothing keeps the limits"


def _header(found: SearchFacts) -> str:
    limits = ", ".join(f"{g.flag} {wording.of_unit(g.limit, g.unit)}" for g in found.goals if g.limit is not None)
    about = f"{limits or 'no limits'}; {found.data}, judged by {found.judged}; tfcompress {found.tool_version}, "
    return f"<header><p>{escape(about + found.created_utc)}</p><h1>{escape(_title(found))}</h1></header>"


def _charts(found: SearchFacts) -> str:
    """Return a picture for each figure against the drop; without a drop nothing could be drawn against it."""
    drop = next((goal for goal in found.goals if goal.name == "drop"), None)
    others = [goal for goal in found.goals if goal is not drop]
    if drop is None:
        return ""
    drawn = []
    for goal in others:
        dots = [
            Dot(each.figures[goal.name], each.figures[drop.name], _said(each, found.goals), _role(each, found.winner))
            for each in found.tried
            if goal.name in each.figures and drop.name in each.figures
        ]
        if dots:
            chart = front_chart(dots, (goal.title, goal.unit, goal.limit), (drop.title, drop.unit, drop.limit))
            drawn.append(scrolling(chart))
    note = (
        "Each dot is a candidate, by what it loses on the samples that the search judges by (a point is a hundredth of "
        "a fraction, or one percent of float's figure); bright: the front; orange: the winner; grey: stopped, "
        "with what is known by then. Dashed: the limits. Down and left is better."
    )
    return "".join(drawn) + html_note(note) if drawn else ""


def _role(each: TriedFacts, winner: int | None) -> str:
    if each.number == winner:
        return "winner"
    return "front" if each.on_front else each.state


def _said(each: TriedFacts, goals: Sequence[GoalFacts]) -> str:
    return f"{each.number} {each.name}: " + ", ".join(_cells(each.figures, goals))


def _cells(figures: Mapping[str, float], goals: Sequence[GoalFacts]) -> list[str]:
    return [wording.of_unit(figures.get(goal.name), goal.unit) for goal in goals]


def _judged(found: SearchFacts) -> str:
    titles = ("candidate", *(goal.title for goal in found.goals), "drop, 95 %", "score", "95 %", "limits", "folder")
    roles = (NAME, *(NUMBER for _ in found.goals), NUMBER, NUMBER, NUMBER, NAME, VALUE)
    rows = [
        (
            f"{each.name}{' (the best)' if each.number == found.winner else ''}",
            *_cells(each.figures, found.goals),
            drop_interval(each),
            each.score,
            each.interval,
            "kept" if not each.misses else f"not kept: {', '.join(each.misses)}",
            Markup(f'<a href="{escape(each.folder)}/report.html">{escape(each.folder)}</a>'),
        )
        for each in found.finals
    ]
    note = "The search had not seen these samples. A limit on the drop is kept where the interval's upper end keeps it."
    conditions = html_note(f"latency: {found.conditions}") if found.conditions else ""
    return html_table(titles, rows, roles) + html_note(note) + conditions


def drop_interval(each: FinalFacts) -> str:
    """Return the ends of the 95 % interval of what a file loses, in points, as people read them."""
    if each.drop_low is None or each.drop_high is None:
        return wording.NONE
    return f"{each.drop_low:.2f} .. {each.drop_high:.2f}"


def _command(found: SearchFacts) -> str:
    return f"<pre>{escape(found.command)}</pre>" if found.command else ""


def _gates(found: SearchFacts) -> str:
    rows = [
        (
            gate.name,
            gate.trust,
            wording.NONE if gate.correlation is None else f"{gate.correlation:.2f}",
            str(gate.pairs),
            str(gate.stopped),
            str(gate.spared),
        )
        for gate in found.gates
    ]
    titles = ("gate", "trust", "rank correlation", "of trials", "stopped", "let through")
    note = (
        "How a gate's figure ranks the trials that were run in full. From 0.6 on it is trusted, from 0.3 on it "
        "allows for twice the usual gain, below that it stops nothing; an exact one holds a figure against a limit."
    )
    return html_table(titles, rows, (NAME, NAME, NUMBER, NUMBER, NUMBER, NUMBER)) + html_note(note)


def _tried(found: SearchFacts) -> str:
    titles = ("trial", "candidate", *(goal.title for goal in found.goals), "trained", "", "why")
    roles = (NUMBER, NAME, *(NUMBER for _ in found.goals), NUMBER, NAME, VALUE)
    rows = [
        (
            str(each.number),
            each.name,
            *_cells(each.figures, found.goals),
            wording.seconds(each.trained_seconds),
            each.state,
            each.reason or each.source,
        )
        for each in found.tried
    ]
    took = f"{wording.seconds(found.seconds)} in all, {wording.seconds(found.trained_seconds)} of it training"
    return html_table(titles, rows, roles) + html_note(took)
