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
