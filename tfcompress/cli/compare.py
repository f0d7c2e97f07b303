"""``tfcompress compare``: what changed from one run to another, and a gate for pipelines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfcompress.errors import GateError, UsageError

if TYPE_CHECKING:
    from tfcompress.reports.changes import Change
    from tfcompress.reports.gate import Judged

HELP = """\
Compare two runs (folders that export wrote, or their report.json) quantity by quantity, and fail on conditions.

\b
  tfcompress compare old/ new/
  tfcompress compare old/ new/ --fail-if "accuracy_drop > 0.5pt" --fail-if "size > 1.05x"
  tfcompress compare old/ new/ --fail-if "p90_latency > 1.05x" --md >> "$GITHUB_STEP_SUMMARY"

A condition is NAME OP NUMBER[UNIT]. NAME is size, gzip, package, kernels, parameters, nonzero, macs, agreement,
median_latency, p90_latency, p99_latency, peak_memory, arena, energy, a figure of the task (top1, macro_f1, mae, ...) or
accuracy, which stands for the task's main figure; with _drop behind it, how much worse it became. OP is >, >=, < or <=.
x compares with the old run (1.05x: five percent more); KB, ms, pt (percentage points), dB are units of the value.

Where chance plays a part and the interval of the change has values on either side of the number, the condition is
"indistinguishable": it fails only with --strict. Latencies are compared between runs on the same device with the same
runtime. Exit code 12: a condition holds.
"""

_MARKS = {"fails": "✗", "passes": "✓", "indistinguishable": "≈", "not measured": "?"}


@click.command("compare", help=HELP, short_help="Compare two runs.")
@click.argument("before", metavar="OLD")
@click.argument("after", metavar="NEW")
@click.option(
    "--fail-if", "conditions", multiple=True, metavar="CONDITION", help="Fail where it holds. May be repeated."
)
@click.option("--strict", is_flag=True, help="Fail on what cannot be decided and on what was not measured, too.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown, for a pull request.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    before: str, after: str, conditions: tuple[str, ...], strict: bool, as_markdown: bool, as_json: bool
) -> None:
    if as_markdown and as_json:
        msg = "--md and --json: choose one"
        raise UsageError(msg)
    if strict and not conditions:
        msg = "--strict would do nothing: there is no --fail-if"
        raise UsageError(msg)
    from tfcompress.cli.terminal import terminal
    from tfcompress.reports.changes import changes
    from tfcompress.reports.findings import ranges_without_data
    from tfcompress.reports.gate import read_condition
    from tfcompress.reports.report import read_report

    one, two = read_report(Path(before)), read_report(Path(after))
    found = changes(one, two)
    marks = {side: told for side, report in (("old", one), ("new", two)) if (told := ranges_without_data(report))}
    judged = [read_condition(text, [change.name for change in found]).judge(found) for text in conditions]
    with terminal() as screen:
        if as_json:
            screen.write(json.dumps({**_plain(before, after, found, judged), "data_free": marks}, indent=1) + "\n")
        elif as_markdown:
            screen.write(_markdown(before, after, found, judged, marks))
        else:
            screen.write(_table(found, judged, marks))
    _complain(judged, strict=strict)


def _plain(before: str, after: str, found: Sequence[Change], judged: Sequence[Judged]) -> dict[str, object]:
    rows = [
        {
            "name": change.name,
            "before": change.before,
            "after": change.after,
            "kind": change.kind,
            "difference": change.difference,
            "ratio": change.ratio,
            "verdict": change.verdict or None,
        }
        for change in found
    ]
    told = [{"condition": each.condition.text, "outcome": each.outcome, "value": each.told or None} for each in judged]
    return {"before": before, "after": after, "changes": rows, "conditions": told}


def _rows(found: Sequence[Change]) -> list[tuple[str, str, str, str, str]]:
    return [
        (change.title, change.words(change.before), change.words(change.after), change.text, change.verdict)
        for change in found
    ]


def _table(found: Sequence[Change], judged: Sequence[Judged], marks: Mapping[str, str]) -> str:
    rows = [("", "old", "new", "change", ""), *_rows(found)]
    widths = [max(len(row[place]) for row in rows) for place in range(5)]
    lines = []
    for title, *values in rows:
        cells = [
            title.ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(values[:3], widths[1:], strict=False)),
        ]
        lines.append("  ".join((*cells, values[3])).rstrip())
    lines += [f"{side} is {told}" for side, told in marks.items()]
    lines += [_sentence(each) for each in judged]
    return "".join(f"{line}\n" for line in lines)


def _sentence(each: Judged) -> str:
    value = f": {each.told}" if each.told else ""
    return f"{_MARKS[each.outcome]} {each.condition.text}{value} ({each.outcome})"


def _markdown(
    before: str, after: str, found: Sequence[Change], judged: Sequence[Judged], marks: Mapping[str, str]
) -> str:
    lines = [f"| | {_cell(before)} | {_cell(after)} | change | |", "| --- | ---: | ---: | ---: | --- |"]
    lines += ["| " + " | ".join(_cell(text) for text in row) + " |" for row in _rows(found)]
    said = [*(f"{side} is {told}" for side, told in marks.items()), *map(_sentence, judged)]
    if said:
        lines += ["", *(f"- {_cell(text)}" for text in said)]
    return "".join(f"{line}\n" for line in lines)


def _cell(text: str) -> str:
    """Return text that stays within a cell of a Markdown table, and is text there."""
    for sign in "\\`*_<>|[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _complain(judged: Sequence[Judged], *, strict: bool) -> None:
    bad = ("fails", "indistinguishable", "not measured") if strict else ("fails",)
    failed = [each for each in judged if each.outcome in bad]
    if failed:
        msg = "; ".join(_sentence(each)[2:] for each in failed)
        raise GateError(msg)
