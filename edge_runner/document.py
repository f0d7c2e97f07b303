"""The JSON document: its keys and its format number.

Units are in the keys' names; what was not measured is null. ``schema.json`` beside this file describes it for others.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import mmap
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runner import arena, environment, flatbuffer, graph, summary, wording
from edge_runner.arguments import Options

FORMAT = 4
"""Number of the format. A key that is added, removed or changes its meaning makes a new number.

History:
    1: first.
    2: a model may be measured several ways, so threads and kernels stand in each entry (``settings``) and no longer in
       ``runtime``; timings come from several processes (``timing.processes`` holds what was ``load_ns``,
       ``allocate_ns``, ``first_ns`` and ``warmup_runs``) and ``blocks`` says of each turn which; comparisons of speed
       and of accuracy, windows, pre- and postprocessing, throughput, time by op, what the delegate took, the planned
       arena, an interval of the energy, heat; of scores the confusion, IoU and area under the curve; of files the ops.
    3: a score has, beside the keys of format 2, those figures of its task that were measured, by the names of
       ``tfcompress.tasks.figures.FIGURES``.
    4: a model may come in a package, whose codec and size stand in ``package``; hash and size are those of the file
       in it.
"""
NOT_ASKED = "not asked for; --energy measures it where something measures power"
_SCORE = ("task", "samples", "top1", "top1_low", "top1_high", "top5", "mae", "rmse", "threshold", "per_class")
_SCORE_2 = ("confusion", "mean_iou", "class_iou", "auc", "predictions")
_STARTUP = ("load_ns", "allocate_ns", "first_ns")


def start(options: Options) -> dict[str, Any]:
    """Return the document as it stands before anything is measured and a runtime is chosen."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "format": FORMAT,
        "tool": "edge_runner",
        "created_utc": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "options": _options(options),
        "runtime": None,
        "environment": {**environment.fixed(), "numpy": None, "before": environment.changing(), "after": None},
        "start_to_first_ms": None,
        "models": [],
        "comparisons": [],
        "accuracy_comparisons": [],
        "warnings": [],
    }


def _options(options: Options) -> dict[str, Any]:
    return {
        "mode": options.mode,
        "runs": options.runs,
        "seconds": options.seconds,
        "warmup_runs": options.warmup,
        "processes": options.processes,
        "rounds": options.windows if options.mode == "windows" else options.rounds,
        "interleaved": options.interleaved,
        "seed": options.seed,
        "data": wording.printable(options.data.name) if options.data else None,
        "labels": wording.printable(options.labels.name) if options.labels else None,
        "task": options.task,
        "limit": options.limit,
        "affinity": list(options.affinity) if options.affinity else None,
        "cool_seconds": options.cool_seconds,
        "cool_celsius": options.cool_celsius,
        "assume_watts": options.assume_watts,
    }


def entry(path: Path, threads: int = 1, kernels: str = "default") -> dict[str, Any]:
    """Return a model's entry as it stands before it is opened."""
    return {
        "file": wording.printable(path.name or str(path)),
        "settings": {"threads": threads, "kernels": kernels},
        "sha256": None,
        "size_bytes": None,
        "gzip_bytes": None,
        "package": None,
        "status": "failed",
        "reason": "not measured",
        "contents": None,
        "inputs": None,
        "outputs": None,
        "delegate": None,
        "delegation": None,
        "timing": None,
        "throughput": None,
        "per_op": None,
        "memory": None,
        "accuracy": None,
        "energy": no_energy(NOT_ASKED),
        "heat": None,
        "warnings": [],
    }


def no_energy(reason: str) -> dict[str, Any]:
    """Return the energy of a model that has none, and why."""
    names = ("joules_per_inference", "low", "high", "kind", "source", "idle_watts", "load_watts", "windows")
    return {**dict.fromkeys(names), "reason": reason}


def add_file(model: dict[str, Any], path: Path, memory_bytes: int | None = None) -> flatbuffer.FileFacts:
    """Fill in what the file itself says.

    Args:
        model: the entry.
        path: of the file.
        memory_bytes: of this machine; a model with a tensor beyond it is refused.

    Raises:
        OSError: it cannot be read.
        ModelFileError: it is not a whole .tflite file; hash and size are filled in all the same.
    """
    if path.exists() and not path.is_file():  # a pipe or a device could be read forever
        msg = "not a regular file"
        raise flatbuffer.ModelFileError(msg)
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if size else memoryview(b"") as content:
            model["sha256"] = hashlib.sha256(content).hexdigest()
            model["size_bytes"] = size
            with memoryview(content) as view:
                facts = _checked(view, memory_bytes)
    model["contents"] = {
        "schema_version": facts.version,
        "description": facts.description,
        "subgraphs": facts.subgraphs,
        "operators": facts.operators,
        "custom_operators": list(facts.custom_operators),
        "signature": facts.signature,
        "ops": [{"op": name, "version": version, "count": count} for name, version, count in facts.ops],
        "remarks": list(facts.remarks),
    }
    return facts


def _checked(view: memoryview, memory_bytes: int | None) -> flatbuffer.FileFacts:
    """Read the file's facts; an error's traceback would hold the mapping, so it is raised without."""
    try:
        return flatbuffer.read_facts(view, memory_bytes)
    except flatbuffer.ModelFileError as error:
        refusal = str(error)
    raise flatbuffer.ModelFileError(refusal)


def add_compressed(model: dict[str, Any], path: Path) -> None:
    """Fill in the size after gzip -9: last of all, for it takes longer than anything else that the file is asked."""
    if model["sha256"] is None:
        return
    squeeze, size = zlib.compressobj(9, zlib.DEFLATED, 31), 0
    try:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                size += len(squeeze.compress(piece))
    except OSError:
        return
    model["gzip_bytes"] = size + len(squeeze.flush())


def add_opened(model: dict[str, Any], opened: dict[str, Any], start_to_first_ns: int) -> None:
    """Fill in what opening the model reported, in the first of its processes or a later one."""
    if model["timing"] is None:
        model["inputs"] = opened["inputs"]
        model["outputs"] = [{**tensor, "range": None} for tensor in opened["outputs"]]
        model["delegate"], model["delegation"] = opened["delegate"], opened["delegation"]
        model["warnings"].extend(opened["warnings"])
        names = ("summary", "drift", "windows", "preprocess", "postprocess")
        model["timing"] = {
            "input_values": opened["input_values"],
            "processes": [],
            "blocks": [],
            "samples_ns": [],
            "discarded_runs": 0,
            **dict.fromkeys(names),
        }
    model["timing"]["processes"].append(
        {
            **{name: opened[name] for name in _STARTUP},
            "start_to_first_ns": start_to_first_ns,
            "warmup_runs": None,
            "before_bytes": opened["before_bytes"],
            "peak_bytes": None,
        }
    )


def add_block(model: dict[str, Any], place: tuple[int, int], block: dict[str, Any], *, throttled: bool) -> None:
    """Fill in a turn of timed inferences.

    Args:
        model: the entry.
        place: process and round.
        block: what the child answered.
        throttled: leave its timings out.
    """
    timing = model["timing"]
    timing["blocks"].append(
        {"process": place[0], "round": place[1], "runs": len(block["samples_ns"]), "throttled": throttled}
    )
    if throttled:
        timing["discarded_runs"] += block["runs"]
    else:
        timing["samples_ns"].extend(block["samples_ns"])
    timing["processes"][-1]["peak_bytes"] = block["peak_bytes"]


def add_summary(model: dict[str, Any], per_second: Sequence[float] = ()) -> None:
    """Derive the statistics of the raw timings.

    Args:
        model: the entry, with at least one timing.
        per_second: inferences a second of each window that counts; none in single-stream mode.
    """
    timing = model["timing"]
    timing["summary"] = summary.summarize(timing["samples_ns"])
    timing["drift"] = summary.drift(timing["samples_ns"])
    if per_second:
        middle = summary.median(per_second)
        timing["windows"] = {
            "per_second": list(per_second),
            "median_per_second": middle,
            "median_ms": 1000 / middle,
        }
    add_memory(model)
    if timing["drift"]["drifted"]:
        ratio = timing["drift"]["ratio"]
        slower = "let the machine cool down, fix its frequency, or end other programs"
        faster = "it was busy or slow at first; measure again, or longer"
        drifted = f"latency drifted to {ratio:.2f} times its start during the run"
        model["warnings"].append(f"{drifted}: {slower if ratio > 1 else faster}")


def add_memory(model: dict[str, Any]) -> None:
    """Derive what memory it took from what its processes say."""
    processes = model["timing"]["processes"]
    before = sorted(p["before_bytes"] for p in processes if p["before_bytes"] is not None)
    peaks = [p["peak_bytes"] for p in processes if p["peak_bytes"] is not None]
    model["memory"] = {
        "before_bytes": before[len(before) // 2] if before else None,
        "peak_bytes": max(peaks, default=None),
        "planned_arena_bytes": None,
        "planned_by": None,
    }


def add_arena(model: dict[str, Any], path: Path) -> None:
    """Fill in the planned arena, computed from the file, whose extents must all be settled."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        lifetimes = arena.lifetimes(graph.read_graph(memoryview(content)).subgraphs[0])
    model["memory"]["planned_arena_bytes"] = arena.planned_bytes(lifetimes)
    model["memory"]["planned_by"] = arena.PLANNED_BY


def add_scores(model: dict[str, Any], scored: dict[str, Any]) -> None:
    """Fill in accuracy, or say that there were no labels."""
    if scored["outputs"]:
        outputs = {name: _score(score) for name, score in scored["outputs"].items()}
        model["accuracy"] = {"seconds": scored["seconds"], "outputs": outputs}
    else:
        model["warnings"].append("the data holds no labels (y, or y.NAME for an output), so there is no accuracy")
    model["warnings"].extend(scored.get("warnings", ()))


def _score(score: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys((*_SCORE, *_SCORE_2)), **score}


def to_json(document: dict[str, Any]) -> bytes:
    """Return the document as UTF-8, lists of plain values on one line; numbers that are not finite are refused.

    What is no UTF-8 (half a character in a runtime's message, say) is written as JSON's own escape.
    """
    return (_text(document, "\n") + "\n").encode("utf-8", "backslashreplace")


def _text(value: Any, line: str) -> str:
    inner = line + " "
    if isinstance(value, dict) and value:
        return "{" + ",".join(f"{inner}{_plain(key)}: {_text(item, inner)}" for key, item in value.items()) + line + "}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[" + ",".join(inner + _text(item, inner) for item in value) + line + "]"
    return _plain(value)


def _plain(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
