"""What edge_runner measured, read from its JSON and joined to a report by the file's sha256.

This is the one place in tfcompress that knows its format; ``edge_runner/document.py`` writes it, and one golden
file per format number is read by both sides' tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runner.summary import median
from tfcompress import plain
from tfcompress.errors import UsageError
from tfcompress.reports.measurements import Compared, EdgeRun, MeasuredFile, Measurement, OpTime, PerOp
from tfcompress.reports.report import Report
from tfcompress.tasks.score import Score
from tfcompress.tasks.task_table import read_scores

FORMAT = 4
"""Newest format number this reader knows. It reads every older one too, by rewriting it; 1 is the first."""

Document = dict[str, Any]


def check_measurement(document: object, where: str) -> Document:
    """Return *document* as the newest format has it, if it is a measurement in a format that this version reads.

    Args:
        document: parsed JSON.
        where: how messages call it.

    Raises:
        UsageError: it is something else, of a newer format, or of an older one and not whole.
    """
    if not isinstance(document, dict) or document.get("tool") != "edge_runner":
        msg = f"{where} is not a measurement by edge_runner; give the file that `edge_runner -o` wrote"
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
    try:
        return _from_1(document) if number == 1 else {**document, "format": FORMAT}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(_not_whole(where, error)) from error


def _not_whole(where: str, error: Exception) -> str:
    return f"{where} is not a complete measurement by edge_runner: {type(error).__name__} {error}; measure again"


def _from_1(document: Document) -> Document:
    """Return a document of format 1 as the newest has it, as far as tfcompress reads it."""
    runtime = dict(document["runtime"])
    settings = {name: runtime.pop(name) for name in ("threads", "kernels")}
    models = [{**model, "settings": settings, **_timing_from_1(model)} for model in document["models"]]
    return {**document, "format": FORMAT, "runtime": runtime, "models": models, "comparisons": []}


def _timing_from_1(model: Mapping[str, Any]) -> Document:
    """Return timing and memory: one process then, and a turn of each model a round."""
    old, memory = model["timing"], model["memory"] or {}
    if old is None:
        return {}
    process = {name: old[name] for name in ("load_ns", "allocate_ns", "first_ns", "warmup_runs")}
    process |= {"start_to_first_ns": None} | {name: memory.get(name) for name in ("before_bytes", "peak_bytes")}
    blocks = [{"process": 0, "round": n, "runs": runs, "throttled": False} for n, runs in enumerate(old["blocks"])]
    moved = ("load_ns", "allocate_ns", "first_ns", "warmup_runs")
    kept = {name: value for name, value in old.items() if name not in moved}
    return {"timing": {**kept, "processes": [process], "blocks": blocks, "discarded_runs": 0}}


def read_measurement(path: Path) -> Document:
    """Read a file that edge_runner wrote.

    Raises:
        UsageError: no such file, not JSON, or what :func:`check_measurement` refuses.
    """
    try:
        document = plain.parse_json(plain.read_text(path, plain.JSON_BYTES))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        msg = f"measurement {str(path)!r} cannot be read: {reason}"
        raise UsageError(msg) from error
    return check_measurement(document, str(path))


def join_measurement(report: Report, document: Document, where: str = "the measurement") -> Report:
    """Return the report with a measurement of its file, and of its float baseline if that was measured along.

    Args:
        report: of the file.
        document: what edge_runner wrote.
        where: how messages call it.

    Raises:
        UsageError: the file with the report's sha256 is not in it, its measurement failed, or the document is broken.
    """
    try:
        run = _edge_run(report, check_measurement(document, where), where)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise UsageError(_not_whole(where, error)) from error
    speedup = run.speedup if run.speedup is not None else report.comparison.speedup
    comparison = dataclasses.replace(report.comparison, speedup=speedup)
    return dataclasses.replace(report, edge=(*report.edge, run), comparison=comparison)


def _edge_run(report: Report, document: Document, where: str) -> EdgeRun:
    places: dict[str, int] = {}
    for place, model in enumerate(document["models"]):
        places.setdefault(model["sha256"], place)  # a file measured several ways joins as it was first measured
    if report.result.sha256 not in places:
        measured = ", ".join(f"{m['file']} ({str(m['sha256'])[:12]}…)" for m in document["models"]) or "nothing"
        msg = (
            f"{where} must hold {report.result.name} with sha256 {report.result.sha256[:12]}…, got {measured}; "
            "measure the file that this report is about"
        )
        raise UsageError(msg)
    place = places[report.result.sha256]
    result = document["models"][place]
    if result["status"] != "ok":
        msg = f"{where}: measuring {report.result.name} failed on that device: {result['reason']}"
        raise UsageError(msg)
    float_place = places.get(report.baseline.sha256) if report.baseline and report.baseline.sha256 else None
    return _run_of(document, place, float_place, report.result.score)


def _run_of(document: Document, place: int, float_place: int | None, like: Score | None) -> EdgeRun:
    """Return what was measured of the model at *place*, beside the float file at *float_place*."""
    result = document["models"][place]
    baseline = None if float_place is None else document["models"][float_place]
    facts, runtime, settings = document["environment"], document["runtime"], result["settings"]
    return EdgeRun(
        created_utc=document["created_utc"],
        device=facts["board"] or facts["cpu"],
        cpu=facts["cpu"],
        architecture=facts["architecture"],
        runtime=runtime["name"],
        runtime_version=runtime["version"],
        delegate=result["delegate"],
        threads=settings["threads"],
        environment={**facts, "kernels": settings["kernels"], "options": document["options"]},
        result=_measurement(result, like),
        baseline=_measurement(baseline, like) if baseline and baseline["status"] == "ok" else None,
        compared=None if float_place is None else _compared(document["comparisons"], float_place, place),
        warnings=tuple(document["warnings"]),
    )


def measured_files(document: Document, where: str = "the measurement") -> list[MeasuredFile]:
    """Return every file that a document holds measurements of, in its order; those that failed are left out.

    Args:
        document: what edge_runner wrote.
        where: how messages call it.

    Raises:
        UsageError: the document is broken.
    """
    try:
        checked = check_measurement(document, where)
        return [
            MeasuredFile(
                name=model["file"],
                size_bytes=model["size_bytes"],
                run=_run_of(checked, place, None, None),
                per_op=_per_op(model.get("per_op")),
            )
            for place, model in enumerate(checked["models"])
            if model["status"] == "ok" and model["timing"] is not None
        ]
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise UsageError(_not_whole(where, error)) from error


def _per_op(entry: Mapping[str, Any] | None) -> PerOp | None:
    if entry is None or not entry["nodes"]:
        return None
    return PerOp(
        method=str(entry["method"]),
        sum_ms=entry["sum_ms"],
        whole_ms=entry["whole_ms"],
        nodes=tuple(
            OpTime(
                op=str(node["op"]),
                output=str(node["output"]),
                median_ms=node["median_ms"],
                share=node["share"],
                reason=node["reason"],
            )
            for node in entry["nodes"]
        ),
    )


def _compared(comparisons: Sequence[Mapping[str, Any]], before: int, after: int) -> Compared | None:
    """Return edge_runner's own verdict on *after* against *before*, turned round if it compared them the other way."""
    opposite = {"faster": "slower", "slower": "faster"}
    for pair in comparisons:
        ratio, low, high, verdict = pair["ratio"], pair["low"], pair["high"], pair["verdict"]
        if (pair["first"], pair["second"]) == (before, after):
            return Compared(ratio=ratio, low=low, high=high, confidence=pair["confidence"], verdict=verdict)
        if (pair["first"], pair["second"]) == (after, before):
            ends = (None, None) if low is None or high is None else (1 / high, 1 / low)
            turned = opposite.get(verdict, verdict)
            return Compared(ratio=1 / ratio, low=ends[0], high=ends[1], confidence=pair["confidence"], verdict=turned)
    return None


def _measurement(model: Mapping[str, Any], like: Score | None) -> Measurement:
    timing, energy, processes = model["timing"], model["energy"], model["timing"]["processes"]
    accuracy = model["accuracy"] or {"outputs": {}}
    return Measurement(
        sha256=model["sha256"],
        samples_ns=tuple(timing["samples_ns"]),
        summary=dict(timing["summary"]),
        blocks=tuple(block["runs"] for block in timing["blocks"] if not block["throttled"]),
        load_ms=median([process["load_ns"] + process["allocate_ns"] for process in processes]) / 1e6,
        first_ms=median([process["first_ns"] for process in processes]) / 1e6,
        warmup_runs=processes[0]["warmup_runs"],
        peak_memory_bytes=model["memory"]["peak_bytes"],
        planned_arena_bytes=model["memory"].get("planned_arena_bytes"),
        energy_joules=energy["joules_per_inference"] if energy.get("kind") == "measured" else None,
        score=read_scores(accuracy["outputs"], like),
        warnings=tuple(model["warnings"]),
        op_ms=tuple(node["median_ms"] for node in (model.get("per_op") or {"nodes": ()})["nodes"]),
    )
