"""One run as a part of a page: what was paid, how it was made, and how it is made again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any

from edge_runner.wording import digits
from tfcompress.errors import UsageError
from tfcompress.reports import wording
from tfcompress.reports.charts import CHARTS
from tfcompress.reports.curve_chart import curve_chart, curve_families
from tfcompress.reports.findings import findings, quantities
from tfcompress.reports.layer_change_table import layer_change_table
from tfcompress.reports.layer_table import layer_table
from tfcompress.reports.markup import NAME, NUMBER, VALUE, html_note, html_table, scrolling
from tfcompress.reports.measurements import PerOp
from tfcompress.reports.picture_sections import activations_part, answers_part, confusion_part, weights_part
from tfcompress.reports.report import Report
from tfcompress.reports.run_records import RunRecord
from tfcompress.reports.same_again import OLDER, again, beyond_words

_OPS = 30
"""How many ops are listed: the slowest."""


@dataclass(frozen=True)
class Part:
    """A part of a run's details.

    Attributes:
        title: its heading.
        content: HTML; empty: the run has nothing of it, and the part is left out.
    """

    title: str
    content: Callable[[RunRecord], str]


PARTS: dict[str, Part] = {}
"""By name, in the order in which the page shows them; filled below."""


def run_details(record: RunRecord, anchor: str, *, is_open: bool) -> str:
    """Return everything about a run, behind a line that opens it.

    Args:
        record: the run.
        anchor: what links to it use.
        is_open: whether it is shown from the start.

    Raises:
        UsageError: what the report says about its verification is not what a run writes there.
    """
    report = record.report
    try:
        parts = [(part.title, part.content(record)) for part in PARTS.values()]
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        msg = f"{str(record.folder)!r}: the report of {record.name} is not whole: {type(error).__name__} {error}"
        raise UsageError(msg) from error
    body = "".join(f"<h3>{escape(title)}</h3>{content}" for title, content in parts if content)
    said = [wording.size(report.result.size_bytes)]
    if report.result.score:
        said.append(wording.main_figure(report.result.score))
    moved = wording.figure_difference(report.comparison.main)
    if moved != wording.NONE:
        said.append(f"{moved} to float")
    if report.edge:
        said.append(f"{wording.duration(report.edge[-1].result.median_ms)} median latency")
    line = f"<b>{escape(record.name)}</b><span>{escape(', '.join(said))}</span>"
    start = f'<details class="run" id="{escape(anchor)}"{" open" if is_open else ""}>'
    return f"{start}<summary>{line}</summary>{body}</details>\n"


def _paid(record: RunRecord) -> str:
    rows = ((row.name, row.before, row.after, row.change) for row in quantities(record.report))
    return html_table(("", "float", "result", ""), rows, (f"{NAME} first", NUMBER, NUMBER, NUMBER))


def _found(record: RunRecord) -> str:
    names = {True: "good", False: "bad", None: ""}
    items = (
        f'<li class="{names[one.good]}"><em>{escape(one.topic)}</em>{escape(one.text)}</li>'
        for one in findings(record.report)
    )
    inner = "".join(items)
    return f"<ul>{inner}</ul>" if inner else ""


def _layers(record: RunRecord) -> str:
    promises = record.report.result.promises
    rows = [(p.layer, p.what, _value(p.asked), _value(p.got)) for p in promises]
    kept = html_table(("layer", "promised", "asked", "got"), rows, (NAME, NAME, NUMBER, NUMBER)) if rows else ""
    table = layer_change_table(record.report)
    if table:
        return table + kept
    given = layer_table(record.report.source.layers)
    note = html_note("The model as it was given: this report is older than the table of what became of its layers.")
    return (given + note if given else "") + kept


def _value(value: object) -> str:
    return digits(value, 4) if isinstance(value, float) else "" if value is None else str(value)


def _training(record: RunRecord) -> str:
    done = record.report.training
    if done is None:
        return ""
    drawn = "".join(
        f"<figure><figcaption><b>{escape(name)}</b></figcaption>{scrolling(curve_chart(name, curves))}</figure>"
        for name, curves in curve_families(done.history).items()
    )
    said = [
        f"{done.epochs} epoch{'' if done.epochs == 1 else 's'} of {wording.count(done.samples)} samples",
        wording.seconds(done.wall_seconds),
        *done.notes,
    ]
    return (f'<div class="pair">{drawn}</div>' if drawn else "") + html_note("; ".join(said))


def _ops(record: RunRecord) -> str:
    layers = {place: each.name or each.tensor for each in record.report.result.layers for place in each.places}
    return "".join(f"<h4>{escape(conditions)}</h4>{per_op_table(ops, layers)}" for conditions, ops in record.per_op)


def per_op_table(found: PerOp, layers: Mapping[int, str] = MappingProxyType({})) -> str:
    """Return the slowest ops with their times and shares.

    Args:
        found: the ops.
        layers: names of the layers that ops belong to, by the op's place; of others the tensor that it makes is named.
    """
    slowest = sorted(enumerate(found.nodes), key=lambda item: -(item[1].median_ms or 0.0))
    rows = [
        (
            node.op,
            layers.get(place) or node.output,
            wording.duration(node.median_ms) if node.median_ms is not None else wording.NONE,
            wording.percent(node.share, 1) if node.share is not None else (node.reason or wording.NONE),
        )
        for place, node in slowest[:_OPS]
    ]
    more = f" {len(slowest) - _OPS} faster ones are not listed." if len(slowest) > _OPS else ""
    whole = f"All ops {wording.duration(found.sum_ms)}, the whole file {wording.duration(found.whole_ms)}."
    table = html_table(("op", "layer, or what it makes", "median", "share"), rows, (NAME, VALUE, NUMBER, NUMBER))
    return table + html_note(f"{whole}{more} {found.method[0].upper()}{found.method[1:]}.")


def _environment(record: RunRecord) -> str:
    report = record.report
    machine = report.machine
    rows = [
        ("made", f"{report.created_utc} by tfcompress {report.tool_version}"),
        ("made on", f"{machine.cpu or machine.architecture}, {machine.cores or '?'} cores, {machine.system}"),
        ("engine", report.engine or "none: nothing was trained"),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)),
        ("seeds", ", ".join(f"{name} {seed}" for name, seed in report.seeds.items()) or wording.NONE),
        ("model", f"{report.source.name}, SHA-256 {report.source.sha256 or wording.NONE}"),
        ("file", f"{report.result.name}, SHA-256 {report.result.sha256}"),
    ]
    if report.data:
        rows.append(("data", f"{report.data.get('source', '')}, SHA-256 {report.data.get('sha256') or wording.NONE}"))
    rows += [(f"measured {run.created_utc}", run.conditions) for run in report.edge]
    took = ", ".join(f"{phase} {wording.seconds(wall)}" for phase, wall in report.wall_seconds.items())
    if took:
        rows.append(("took", took))
    return html_table(("", ""), rows, (NAME, VALUE))


def _recipe(record: RunRecord) -> str:
    text = recipe_toml(record.report.recipe)
    report = record.report
    command = shlex.join(again(report, record.folder))
    lines = list(beyond_words(report))
    lines += [OLDER] if report.data and "reading" not in report.data else []
    note = "".join(html_note(f"{line[:1].upper()}{line[1:].rstrip('.')}.") for line in lines)
    again_part = f"<pre><code>{escape(command)}</code></pre>{note}"
    return f"{again_part}<details><summary>recipe.toml</summary><pre><code>{escape(text)}</code></pre></details>"


def recipe_toml(recipe: Mapping[str, Any]) -> str:
    """Return a report's recipe as TOML text that ``tfcompress export --recipe`` takes."""
    import tomli_w

    return tomli_w.dumps({key: _without_none(value) for key, value in recipe.items() if value is not None})


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_without_none(one) for one in value if one is not None]
    return value


def _chart(name: str) -> Callable[[RunRecord], str]:
    def drawn(record: RunRecord) -> str:
        return CHARTS[name].draw(record.report)

    return drawn


def _confusion(record: RunRecord) -> str:
    return confusion_part(record.report, record.pictures)


def _weights(record: RunRecord) -> str:
    return weights_part(record.pictures) if record.pictures else ""


def _activations(record: RunRecord) -> str:
    return activations_part(record.pictures) if record.pictures else ""


def _answers(record: RunRecord) -> str:
    return "" if _is_float(record.report) else answers_part(record.pictures)


def _is_float(report: Report) -> bool:
    return report.baseline is None and report.result.quantize == "none" and not report.engine


PARTS |= {
    "paid": Part("Before and after", _paid),
    "found": Part("Findings", _found),
    "layers": Part("Layer by layer", _layers),
    "latency": Part("Latency", _chart("latency")),
    "ops": Part("Time by op", _ops),
    "training": Part("Training", _training),
    "weights": Part("Weights before and after", _weights),
    "activations": Part("Activations before and after", _activations),
    "confusion": Part("Confusion before and after", _confusion),
    "answers": Part("Samples whose answer changed", _answers),
    "ways": Part("Ways to int8 that were tried", _chart("ways")),
    "mixed": Part("Mixed precision", _chart("mixed")),
    "drop": Part("Ways that were tried to lose no more", _chart("drop")),
    "environment": Part("Environment", _environment),
    "again": Part("The same again", _recipe),
}
