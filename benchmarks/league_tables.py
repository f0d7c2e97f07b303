"""The tables of :mod:`benchmarks.league`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.native_qat import percent, table

HEAD = ("system", "file", "top-1", "bytes", "time / float TFLite", "CPU seconds to make")
NONE = "-"


def league_page(about: Mapping[str, str], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the part of docs/league.md that is measured.

    Args:
        about: what is done with each system.
        results: by network, what each system made: ``rows``, ``images`` and ``versions``, or ``refusal``.
    """
    parts = []
    for network, found in results.items():
        rows = [line for name, made in found.items() for line in lines_of(name, made)]
        images = max((made.get("images", 0) for made in found.values()), default=0)
        parts += [f"## {network}, {images:,} test images", table(HEAD, rows), *refusals(found), *notes(found)]
    parts.append("\n".join(f"- *{name}*: {text}." for name, text in about.items()))
    return "\n\n".join(parts)


def lines_of(name: str, made: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of one system that has files."""
    return [
        (
            name,
            row["name"],
            percent(row.get("top1"), 2),
            f"{row['bytes']:,} B",
            ratio_text(row),
            f"{row['cpu_seconds']:.1f}" if row["cpu_seconds"] else NONE,
        )
        for row in made.get("rows", ())
        if row.get("file")
    ]


def ratio_text(row: Mapping[str, Any]) -> str:
    """Return a ratio of latencies with the quarters around it."""
    if row.get("ratio") is None:
        return NONE
    return f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"


def refusals(found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each system that made nothing."""
    return [f"*{name}* is not in the table: {made['refusal']}." for name, made in found.items() if "refusal" in made]


def notes(found: Mapping[str, Any]) -> list[str]:
    """Return what else was found: multiply-accumulates, how latencies were measured, versions."""
    counts = {name: row["macs"] for name, made in found.items() for row in made.get("rows", ()) if row.get("macs")}
    lines = []
    if counts:
        told = ", ".join(f"{count:,} by {name}" for name, count in counts.items())
        lines.append(f"Multiply-accumulates of one image: {told}.")
    timed = next((row for made in found.values() for row in made.get("rows", ()) if row.get("ratio")), None)
    if timed is not None:
        low, high = timed["load"]
        lines.append(
            f"Time: median (and quarters) over {timed['rounds']} rounds of the ratio to the float TFLite file in the "
            f"same round, one thread; the machine's load was {low} before and {high} after ({timed['at']})."
        )
    versions = {package: text for made in found.values() for package, text in made.get("versions", {}).items()}
    lines.append(", ".join(f"{package} {text}" for package, text in versions.items()) + ".")
    return lines
