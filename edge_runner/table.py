"""What a person sees on standard error: what is under way, and a short table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

from edge_runner import wording
from edge_runner.document import NOT_ASKED

_COLUMNS = ("model", "size", "median", "p90", "p99", "first", "peak memory", "energy")
_ALWAYS = 4  # columns that are shown even when nothing in them was measured
_PAIRS_OF_ALL = 3
"""With more models than this, only the pairs with the first are shown; all are in the JSON."""
_NUMERIC = "0123456789-"
_VERDICTS = {
    "faster": "faster than {}",
    "slower": "slower than {}",
    "indistinguishable": "indistinguishable from {}",
    None: "against {}: one process cannot tell",
}
_REASON_CHARACTERS = 200
_OPS_SHOWN = 8


class Status:
    """One line that says what is under way, on a terminal only, gone at the end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shown = stream.isatty()

    def __enter__(self) -> Status:
        """Return the status itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the line away."""
        self.tell("")

    def tell(self, text: str) -> None:
        """Replace the line by *text*."""
        if self.shown:
            self.stream.write(f"\r\x1b[2K{wording.printable(text)[:100]}")
            self.stream.flush()


def render(document: dict[str, Any]) -> str:
    """Return the document's main numbers as a table, with comparisons, reasons and warnings below."""
    runtime, facts, models = document["runtime"], document["environment"], document["models"]
    where = facts["board"] or facts["cpu"] or facts["architecture"]
    lines = [f"{runtime['name']} {runtime['version'] or ''}, {_settings(models)}, on {where}"]
    rows = [_row(model) for model in models]
    shown = [name for place, name in enumerate(_COLUMNS) if place < _ALWAYS or any(row[name] != "-" for row in rows)]
    lines.extend(aligned_columns([shown, *([row[name] for name in shown] for row in rows)]))
    lines.extend(_pairs(document["comparisons"], [label(model) for model in models]))
    scores = [[label(model), wording.accuracy(model["accuracy"])] for model in models if model["accuracy"]]
    lines.extend(["", *aligned_columns([["scored", "accuracy, 95 % interval"], *scores])] if scores else [])
    for model in models:
        windows = (model["timing"] or {}).get("windows")
        if windows:
            rates = f"{windows['median_per_second']:,.1f} a second, {_ms(windows['median_ms'])} each"
            lines.append(f"{label(model)}: median of {len(windows['per_second'])} windows {rates}")
        if model["status"] != "ok":
            lines.append(f"{label(model)} failed: {_short(model['reason'])}")
        lines.extend(f"{label(model)}: {warning}" for warning in model["warnings"])
    lines.extend(_no_energy(models))
    lines.extend(wording.pairs(document["accuracy_comparisons"], [label(model) for model in models]))
    lines.extend(line for model in models if model["per_op"] for line in _ops(model))
    lines.extend(line for model in models if model["throughput"] for line in _throughput(model))
    lines.extend(document["warnings"])
    return "\n".join(map(wording.printable, lines))


def label(model: dict[str, Any]) -> str:
    """Return what to call a model: the file, and how it was run where that is not one thread and default kernels."""
    threads, kernels = model["settings"]["threads"], model["settings"]["kernels"]
    ways = (None if threads == 1 else f"{threads} threads", None if kernels == "default" else kernels)
    return ", ".join([model["file"], *filter(None, ways)])


def _settings(models: Sequence[dict[str, Any]]) -> str:
    ways = {(model["settings"]["threads"], model["settings"]["kernels"]) for model in models}
    if len(ways) != 1:
        return "several ways"
    threads, kernels = next(iter(ways))
    return f"threads {threads}, {kernels} kernels"


def _row(model: dict[str, Any]) -> dict[str, str]:
    timing, memory = model["timing"] or {}, model["memory"] or {}
    summary = timing.get("summary") or {}
    first = sorted(process["first_ns"] for process in timing.get("processes", ()))
    return {
        "model": label(model),
        "size": _bytes(model["size_bytes"]),
        "median": _ms(summary.get("median_ms")),
        "p90": _ms(summary.get("p90_ms")),
        "p99": _ms(summary.get("p99_ms")),
        "first": _ms(first[len(first) // 2] / 1e6 if first else None),
        "peak memory": _bytes(memory.get("peak_bytes")),
        "energy": _energy(model["energy"]),
    }


def _ops(model: dict[str, Any]) -> list[str]:
    """Return where the time goes, and what the delegate took and changed."""
    found, taken = model["per_op"], model["delegation"]
    if found["reason"]:
        return [f"{label(model)} by op: {found['reason']}"]
    rows = [
        (
            f"  {row['op']}",
            f"{row['nodes']} nodes",
            _ms(row["sum_ms"]),
            "-" if row["share"] is None else f"{row['share']:.1%}",
        )
        for row in found["by_type"][:_OPS_SHOWN]
    ]
    whole = f"sum {_ms(found['sum_ms'])}, whole {_ms(found['whole_ms'])}"
    lines = [f"{label(model)} by op, each node alone ({whole}):", *(aligned_columns(rows) if rows else [])]
    lines.extend(f"  {line}" for line in wording.untimed(found["nodes"]))
    if taken:
        by = "a delegate" if model["delegate"] == "none" else model["delegate"]
        lines.append(f"  {taken['delegated']} of {taken['nodes']} nodes run by {by}")
        lines.extend(f"  {_difference(entry)}" for entry in taken["difference"] or ())
    return lines


def _throughput(model: dict[str, Any]) -> list[str]:
    lines = [f"{label(model)}, samples a second:"]
    for entry in model["throughput"]:
        per_second = entry["per_second"]
        rate = _short(entry["reason"]) if per_second is None else f"{per_second:,.{0 if per_second >= 100 else 2}f}"
        lines.append(f"  batch {entry['batch']}, {entry['interpreters']} at once: {rate}")
    return lines


def _difference(entry: dict[str, Any]) -> str:
    if entry["different"] is None:
        return f"outputs could not be compared with {entry['compared_with']} kernels: {entry['reason']}"
    most = f"{entry['largest_steps']} steps" if entry["largest_steps"] is not None else f"{entry['largest']}"
    against = f"against {entry['compared_with']} kernels"
    return f"{entry['output']}: {entry['different']} of {entry['values']} values differ {against}, by at most {most}"


def _pairs(comparisons: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Return which model is how many times as fast as which, with an interval and a verdict."""
    rows = []
    for pair in comparisons:
        if len(names) <= _PAIRS_OF_ALL or pair["first"] == 0:
            interval = "-" if pair["low"] is None else f"{pair['low']:.3f}..{pair['high']:.3f}"
            verdict = _VERDICTS[pair["verdict"]].format(names[pair["first"]])
            rows.append([names[pair["second"]], f"{pair['ratio']:.3f}x", interval, verdict])
    if not rows:
        return []
    confidence = f"{comparisons[0]['confidence'] * 100:g} % interval"
    return ["", *aligned_columns([["compared", "times as fast", confidence, "verdict"], *rows])]


def _energy(energy: dict[str, Any]) -> str:
    joules, low = energy["joules_per_inference"], energy["low"]
    if joules is None:
        return "-"
    interval = "" if low is None else f" ({wording.digits(low * 1000, 4)}..{wording.digits(energy['high'] * 1000, 4)})"
    return f"{wording.digits(joules * 1000, 4)} mJ{interval}{' (assumed)' if energy['kind'] == 'assumed' else ''}"


def _no_energy(models: Sequence[dict[str, Any]]) -> list[str]:
    """Return why there is no energy, or none to rely on, where it was asked for; a line a reason."""
    reasons = [model["energy"]["reason"] for model in models if model["status"] == "ok"]
    return [f"energy: {reason}" for reason in dict.fromkeys(reasons) if reason not in (None, NOT_ASKED)]


def _short(reason: str) -> str:
    return reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}… (whole in the JSON)"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{wording.digits(value, 4)} ms" if value >= 0.1 else f"{wording.digits(value * 1000, 4)} µs"


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,} B" if value < 10_000_000 else f"{value / 1e6:.1f} MB"


def _is_number(cell: str) -> bool:
    return cell[0] in _NUMERIC and len(cell.split()) <= 2  # with a unit


def aligned_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines: numbers end below each other, words begin so."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = [all(map(_is_number, column)) for column in zip(*rows[1:])]
    return [
        "  ".join(
            text.rjust(width) if number else text.ljust(width) for text, width, number in zip(row, widths, numbers)
        ).rstrip()
        for row in rows
    ]
