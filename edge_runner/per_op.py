"""Time by op: every node cut out of the file and timed alone, in a process that may die of it.

The interpreters' Python interface has no profiler, so this is what there is; the result says so, and gives the sum and
the whole beside each other for the reader to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_runner import graph
from edge_runner.arguments import Options
from edge_runner.processes import Child, ChildFailed
from edge_runner.subject import Subject, Tell
from edge_runner.wording import UNRESOLVED

NODE_SECONDS = 0.03
METHOD = (
    "each node cut out of the file and run alone on made-up inputs, with the same kernels and threads, in turns with "
    "an empty call whose time is taken off; in the whole model the runtime may fuse nodes, and finds their inputs in "
    "the caches"
)
_WHOLE, _NOTHING = -1, -2
_OPEN = "a node cut out of it would run on extents of 1; export it with a fixed shape to see its nodes"


def per_op(subject: Subject, options: Options, runtime: str, tell: Tell) -> dict[str, Any]:
    """Return the document's entry for a model that was measured."""
    if subject.open_inputs:
        return _entry(reason=f"the file leaves open the shape of {', '.join(subject.open_inputs)}: {_OPEN}")
    try:
        operators = graph.read_graph(subject.path.read_bytes()).subgraphs[0]
    except OSError as error:
        return _entry(reason=f"cannot read the file again: {error.strerror}")
    answers, reasons = _times(subject, options, runtime, len(operators.operators), tell)
    alone = {index: answer for index, answer in answers.items() if index >= 0}
    reasons.update({index: _unresolved(answer) for index, answer in alone.items() if answer["low_ns"] <= 0})
    times = {index: answer["median_ns"] for index, answer in alone.items() if index not in reasons}
    total = sum(times.values())
    nodes = []
    for index, operator in enumerate(operators.operators):
        tensor = operators.tensors[operator.outputs[0]] if operator.outputs and operator.outputs[0] >= 0 else None
        nodes.append(
            {
                "index": index,
                "op": operator.name,
                "output": tensor.name if tensor else "",
                "shape": list(tensor.shape) if tensor else None,
                "median_ms": times[index] / 1e6 if index in times else None,
                "share": times[index] / total if index in times else None,
                "delegated": subject.taken[index] if subject.taken and index < len(subject.taken) else None,
                "reason": reasons.get(index),
            }
        )
    return {
        **_entry(),
        "invoke_ms": _ms(answers.get(_NOTHING)),
        "sum_ms": total / 1e6 if times else None,
        "whole_ms": _ms(answers.get(_WHOLE)),
        "nodes": nodes,
        "by_type": by_type(nodes),
    }


def _unresolved(answer: dict[str, float]) -> str:
    return f"{UNRESOLVED}: at most {max(0.0, answer['high_ns']) / 1000:.3g} µs above it"


def _ms(answer: dict[str, float] | None) -> float | None:
    return None if answer is None else answer["median_ns"] / 1e6


def _entry(reason: str | None = None) -> dict[str, Any]:
    times = dict.fromkeys(("invoke_ms", "sum_ms", "whole_ms"))
    return {"method": METHOD, "reason": reason, **times, "nodes": [], "by_type": []}


def by_type(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sums by op type, the slowest first; None for a type of which no node could be timed."""
    found: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        found.setdefault(node["op"], []).append(node)
    rows = []
    for op, members in found.items():
        timed = [node for node in members if node["median_ms"] is not None]
        share = sum(node["share"] or 0.0 for node in timed) if timed else None
        total = sum(node["median_ms"] for node in timed) if timed else None
        rows.append({"op": op, "nodes": len(members), "sum_ms": total, "share": share})
    return sorted(rows, key=lambda row: -(row["sum_ms"] or 0.0))


def _times(
    subject: Subject, options: Options, runtime: str, count: int, tell: Tell
) -> tuple[dict[int, dict[str, float]], dict[int, str]]:
    """Return the child's answers and reasons by index; a node that kills the process costs that process and no more."""
    answers: dict[int, dict[str, float]] = {}
    reasons: dict[int, str] = {}
    child: Child | None = None
    for index in (_NOTHING, _WHOLE, *range(count)):
        tell(f"{subject.label}: op {index + 1} of {count}")
        child = child or Child(options.timeout)
        request = {"do": "node", "path": str(subject.path), "how": how(subject, runtime), "index": index}
        try:
            answers[index] = child.ask({**request, "seconds": NODE_SECONDS, "seed": options.seed})
        except ChildFailed as error:
            reasons[index] = str(error)
            child.close()
            child = None
    if child:
        child.close()
    return answers, reasons


def how(subject: Subject, runtime: str) -> dict[str, Any]:
    """Return how the model is run, for the child."""
    return {"runtime": runtime, **subject.entry["settings"]}


def differences_by_kernels(subject: Subject, options: Options, runtime: str, tell: Tell) -> list[dict[str, Any]]:
    """Compare the outputs with those of the runtime's kernels without a delegate, and of the reference kernels."""
    found: list[dict[str, Any]] = []
    for other in ("no-delegate", "reference"):
        if other == subject.entry["settings"]["kernels"]:
            continue
        tell(f"{subject.label}: outputs against {other} kernels")
        request = {"do": "difference", "path": str(subject.path), "how": how(subject, runtime), "other": other}
        request["shapes"] = subject.shapes
        with Child(options.timeout) as child:
            try:
                found.extend(child.ask(request)["outputs"])
            except ChildFailed as error:
                found.append({**_UNKNOWN, "compared_with": other, "reason": str(error)})
    return found


_UNKNOWN = {"output": "", "values": 0, **dict.fromkeys(("different", "largest", "largest_steps"))}
