"""Reports as tables in the terminal, and as a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from tfcompress.reports import findings as digest
from tfcompress.reports import wording
from tfcompress.reports.measurements import faster
from tfcompress.reports.report import Report

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {True: ("✓", "green"), False: ("!", "yellow"), None: ("·", "dim")}


def print_report(report: Report, console: Console) -> None:
    """Print one report: the float model beside the result, then what was found.

    Args:
        report: to print.
        console: where to.
    """
    source, result = report.source, report.result
    table = Table(box=box.SIMPLE_HEAD, title=f"{source.name} → {result.name}", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("float", justify="right")
    table.add_column(report.recipe_name, justify="right", style="bold")
    table.add_column("", justify="right")
    for row in digest.rows(report):
        table.add_row(*(Text(text) for text in (row.name, row.before, row.after, row.change)))
    console.print(table)
    for finding in digest.findings(report):
        mark, style = _MARKS[finding.good]
        console.print(Text.assemble((f"{mark} ", style), (f"{finding.topic}: ", "dim"), finding.text), soft_wrap=True)
    for run in report.edge:
        console.print(Text(f"latency: {digest.conditions(run)}", style="dim"), soft_wrap=True)


def print_comparison(reports: Sequence[Report], console: Console) -> None:
    """Print several reports of one model, a row each.

    Args:
        reports: the first is what the others' latency is compared with, where one run of edge_runner timed both.
        console: where to.
    """
    timed = any(report.edge for report in reports)
    titles = ("recipe", "file", "gzip", "smaller", "non-zero", "accuracy", "95 %", "to float", "latency", "faster")
    shown = titles if timed else titles[:-2]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in shown:
        first = title == "recipe"
        table.add_column(title, justify="left" if first else "right", style="bold" if first else None, no_wrap=first)
    for report in reports:
        table.add_row(*(Text(text) for text in _cells(report, reports[0])[: len(shown)]))
    console.print(table)
    runs = {digest.conditions(run): None for report in reports for run in report.edge[-1:]}
    for text in runs:
        console.print(Text(f"latency: {text}", style="dim"), soft_wrap=True)
    for report in reports:
        for text in report.warnings:
            console.print(Text.assemble(("! ", "yellow"), f"{report.recipe_name}: {text}"), soft_wrap=True)


def _cells(report: Report, first: Report) -> list[str]:
    result, change = report.result, report.comparison
    run = report.edge[-1] if report.edge else None
    task = result.score.task if result.score else None
    return [
        report.recipe_name,
        wording.size(result.size_bytes),
        wording.size(result.gzip_bytes),
        wording.times(change.size_ratio),
        wording.count(result.nonzero),
        wording.score(result.score),
        wording.interval(result.score),
        wording.difference(change.accuracy_difference, task),
        wording.duration(run.result.median_ms if run else None),
        wording.times(_speedup(report, first)),
    ]


def _speedup(report: Report, first: Report) -> float | None:
    """Speed-up over the report's own float file, else over the first report's file; only within one run."""
    if not report.edge:
        return None
    run = report.edge[-1]
    if run.speedup is not None:
        return run.speedup
    same = [other for other in first.edge if other.created_utc == run.created_utc and other.device == run.device]
    return faster(same[-1].result, run.result) if same else None


def frame(reports: Sequence[Report]) -> Any:
    """Return the reports as a pandas DataFrame: a row each by recipe, a column a number, units in their names."""
    import pandas

    return pandas.DataFrame([_numbers(report) for report in reports]).set_index("recipe")


def _numbers(report: Report) -> dict[str, Any]:
    result, before, change = report.result, report.baseline, report.comparison
    run = report.edge[-1] if report.edge else None
    return {
        "recipe": report.recipe_name,
        "float_size_bytes": before.size_bytes if before else None,
        "size_bytes": result.size_bytes,
        "gzip_bytes": result.gzip_bytes,
        "size_ratio": change.size_ratio,
        "gzip_ratio": change.gzip_ratio,
        "parameters": result.parameters,
        "nonzero": result.nonzero,
        "parameter_ratio": change.parameter_ratio,
        "macs": result.macs,
        "float_score": before.score.main if before and before.score else None,
        "score": result.score.main if result.score else None,
        "accuracy_difference": change.accuracy_difference,
        "mcnemar_p": change.mcnemar_p,
        "latency_median_ms": run.result.median_ms if run else None,
        "speedup": change.speedup,
        "energy_joules": run.result.energy_joules if run else None,
    }
