"""The charts of a report's page: one function and one line of the table each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from tfcompress.reports import svg, wording
from tfcompress.reports.findings import conditions
from tfcompress.reports.markup import html_note, scrolling
from tfcompress.reports.measurements import EdgeRun
from tfcompress.reports.microcontroller import micro_table
from tfcompress.reports.mixed_precision import mixed_tables
from tfcompress.reports.report import Report
from tfcompress.reports.rungs import rung_table
from tfcompress.reports.trials import trial_table
from tfcompress.tasks.figures import FRACTION, figure_kind
from tfcompress.tasks.score import Figure

_LABEL = 14
"""Characters that fit beside a chart."""


@dataclass(frozen=True)
class Chart:
    """A section of the page that draws something.

    Attributes:
        title: its heading.
        draw: what it shows of a report, as HTML; empty: the report has nothing to draw, and the section is left out.
        wide: whether it takes the whole width of the page.
    """

    title: str
    draw: Callable[[Report], str]
    wide: bool = False


def _size(report: Report) -> str:
    before, after = report.baseline, report.result
    items = []
    if before:
        items.append(svg.Bar("float", before.size_bytes, wording.size(before.size_bytes), "before"))
        items.append(svg.Bar("float, gzip", before.gzip_bytes, wording.size(before.gzip_bytes), "before soft"))
    items.append(svg.Bar("result", after.size_bytes, wording.size(after.size_bytes), "after"))
    items.append(svg.Bar("result, gzip", after.gzip_bytes, wording.size(after.gzip_bytes), "after soft"))
    if after.package_bytes:
        items.append(svg.Bar("result, package", after.package_bytes, wording.size(after.package_bytes), "after soft"))
    packed = ", compressed by gzip and packed" if after.package_bytes else " and compressed by gzip"
    return scrolling(svg.bars(items, f"bytes of the files, plain{packed}"))


def _score(report: Report) -> str:
    found = [
        ("float file", report.baseline and report.baseline.score, "before"),
        ("result", report.result.score, "after"),
    ]
    found += [(_short(_device(run)), run.result.score, "after soft") for run in report.edge]
    scores = [score for _, score, _ in found if score]
    if not scores:
        return ""
    main = scores[0].main
    kind = figure_kind(main)
    drawn = [(label, score.figures[main], role) for label, score, role in found if score and main in score.figures]
    items = [item for label, figure, role in drawn if (item := _range(label, figure, role)) is not None]
    if not items:
        return ""
    samples = " and ".join(dict.fromkeys(f"{score.samples:,}" for score in scores))
    chart = svg.ranges(items, f"{kind.title} with intervals", " %" if kind.unit == FRACTION else "")
    title = f"{kind.meaning[0].upper()}{kind.meaning[1:]}"
    return scrolling(chart) + html_note(f"{title} with its 95 % interval; {samples} samples.")


def _range(label: str, figure: Figure, role: str) -> svg.Range | None:
    low, value, high = figure.low, figure.value, figure.high
    if low is None or value is None or high is None:
        return None
    scale = 100 if figure.unit == FRACTION else 1
    return svg.Range(label, scale * low, scale * value, scale * high, wording.figure(figure), role)


def _latency(report: Report) -> str:
    drawn = ((run, _histogram(run)) for run in report.edge)
    return "".join(f"<h3>{escape(_device(run))}</h3>{chart}" for run, chart in drawn if chart)


def _device(run: EdgeRun) -> str:
    return run.device or run.architecture or "device"


def _short(name: str) -> str:
    """Return a name that fits beside a chart."""
    return name if len(name) <= _LABEL else f"{name[: _LABEL - 1].rstrip()}…"


def _histogram(run: EdgeRun) -> str:
    pairs = [("float", run.baseline, "before"), ("result", run.result, "after")]
    slowest = max(one.summary.get("median_ms") or 0 for _, one, _ in pairs if one)
    unit, scale = ("ms", 1e6) if slowest >= 0.1 else ("µs", 1e3)
    series = {
        f"{label} {wording.duration(one.median_ms)}": ([value / scale for value in one.samples_ns], role)
        for label, one, role in pairs
        if one and one.samples_ns
    }
    if not series:
        return ""
    note = html_note(f"{conditions(run)}. The slowest 1 % are not drawn.")
    return scrolling(svg.histogram(series, "how often each latency occurred", unit)) + note


def _training(report: Report) -> str:
    if report.training is None:
        return ""
    done = report.training
    said = [
        f"{done.epochs} epoch{'' if done.epochs == 1 else 's'} of {wording.count(done.samples)} samples",
        wording.seconds(done.wall_seconds),
        *done.notes,
    ]
    series = {name: v for name, v in done.history.items() if sum(value is not None for value in v) >= 2}
    drawn = scrolling(svg.lines(series, "training by epoch")) if series else ""
    return drawn + html_note("; ".join(said))


def _ways_to_lose_less(report: Report) -> str:
    return rung_table(report.result.verification.get("promise") or {})


CHARTS: dict[str, Chart] = {
    "size": Chart("Size", _size),
    "score": Chart("Score", _score),
    "latency": Chart("Latency", _latency),
    "training": Chart("Training", _training),
    "ways": Chart("Ways to int8 that were tried", lambda report: trial_table(report.result.verification)),
    "mixed": Chart("Mixed precision", lambda report: mixed_tables(report.result.verification), wide=True),
    "micro": Chart("Memory on a microcontroller", lambda report: micro_table(report.result.verification)),
    "drop": Chart("Ways that were tried to lose no more", _ways_to_lose_less),
}
"""By name, in the order in which the page shows them."""
