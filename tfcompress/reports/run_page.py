"""Runs beside each other as one self-contained page: no network, and readable without its script."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from html import escape

from tfcompress._version import __version__
from tfcompress.reports import pointing, svg, wording
from tfcompress.reports.markup import NAME, NUMBER, html_note, html_page, html_section, scrolling
from tfcompress.reports.measurements import MeasuredFile
from tfcompress.reports.run_details import per_op_table, run_details
from tfcompress.reports.run_points import LARGEST, RESULT, RunGroup, RunPoint, front, run_groups
from tfcompress.reports.run_records import RunSet
from tfcompress.reports.tradeoff_chart import TradeAxis, TradeDot, tradeoff_chart
from tfcompress.tasks.figures import FRACTION, figure_kind

MOST_BYTES = 4_500_000
"""A page is kept below this: the details of runs that no longer fit are left out, and that is said."""

_DETAILED = 40
"""Details of so many runs at most are shown."""
_LATENCIES = 12
"""Latencies of so many files are drawn beside each other: the fastest."""
_LONG = 24
"""A table of more lines scrolls in a box of its own."""


def to_run_page(runs: RunSet) -> str:
    """Return the page.

    Args:
        runs: at least one record or measured file.
    """
    groups = run_groups(runs.records, runs.measured)
    count = len(runs.records)
    title = groups[0].title if len(groups) == 1 else f"{count + len(runs.measured)} files"
    about = f"{count} run{'' if count == 1 else 's'}"
    if runs.measured:
        about += f", {len(runs.measured)} measured file{'' if len(runs.measured) == 1 else 's'} without a report"
    header = f"<header><p>{escape(about)}; tfcompress {__version__}</p><h1>{escape(title)}</h1></header>"
    anchors = {id(record): f"run-{number}" for number, record in enumerate(runs.records)}
    best = {id(record) for group in groups for record in _on_front(group)}
    ordered = sorted(runs.records, key=lambda record: id(record) not in best)
    top = header + "".join(html_note(note) for note in runs.notes)

    def page(shown: Sequence[str], linked: set[str]) -> str:
        overview = "".join(
            _group(group, lambda record: anchors[id(record)] if anchors[id(record)] in linked else "", len(groups) > 1)
            for group in groups
        )
        body = top + overview + _measured(runs.measured) + "".join(shown) + _left_out(count - len(shown))
        return html_page(title, body, pointing.CSS, pointing.SCRIPT)

    details: dict[str, str] = {}
    size = len(page([], set()).encode())
    for record in ordered[:_DETAILED]:
        anchor = anchors[id(record)]
        one = run_details(record, anchor, is_open=count == 1)
        size += len(one.encode()) + 60
        if size > MOST_BYTES:
            break
        details[anchor] = one
    shown = [details[anchors[id(record)]] for record in runs.records if anchors[id(record)] in details]
    return page(shown, set(details))


def _left_out(count: int) -> str:
    if count <= 0:
        return ""
    return html_note(
        f"{count:,} run{' has' if count == 1 else 's have'} no details here, so that the page stays small: those on "
        "the front come first. Give fewer runs, or look at the report.html in their folders."
    )


def _on_front(group: RunGroup) -> list[object]:
    known = [(p, p.size_bytes, f) for p in group.points if p.size_bytes and (f := p.figure(group.main)) is not None]
    chosen = front([(float(size), figure.merit or 0.0) for _, size, figure in known])
    return [known[number][0].record for number in chosen if known[number][0].record is not None]


def _group(group: RunGroup, anchor: Callable[[object], str], several: bool) -> str:
    charts = _charts(group)
    alone = len(charts) if len(charts) % 2 else 0  # the last of an odd number has no neighbour
    drawn = [html_section(t, content, wide=n == alone) for n, (t, content) in enumerate(charts, start=1)]
    wide = html_section("All files", _table(group, anchor), wide=True)
    heading = f"<h2>{escape(group.title)}</h2>" if several else ""
    return f'<div class="group">{heading}<div class="grid">{"".join(drawn)}{wide}</div></div>\n'


def _charts(group: RunGroup) -> list[tuple[str, str]]:
    found = []
    scored = [point for point in group.points if point.figure(group.main)]
    title = figure_kind(group.main).title if group.main else ""
    name = f"{title[:1].upper()}{title[1:]}"
    sized = [point for point in scored if point.size_bytes]
    if sized:
        across = TradeAxis("bytes of the file", _bytes)
        found.append((f"{name} against size", _tradeoff(group, sized, across, lambda p: p.size_bytes)))
    for conditions in group.conditions[:3]:
        timed = [point for point in scored if point.latency_ms(conditions)]
        if len(timed) >= 2 or (timed and len(group.points) == 1):
            across = TradeAxis("median latency", _milliseconds)
            drawn = _tradeoff(group, timed, across, functools.partial(RunPoint.latency_ms, conditions=conditions))
            found.append((f"{name} against latency", drawn + html_note(conditions)))
        spans = _latencies(group, conditions)
        if spans:
            found.append(("Latencies", spans))
    return found


def _tradeoff(
    group: RunGroup, points: Sequence[RunPoint], across: TradeAxis, x: Callable[[RunPoint], float | None]
) -> str:
    kind = figure_kind(group.main)
    scale = 100.0 if kind.unit == FRACTION else 1.0
    dots = []
    for point in points:
        figure, value = point.figure(group.main), x(point)
        if figure is None or figure.value is None or value is None:
            continue
        dots.append(
            TradeDot(
                x=value,
                y=scale * figure.value,
                low=_drawn(figure.low, scale),
                high=_drawn(figure.high, scale),
                name=point.name,
                text=_told(point, group),
                role=point.role,
            )
        )
    up = TradeAxis(f"{kind.title}, %" if kind.unit == FRACTION else kind.title, lambda value: f"{value:g}")
    chart = scrolling(tradeoff_chart(dots, across, up, lower_is_better=kind.better == "lower"))
    bars = " Thin bars: 95 % intervals." if len(dots) <= 14 and any(dot.low is not None for dot in dots) else ""
    return chart + html_note(f"Grey: float; coloured: results; the line: the front.{bars} Point at a dot to read it.")


def _drawn(value: float | None, scale: float) -> float | None:
    return None if value is None or not abs(value) < LARGEST else scale * value


def _bytes(value: float) -> str:
    return f"{value / 1e6:g} MB" if value >= 1e6 else f"{value / 1e3:g} kB" if value >= 1e3 else f"{value:g} B"


def _milliseconds(value: float) -> str:
    return f"{value:g} ms" if value >= 0.1 else f"{value * 1000:g} µs"


def _told(point: RunPoint, group: RunGroup) -> str:
    """Return what pointing at a dot shows."""
    lines = [point.name]
    figure = point.figure(group.main)
    if figure is not None:
        interval = wording.interval(figure)
        title = figure_kind(group.main).title
        lines.append(f"{title} {wording.figure(figure)}" + (f" (95 %: {interval})" if interval else ""))
    if point.size_bytes is not None:
        lines.append(f"file {wording.size(point.size_bytes)}")
    lines += [f"{wording.duration(median)} on {held}" for held, median in dict(point.runs).items()]
    return "\n".join(lines)


def _latencies(group: RunGroup, conditions: str) -> str:
    rows = []
    for point in group.points:
        for run in point.record.report.edge if point.record else ():
            if run.conditions == conditions and run.result.median_ms is not None:
                rows.append((point.name, run.result.summary, "after" if point.role == RESULT else "before"))
    rows = list({name: row for row in rows for name in (row[0],)}.values())
    if len(rows) < 2:
        return ""
    rows.sort(key=lambda row: row[1].get("median_ms") or 0.0)
    items = []
    for name, summary, role in rows[:_LATENCIES]:
        median = summary["median_ms"] or 0.0
        low, high = summary.get("min_ms"), summary.get("p90_ms")
        label = name if len(name) <= 12 else f"{name[:5]}…{name[-6:]}"
        low, high = (median if low is None else low), (median if high is None else high)
        items.append(svg.Range(label, low, median, high, wording.duration(median), role))
    note = f"Median, from the fastest to the 90th percentile. {conditions}."
    if len(rows) > _LATENCIES:
        note += f" The {_LATENCIES} fastest of {len(rows)} files."
    return scrolling(svg.ranges(items, "latencies of the files", " ms")) + html_note(note)


def _table(group: RunGroup, anchor: Callable[[object], str]) -> str:
    """Return every file of a group in a line; a click on a title sorts by it."""
    kind = figure_kind(group.main) if group.main else None
    conditions = group.conditions[0] if group.conditions else ""
    floats = [point.size_bytes for point in group.points if point.role != RESULT and point.size_bytes]
    heads = [("file", f"{NAME} first"), ("bytes", NUMBER), ("of float", NUMBER)]
    heads += [(kind.title, NUMBER), ("95 %", NUMBER), ("to float", NUMBER)] if kind else []
    heads += [("median latency", NUMBER)] if conditions else []
    heads += [("multiply-accumulates", NUMBER), ("non-zero parameters", NUMBER)]
    lines = [
        "".join(
            f'<td class="{role}" data-key="{escape(key)}">{cell}</td>'
            for (_, role), (key, cell) in zip(heads, _cells(point, group, conditions, floats, anchor), strict=True)
        )
        for point in group.points
    ]
    top = "".join(f'<th class="{role}">{escape(title)}</th>' for title, role in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    table = scrolling(f'<table class="sortable"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>')
    notes = [f"Latency: {conditions}."] if conditions else []
    notes.append("A click on a title sorts.") if len(lines) > 2 else None
    boxed = f'<div class="long">{table}</div>' if len(lines) > _LONG else table
    return boxed + (html_note(" ".join(notes)) if notes else "")


def _cells(
    point: RunPoint, group: RunGroup, conditions: str, floats: Sequence[int], anchor: Callable[[object], str]
) -> list[tuple[str, str]]:
    """Return what each cell sorts by, and what it shows, as HTML."""
    record, size = point.record, point.size_bytes
    report = record.report if record else None
    link = anchor(record) if record else ""
    name = f'<a href="#{link}">{escape(point.name)}</a>' if link else escape(point.name)
    before = report.baseline.size_bytes if report and report.baseline else (floats[0] if len(floats) == 1 else None)
    share = size / before if size and before else None
    cells = [(point.name, name), _cell(size, wording.size(size)), _cell(share, wording.percent(share, 1))]
    if group.main:
        figure = point.figure(group.main)
        moved = report.comparison.main if report else None
        cells += [
            _cell(figure.value if figure else None, wording.figure(figure)),
            _cell(figure.low if figure else None, wording.interval(figure) or wording.NONE),
            _cell(moved.value if moved else None, wording.figure_difference(moved)),
        ]
    if conditions:
        latency = point.latency_ms(conditions)
        cells.append(_cell(latency, wording.duration(latency)))
    macs, nonzero = (report.result.macs, report.result.nonzero) if report else (None, None)
    return [*cells, _cell(macs, wording.count(macs)), _cell(nonzero, wording.count(nonzero))]


def _cell(value: float | None, text: str) -> tuple[str, str]:
    return ("" if value is None else f"{value:.10g}", escape(text))


def _measured(measured: Sequence[MeasuredFile]) -> str:
    parts = []
    for one in measured:
        if one.per_op is not None:
            parts.append(
                html_section(f"{one.name}: time by op", per_op_table(one.per_op) + html_note(one.run.conditions))
            )
    return "".join(parts)
