"""What a person sees on standard error: what is under way, and a short table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

_COLUMNS = ("model", "size", "median", "p90", "p99", "first", "peak memory", "accuracy")
_REASON_CHARACTERS = 200


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
            self.stream.write(f"\r\x1b[2K{text[:100]}")
            self.stream.flush()


def render(document: dict[str, Any]) -> str:
    """Return the document's main numbers as a table, with reasons and warnings below."""
    runtime = document["runtime"]
    facts = document["environment"]
    head = (
        f"{runtime['name']} {runtime['version'] or ''}, threads {runtime['threads']}, {runtime['kernels']} kernels, on "
    )
    lines = [head + str(facts["board"] or facts["cpu"] or facts["architecture"])]
    lines.extend(_aligned([_COLUMNS, *(_row(model) for model in document["models"])]))
    for model in document["models"]:
        if model["status"] != "ok":
            lines.append(f"{model['file']} failed: {_short(model['reason'])}")
        lines.extend(f"{model['file']}: {warning}" for warning in model["warnings"])
    lines.extend(document["warnings"])
    return "\n".join(lines)


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    timing, memory = model["timing"] or {}, model["memory"] or {}
    summary = timing.get("summary") or {}
    first = timing.get("first_ns")
    return (
        model["file"],
        _bytes(model["size_bytes"]),
        _ms(summary.get("median_ms")),
        _ms(summary.get("p90_ms")),
        _ms(summary.get("p99_ms")),
        _ms(None if first is None else first / 1e6),
        _bytes(memory.get("peak_bytes")),
        _accuracy(model["accuracy"]),
    )


def _accuracy(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None:
        return "-"
    shown = []
    for scores in accuracy["outputs"].values():
        if scores["top1"] is None:
            shown.append(f"MAE {scores['mae']:.4g}")
        else:
            interval = f"{scores['top1_low']:.2%}..{scores['top1_high']:.2%}"
            shown.append(f"{scores['top1']:.2%} ({interval}, {scores['samples']} samples)")
    return "; ".join(shown)


def _short(reason: str) -> str:
    return reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}… (whole in the JSON)"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g} ms" if value >= 0.1 else f"{value * 1000:.4g} µs"


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,} B" if value < 10_000_000 else f"{value / 1e6:.1f} MB"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
