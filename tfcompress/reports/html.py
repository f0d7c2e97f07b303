"""The report as one self-contained page: opened from a disk or a mail, without network and without scripts."""

from __future__ import annotations

import json
from html import escape

from tfcompress.reports import codec, wording
from tfcompress.reports import findings as digest
from tfcompress.reports.charts import CHARTS
from tfcompress.reports.layer_table import layer_table
from tfcompress.reports.markup import NAME, NUMBER, VALUE, html_page, html_section, html_table
from tfcompress.reports.report import Report
from tfcompress.tasks.figures import figure_kind

_CELL = "tfcompress-report"
"""CSS class of what a notebook shows."""


def to_html(report: Report) -> str:
    """Return the page.

    Args:
        report: what to show; measurements on devices are shown where the report has them.
    """
    drawn = [(chart.wide, html_section(chart.title, chart.draw(report), wide=chart.wide)) for chart in CHARTS.values()]
    halves = [*(text for wide, text in drawn if not wide), html_section("Ops of the file", _operators(report))]
    even = sum(map(bool, halves)) % 2 == 0
    sections = [
        html_section("Before and after", _comparison(report), wide=True),
        *halves,
        html_section("Findings", _findings(report), wide=even),
        *(text for wide, text in drawn if wide),
        html_section("Where it came from", _provenance(report), wide=True),
        html_section("Layers of the source model", layer_table(report.source.layers), wide=True),
        html_section("Recipe, data, verification", _recipe(report), wide=True),
    ]
    body = f'{_header(report)}\n{_tiles(report)}\n<div class="grid">\n{"".join(sections)}</div>\n'
    return html_page(report.result.name, body)


def _header(report: Report) -> str:
    made = f"{report.source.name} → {report.recipe_name}, tfcompress {report.tool_version}, {report.created_utc}"
    return f"<header><p>{escape(made)}</p><h1>{escape(report.result.name)}</h1></header>"


def _tiles(report: Report) -> str:
    change, result = report.comparison, report.result
    score = result.score
    tiles = [
        (
            wording.size(result.size_bytes),
            "file",
            digest.changed("smaller than float", "larger than float", change.size_ratio),
        ),
        (wording.main_figure(score), "accuracy", "no test data was given"),
    ]
    if score is not None:
        moved = _against(wording.figure_difference(change.main), "to float")
        tiles[1] = (wording.figure(score.main_figure), figure_kind(score.main).meaning, moved)
    run = report.edge[-1] if report.edge else None
    if run:
        where = f"on {run.device or run.architecture}"
        faster = ", ".join(filter(None, (digest.changed("faster", "slower", run.speedup), where)))
        tiles.append((wording.duration(run.result.median_ms), "median latency", faster))
    else:
        tiles.append((wording.NONE, "latency", "not measured yet: run edge_runner on the device"))
    joules = run.result.energy_joules if run else None
    tiles.append((wording.joules(joules), "energy of an inference", "" if joules else "not measured"))
    cells = (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(big)}</b><span>{escape(small)}</span></div>'
        for big, name, small in tiles
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def _against(text: str, words: str) -> str:
    return "" if text == wording.NONE else f"{text} {words}"


def to_cell(report: Report) -> str:
    """Return the comparison alone, for the cell of a notebook."""
    title = f"<b>{escape(report.source.name)} → {escape(report.result.name)}</b>"
    style = f"<style>.{_CELL} .number {{ text-align: right; }} .{_CELL} .name {{ text-align: left; }}</style>"
    return f'<div class="{_CELL}">{style}{title}{_comparison(report)}</div>'


def _comparison(report: Report) -> str:
    body = ((row.name, row.before, row.after, row.change) for row in digest.quantities(report))
    return html_table(("", "float", report.recipe_name, ""), body, (f"{NAME} first", NUMBER, NUMBER, NUMBER))


def _findings(report: Report) -> str:
    names = {True: "good", False: "bad", None: ""}
    items = (
        f'<li class="{names[one.good]}"><em>{escape(one.topic)}</em>{escape(one.text)}</li>'
        for one in digest.findings(report)
    )
    inner = "".join(items)
    return f"<ul>{inner}</ul>" if inner else ""


def _operators(report: Report) -> str:
    ordered = sorted(report.result.operators.items(), key=lambda item: -item[1])
    return html_table(("op", "times"), ((name, f"{n:,}") for name, n in ordered), (NAME, NUMBER)) if ordered else ""


def _provenance(report: Report) -> str:
    machine, source = report.machine, report.source
    rows = [
        ("model", f"{source.name}, written by {source.writer} {source.writer_version or ''}".strip()),
        ("its SHA-256", source.sha256 or wording.NONE),
        ("result's SHA-256", report.result.sha256),
        ("engine", report.engine or "none: nothing was trained"),
        ("seeds", ", ".join(f"{name} {seed}" for name, seed in report.seeds.items()) or wording.NONE),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)),
        ("made on", f"{machine.cpu or machine.architecture}, {machine.cores or '?'} cores, {machine.system}"),
        (
            "took",
            ", ".join(f"{phase} {wording.seconds(wall)}" for phase, wall in report.wall_seconds.items())
            or wording.NONE,
        ),
    ]
    if report.data:
        rows.insert(
            1, ("data", f"{report.data.get('source', '')}, SHA-256 {report.data.get('sha256') or wording.NONE}")
        )
    return html_table(("", ""), rows, (NAME, VALUE))


def _recipe(report: Report) -> str:
    checked = {name: value for name, value in report.result.verification.items() if name != "tensor_names"}
    shown = {"recipe": report.recipe, "data": report.data, "verification": checked}
    parts = []
    for name, value in shown.items():
        if value:
            text = escape(json.dumps(codec.to_plain(value), indent=1, ensure_ascii=False))
            parts.append(f"<details><summary>{name}</summary><pre><code>{text}</code></pre></details>")
    return "".join(parts)
