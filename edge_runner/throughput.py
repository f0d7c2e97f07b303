"""How many samples a second: by the size of the batch, and by interpreters that run at once, each in a process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edge_runner.arguments import WARM_SECONDS, Options
from edge_runner.processes import Child, ChildFailed
from edge_runner.subject import Subject, Tell

SECONDS = 1.0


def throughput(subject: Subject, options: Options, runtime: str, tell: Tell) -> list[dict[str, Any]]:
    """Return the document's entries: every batch with one interpreter, then every number of interpreters unbatched."""
    plan = [(batch, 1) for batch in options.batches] + [(1, count) for count in options.parallel if count > 1]
    found = []
    for batch, interpreters in plan:
        tell(f"{subject.label}: throughput, batch {batch}, {interpreters} interpreters")
        entry = {"batch": batch, "interpreters": interpreters, "threads": subject.entry["settings"]["threads"]}
        request = {**subject.opening(options, runtime), "data": None, "labels": None, "batch": batch}
        found.append({**entry, **measured_throughput(request, interpreters, batch, options)})
    return found


def measured_throughput(request: dict[str, Any], interpreters: int, batch: int, options: Options) -> dict[str, Any]:
    """Return samples per second of several interpreters at once, each in its own process, or why there are none."""
    seconds = min(SECONDS, options.seconds)
    children = [Child(options.timeout) for _ in range(interpreters)]
    try:
        for child in children:
            child.ask(request)
            child.ask({"do": "warm", "runs": 1, "seconds": min(WARM_SECONDS, seconds)})
        blocks = _at_once(children, seconds)
    except ChildFailed as error:
        return {"seconds": None, "inferences": None, "per_second": None, "reason": str(error)}
    finally:
        for child in children:
            child.close()
    rates = [block["runs"] * batch * 1e9 / block["total_ns"] for block in blocks]
    return {
        "seconds": max(block["total_ns"] for block in blocks) / 1e9,
        "inferences": sum(block["runs"] for block in blocks) * batch,
        "per_second": sum(rates),
        "reason": None,
    }


def _at_once(children: list[Child], seconds: float) -> list[dict[str, Any]]:
    """Let all run for the same time; each answers at its end."""
    request = {"do": "time", "runs": 1, "seconds": seconds, "untimed_seconds": 0.0, "most": 1, "full_time": True}
    for child in children:
        child.send(request)
    with ThreadPoolExecutor(len(children)) as waiting:
        return list(waiting.map(Child.answer, children))
