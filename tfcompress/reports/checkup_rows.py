"""What ``tfcompress doctor`` found, as rows and lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from tfcompress.reports.checkup_facts import CheckupFacts, LayerCheck

COLUMNS = ("layer", "kind", "output", "engine", "int8", "becomes", "parameters", "kurtosis", "spread")
"""Titles of :func:`layer_rows`; the last two are of the values, or of the kernel where there are no samples."""


def layer_rows(facts: CheckupFacts) -> list[tuple[str, ...]]:
    """Return the table as text, in the order of the calls."""
    return [
        (
            check.layer,
            check.kind,
            "x".join("any" if size is None else str(size) for size in check.output_shape),
            check.engine,
            {True: "yes", False: "no", None: "?"}[check.int8],
            _becomes(check),
            f"{check.parameters:,}",
            _number(check.kernel_kurtosis, check.value_kurtosis),
            _number(check.kernel_spread, check.value_spread),
        )
        for check in facts.layers
    ]


def _becomes(check: LayerCheck) -> str:
    if not check.becomes:
        return ""
    return ", ".join(check.becomes) if len(check.becomes) <= 3 else f"{len(check.becomes)} ops"


def _number(kernel: float | None, value: float | None) -> str:
    chosen = kernel if value is None else value
    return "" if chosen is None else f"{chosen:,.1f}"


def offer_lines(facts: CheckupFacts) -> Iterator[str]:
    """Give a line for each rewrite, and what to do about them."""
    for offer in facts.rewrites:
        if offer.proven:
            done = "rewritten" if facts.written else "can be rewritten"
            yield f"{done}: {offer.layer}: {offer.what}; outputs differ by {offer.difference:.0e} of the largest"
        else:
            yield f"left as it is: {offer.layer}: {offer.what}, but outputs differ by {offer.difference:.0e}"
    if facts.written:
        yield f"written: {facts.written}"
    elif any(offer.proven for offer in facts.rewrites):
        yield "give --rewrite -o OUT.keras to have it done, for export: what acts in training only is gone then"


def target_lines(facts: CheckupFacts) -> Iterator[str]:
    """Give a line on what the file would be on the target, where one was named."""
    found = facts.target
    if found is None:
        return
    parts = [f"a file of {_of(found.file_bytes, found.most_file_bytes)} (quantize {found.quantize})"]
    if found.arena_bytes is not None:
        by = "planned from the file" if found.arena_by == "planned" else f"by {found.arena_by}"
        parts.append(f"tensors of {_of(found.arena_bytes, found.most_arena_bytes)} ({by})")
    yield f"on {found.name}: {', '.join(parts)}; files for it may be {', '.join(found.schemes)}"


def _of(size_bytes: int, most: float | None) -> str:
    return f"{size_bytes:,} bytes" if most is None else f"{size_bytes:,} of {most:,.0f} bytes"
