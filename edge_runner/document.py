"""The JSON document: its keys, its format number, and writing it whole or not at all.

Units are in the keys' names; what was not measured is null. ``schema.json`` beside this file describes it for others.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

from edge_runner import environment, flatbuffer, summary
from edge_runner.arguments import Options
from edge_runner.runtimes import Found

FORMAT = 1
"""Number of the format. A key that is added, removed or changes its meaning makes a new number.

History:
    1: first.
"""
NO_ENERGY = "no source of energy readings is supported yet"


def start(options: Options, runtime: Found) -> dict[str, Any]:
    """Return the document as it stands before anything is measured."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "format": FORMAT,
        "tool": "edge_runner",
        "created_utc": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "options": {
            "runs": options.runs,
            "seconds": options.seconds,
            "warmup_runs": options.warmup,
            "interleaved": len(options.models) > 1 and not options.apart,
            "seed": options.seed,
            "data": options.data.name if options.data else None,
            "limit": options.limit,
        },
        "runtime": {
            "name": runtime.name,
            "version": runtime.version,
            "threads": options.threads,
            "kernels": "reference" if options.reference_kernels else "default",
        },
        "environment": {**environment.fixed(), "numpy": None, "before": environment.changing(), "after": None},
        "models": [],
        "warnings": [],
    }


def entry(path: Path) -> dict[str, Any]:
    """Return a model's entry as it stands before it is opened."""
    return {
        "file": path.name,
        "sha256": None,
        "size_bytes": None,
        "gzip_bytes": None,
        "status": "failed",
        "reason": "not measured",
        "contents": None,
        "inputs": None,
        "outputs": None,
        "delegate": None,
        "timing": None,
        "memory": None,
        "accuracy": None,
        "energy": {"joules_per_inference": None, "reason": NO_ENERGY},
        "warnings": [],
    }


def add_file(model: dict[str, Any], path: Path) -> flatbuffer.FileFacts:
    """Fill in what the file itself says.

    Raises:
        OSError: it cannot be read.
        ModelFileError: it is not a whole .tflite file; hash and sizes are filled in all the same.
    """
    if path.exists() and not path.is_file():  # a pipe or a device could be read forever
        msg = "not a regular file"
        raise flatbuffer.ModelFileError(msg)
    content = path.read_bytes()
    model["sha256"] = hashlib.sha256(content).hexdigest()
    model["size_bytes"] = len(content)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    model["gzip_bytes"] = len(squeeze.compress(content)) + len(squeeze.flush())
    facts = flatbuffer.read(content)
    model["contents"] = {
        "schema_version": facts.version,
        "description": facts.description,
        "subgraphs": facts.subgraphs,
        "operators": facts.operators,
        "custom_operators": list(facts.custom_operators),
        "signature": facts.signature,
    }
    return facts


def add_opened(model: dict[str, Any], opened: dict[str, Any]) -> None:
    """Fill in what opening the model told."""
    model["inputs"], model["outputs"] = opened["inputs"], opened["outputs"]
    model["delegate"] = opened["delegate"]
    model["warnings"].extend(opened["warnings"])
    model["memory"] = {"before_bytes": opened["memory_before_bytes"], "peak_bytes": None}
    model["timing"] = {
        "load_ns": opened["load_ns"],
        "allocate_ns": opened["allocate_ns"],
        "first_ns": opened["first_ns"],
        "warmup_runs": None,
        "input_values": opened["input_values"],
        "samples_ns": [],
        "blocks": [],
        "summary": None,
        "drift": None,
    }


def add_block(model: dict[str, Any], block: dict[str, Any]) -> None:
    """Fill in a block of timed inferences."""
    model["timing"]["samples_ns"].extend(block["samples_ns"])
    model["timing"]["blocks"].append(len(block["samples_ns"]))
    model["memory"]["peak_bytes"] = block["peak_memory_bytes"]


def add_summary(model: dict[str, Any]) -> None:
    """Derive the statistics of the raw timings."""
    timing = model["timing"]
    timing["summary"] = summary.summarize(timing["samples_ns"])
    timing["drift"] = summary.drift(timing["samples_ns"])
    if timing["drift"]["drifted"]:
        drifted = f"latency drifted to {timing['drift']['ratio']:.2f} times its start during the run"
        model["warnings"].append(f"{drifted}; let the machine cool down, or fix its frequency")


def add_scores(model: dict[str, Any], scored: dict[str, Any]) -> None:
    """Fill in accuracy, or say that there were no labels."""
    if scored["outputs"]:
        model["accuracy"] = {"seconds": scored["seconds"], "outputs": scored["outputs"]}
    else:
        model["warnings"].append("the data holds no labels (y, or y.NAME for an output), so there is no accuracy")


def to_json(document: dict[str, Any]) -> str:
    """Return the document as text, lists of plain values on one line; numbers that are not finite are refused."""
    return _text(document, "\n") + "\n"


def _text(value: Any, line: str) -> str:
    inner = line + " "
    if isinstance(value, dict) and value:
        return "{" + ",".join(f"{inner}{_plain(key)}: {_text(item, inner)}" for key, item in value.items()) + line + "}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[" + ",".join(inner + _text(item, inner) for item in value) + line + "]"
    return _plain(value)


def _plain(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def write(path: Path, text: str) -> None:
    """Write *text* to *path* so that the file is there whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
