"""What of edge_runner's documents stands in a table of several devices: every format, one row a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcompress.tasks.score import Score
from tfcompress.tasks.task_table import read_scores


@dataclass(frozen=True, kw_only=True)
class DeviceRow:
    """One model on one device; None is what was not measured.

    Attributes:
        model: the file's name, and how it was run where that is not the default.
        sha256: of the file.
        failure: why it was not measured; empty when it was.
        median_ms: median latency.
        p90_ms: 90th percentile of the latency.
        peak_bytes: peak memory of a fresh process.
        joules: of one inference.
        assumed: whether they come from a power that somebody assumed.
        against: how many times as fast as the first model, and the verdict (empty if one process could not decide).
        interval: of the former.
        score: of the first scored output.
    """

    model: str
    sha256: str | None
    failure: str = ""
    median_ms: float | None = None
    p90_ms: float | None = None
    peak_bytes: int | None = None
    joules: float | None = None
    assumed: bool = False
    against: tuple[float, str] | None = None
    interval: tuple[float, float] | None = None
    score: Score | None = None


def device_rows(document: Mapping[str, Any]) -> list[DeviceRow]:
    """Return the rows of a document, in its order."""
    pairs = {pair["second"]: pair for pair in document.get("comparisons") or () if pair["first"] == 0}
    return [_row(model, pairs.get(place)) for place, model in enumerate(document["models"])]


def device_conditions(document: Mapping[str, Any]) -> str:
    """Return the conditions without which a latency means nothing."""
    runtime, facts = document["runtime"], document["environment"]
    machine = facts["board"] or facts["cpu"] or facts["architecture"]
    return f"{runtime['name']} {runtime['version'] or ''} on {machine}, {facts['architecture']}, {facts['system']}"


def _row(model: Mapping[str, Any], pair: Mapping[str, Any] | None) -> DeviceRow:
    settings = model.get("settings") or {}
    threads, kernels = settings.get("threads", 1), settings.get("kernels", "default")
    names = [
        model["file"],
        *([f"{threads} threads"] if threads != 1 else []),
        *([kernels] if kernels != "default" else []),
    ]
    summary = (model["timing"] or {}).get("summary") or {}
    outputs = (model["accuracy"] or {}).get("outputs") or {}
    energy = model["energy"] or {}
    return DeviceRow(
        model=", ".join(names),
        sha256=model["sha256"],
        failure="" if model["status"] == "ok" else str(model["reason"]),
        median_ms=summary.get("median_ms"),
        p90_ms=summary.get("p90_ms"),
        peak_bytes=(model["memory"] or {}).get("peak_bytes"),
        joules=energy.get("joules_per_inference"),
        assumed=energy.get("kind") == "assumed",
        against=(pair["ratio"], pair["verdict"] or "") if pair else None,
        interval=(pair["low"], pair["high"]) if pair and pair["low"] is not None else None,
        score=read_scores(outputs),
    )
