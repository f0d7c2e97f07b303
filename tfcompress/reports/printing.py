"""Reports as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from edge_runner.wording import printable
from tfcompress.reports import findings as digest
from tfcompress.reports import wording
from tfcompress.reports.compression_metrics import COMPRESSION_METRICS, metric_words, report_metrics
from tfcompress.reports.layer_changes import LAYER_COLUMNS, LayerChange, LayerColumn, layer_changes
from tfcompress.reports.measurements import faster
from tfcompress.reports.report import Report
from tfcompress.reports.rungs import RUNG_TITLES, rung_rows
from tfcompress.tasks.figures import figure_kind

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {True: ("✓", "green"), False: ("!", "yellow"), None: ("·", "dim")}


def safe_text(text: str, style: str = "") -> Text:
    """Return what a report says for a terminal: no markup, and what would be a command to it is escaped.

    Args:
        text: may come from anybody's file.
        style: rich's.
    """
    return Text(printable(text), style=style)


def print_report(report: Report, console: Console) -> None:
    """Print one report: the float model beside the result, then what was found.

    Args:
        report: to print.
        console: where to.
    """
    source, result = report.source, report.result
    title = safe_text(f"{source.name} → {result.name}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("")
    table.add_column("float", justify="right")
    table.add_column(safe_text(report.recipe_name), justify="right", style="bold")
    table.add_column("", justify="right")
    for row in digest.quantities(report):
        table.add_row(*(safe_text(text) for text in (row.name, row.before, row.after, row.change)))
    console.print(table)
    for finding in digest.findings(report):
        mark, style = _MARKS[finding.good]
        console.print(
            Text.assemble((f"{mark} ", style), (f"{finding.topic}: ", "dim"), safe_text(finding.text)), soft_wrap=True
        )
    for run in report.edge:
        console.print(safe_text(f"latency: {digest.conditions(run)}", style="dim"), soft_wrap=True)


def print_metrics(report: Report, console: Console) -> None:
    """Print every metric that was measured, with its interval and formula; 0 is the float model, 1 the result.

    Args:
        report: to print.
        console: where to.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in ("metric", "", "value", "is"):
        table.add_column(safe_text(title), justify="right" if title == "value" else "left", overflow="fold")
    for name, found in report_metrics(report).items():
        metric = COMPRESSION_METRICS[name]
        table.add_row(*map(safe_text, (metric.title, metric.short, metric_words(metric, found), metric.formula)))
    console.print(table)


def print_layers(report: Report, console: Console) -> None:
    """Print each layer before and after, without the columns that a narrow terminal has no room for.

    Args:
        report: to print.
        console: where to.
    """
    rows = layer_changes(report)
    if not rows:
        console.print(Text("no layers: this report is older than format 6; export again to have them", style="dim"))
        return
    timed = any(row.time_share is not None for row in rows)
    shown = [each for each in LAYER_COLUMNS if each.title and (timed or each.name != "time_share_fraction")]
    gone: list[str] = []
    if not console.is_terminal:
        console.width = max(console.width, _width(console, _layer_table(shown, rows)))
    while _width(console, _layer_table(shown, rows)) > console.width:
        last = max(shown, key=lambda column: column.spared)
        if not last.spared:
            break
        shown.remove(last)
        gone.append(last.title)
    console.print(_layer_table(shown, rows))
    if report.result.layers_note:
        console.print(safe_text(report.result.layers_note, style="dim"), soft_wrap=True)
    if gone:
        console.print(Text(f"no room for {', '.join(gone)}: --csv has all columns", style="dim"))


def _layer_table(columns: Sequence[LayerColumn], rows: Sequence[LayerChange]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title="layer by layer, before → after")
    for column in columns:
        table.add_column(safe_text(column.title), justify="right" if column.number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(safe_text(column.words(row)) for column in columns))
    return table


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update_width(10_000), table).maximum


def print_rungs(promise: Mapping[str, Any], console: Console) -> None:
    """Print the ways that were tried to lose no more than may be lost.

    Args:
        promise: :meth:`tfcompress.reports.rungs.LadderRecord.to_dict`.
        console: where to.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, title in enumerate(RUNG_TITLES):
        numbers = 0 < place < len(RUNG_TITLES) - 1
        table.add_column(title, justify="right" if numbers else "left", no_wrap=numbers)
    for row in rung_rows(promise):
        table.add_row(*map(safe_text, row))
    console.print(table)


def print_comparison(reports: Sequence[Report], console: Console) -> None:
    """Print several reports of one model, a row each.

    Args:
        reports: the first is what the others' latency is compared with, where one run of edge_runner timed both.
        console: where to.
    """
    timed = any(report.edge for report in reports)
    mains = {figure_kind(report.result.score.main).title for report in reports if report.result.score}
    figure = "score" if len(mains) > 1 else next(iter(mains), "accuracy")
    titles = ("recipe", "file", "gzip", "smaller", "non-zero", figure, "95 %", "to float", "latency", "faster")
    shown = titles if timed else titles[:-2]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in shown:
        first = title == "recipe"
        table.add_column(
            safe_text(title), justify="left" if first else "right", style="bold" if first else None, no_wrap=first
        )
    for report in reports:
        table.add_row(*(safe_text(text) for text in _cells(report, reports[0], named=len(mains) > 1)[: len(shown)]))
    console.print(table)
    runs = {digest.conditions(run): None for report in reports for run in report.edge[-1:]}
    for text in runs:
        console.print(safe_text(f"latency: {text}", style="dim"), soft_wrap=True)
    for report in reports:
        for text in (*(finding.text for finding in digest.growth(report)), *report.warnings):
            console.print(Text.assemble(("! ", "yellow"), safe_text(f"{report.recipe_name}: {text}")), soft_wrap=True)


def _cells(report: Report, first: Report, *, named: bool) -> list[str]:
    """Return a row's texts, in the order of the titles; *named*: with the name of the main figure."""
    result, change = report.result, report.comparison
    run = report.edge[-1] if report.edge else None
    score = result.score
    main = score.main_figure if score else None
    return [
        report.recipe_name,
        wording.size(result.size_bytes),
        wording.size(result.gzip_bytes),
        wording.times(change.size_ratio),
        wording.count(result.nonzero),
        wording.main_figure(score) if named else wording.figure(main),
        wording.interval(main),
        wording.figure_difference(change.main),
        wording.duration(run.result.median_ms if run else None),
        wording.times(latency_speedup(report, first)),
    ]


def latency_speedup(report: Report, first: Report) -> float | None:
    """Speed-up over the report's own float file, else over the first report's file; only within one run."""
    if not report.edge:
        return None
    run = report.edge[-1]
    if run.speedup is not None:
        return run.speedup
    same = [other for other in first.edge if other.created_utc == run.created_utc and other.device == run.device]
    return faster(same[-1].result, run.result) if same else None
