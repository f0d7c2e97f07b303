"""What edge_runner measured, read from its JSON and joined to a report by the file's sha256.

This is the one place in tfcompress that knows its format; ``edge_runner/document.py`` writes it, and one golden
file per format number is read by both sides' tests.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfcompress.errors import UsageError
from tfcompress.reports.entries import Score
from tfcompress.reports.measurements import EdgeRun, Measurement
from tfcompress.reports.report import Report

FORMAT = 1
"""Newest format number this reader knows. It reads every older one too; 1 is the first."""

Document = dict[str, Any]


def check(document: object, where: str) -> Document:
    """Return *document* if it is a measurement in a format that this version reads.

    Args:
        document: parsed JSON.
        where: how messages call it.

    Raises:
        UsageError: it is something else, or of a newer format.
    """
    if not isinstance(document, dict) or document.get("tool") != "edge_runner":
        msg = f"{where} is no measurement of edge_runner; give the file that `edge_runner -o` wrote"
        raise UsageError(msg)
    number = document.get("format")
    if type(number) is int and number > FORMAT:
        msg = (
            f"{where}: format must be at most {FORMAT}, got {number}; a newer edge_runner wrote it: upgrade tfcompress"
        )
        raise UsageError(msg)
    if type(number) is not int or number < 1:
        msg = f"{where}: format must be a whole number between 1 and {FORMAT}, got {number!r}"
        raise UsageError(msg)
    if not isinstance(document.get("models"), list):
        msg = f"{where}: models must be a list, got {document.get('models')!r:.80}"
        raise UsageError(msg)
    return document


def load(path: Path) -> Document:
    """Read a file that edge_runner wrote.

    Raises:
        UsageError: no such file, not JSON, or what :func:`check` refuses.
    """
    try:
        return check(json.loads(path.read_text("utf-8")), str(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        msg = f"measurement {str(path)!r} cannot be read: {reason}"
        raise UsageError(msg) from error


def join(report: Report, document: Document, where: str = "the measurement") -> Report:
    """Return the report with a measurement of its file, and of its float baseline if that was measured along.

    Args:
        report: of the file.
        document: what edge_runner wrote.
        where: how messages call it.

    Raises:
        UsageError: the file with the report's sha256 is not in it, its measurement failed, or the document is broken.
    """
    try:
        run = _edge_run(report, check(document, where), where)
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{where} is no whole measurement of edge_runner: {type(error).__name__} {error}; measure again"
        raise UsageError(msg) from error
    speedup = run.speedup if run.speedup is not None else report.comparison.speedup
    comparison = dataclasses.replace(report.comparison, speedup=speedup)
    return dataclasses.replace(report, edge=(*report.edge, run), comparison=comparison)


def _edge_run(report: Report, document: Document, where: str) -> EdgeRun:
    by_hash = {model["sha256"]: model for model in document["models"]}
    if report.result.sha256 not in by_hash:
        measured = ", ".join(f"{m['file']} ({str(m['sha256'])[:12]}…)" for m in document["models"]) or "nothing"
        msg = (
            f"{where} must hold {report.result.name} with sha256 {report.result.sha256[:12]}…, got {measured}; "
            "measure the file that this report is about"
        )
        raise UsageError(msg)
    result = by_hash[report.result.sha256]
    if result["status"] != "ok":
        msg = f"{where}: measuring {report.result.name} failed on that device: {result['reason']}"
        raise UsageError(msg)
    float_hash = report.baseline.sha256 if report.baseline else None
    baseline = by_hash.get(float_hash) if float_hash else None
    facts, runtime = document["environment"], document["runtime"]
    return EdgeRun(
        created_utc=document["created_utc"],
        device=facts["board"] or facts["cpu"],
        cpu=facts["cpu"],
        architecture=facts["architecture"],
        runtime=runtime["name"],
        runtime_version=runtime["version"],
        delegate=result["delegate"],
        threads=runtime["threads"],
        environment={**facts, "kernels": runtime["kernels"], "options": document["options"]},
        result=_measurement(result),
        baseline=_measurement(baseline) if baseline and baseline["status"] == "ok" else None,
        warnings=tuple(document["warnings"]),
    )


def _measurement(model: Mapping[str, Any]) -> Measurement:
    timing = model["timing"]
    accuracy = model["accuracy"] or {"outputs": {}}
    scores = [Score.from_dict(score) for score in accuracy["outputs"].values()]
    return Measurement(
        sha256=model["sha256"],
        samples_ns=tuple(timing["samples_ns"]),
        summary=dict(timing["summary"]),
        blocks=tuple(timing["blocks"]),
        load_ms=(timing["load_ns"] + timing["allocate_ns"]) / 1e6,
        first_ms=timing["first_ns"] / 1e6,
        warmup_runs=timing["warmup_runs"],
        peak_memory_bytes=model["memory"]["peak_bytes"],
        energy_joules=model["energy"]["joules_per_inference"],
        score=scores[0] if len(scores) == 1 else None,
        warnings=tuple(model["warnings"]),
    )
