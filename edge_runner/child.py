"""The process that opens one model: answers one JSON line per request line, until its standard input ends.

Whatever the runtime prints goes to standard error; the answers have standard output for themselves. A line with the key
``alive`` is no answer, only a sign of life. What goes wrong is answered as ``failed`` with the reason; what kills the
process is seen by the parent (:mod:`edge_runner.processes`).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, cast

from edge_runner import delegation, environment, runtimes, timing
from edge_runner.summary import median


class ChildSession:
    """One model, from opening to scoring.

    Args:
        alive: called with what is going on, often enough for a parent that waits.
    """

    def __init__(self, alive: Callable[[str], None]) -> None:
        self.alive = alive
        self.nodes: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what ``request["do"]`` says and return what there is to report."""
        steps: dict[str, Callable[..., dict[str, Any]]] = {
            "probe": self.probe,
            "open": self.open,
            "warm": self.warm,
            "time": self.time,
            "io_times": self.io_times,
            "score": self.score,
            "node": self.node,
            "difference": self.difference,
        }
        return steps[request.pop("do")](**request)

    def probe(self, runtime: str, *, version: bool = True) -> dict[str, Any]:
        """Run the smallest model, to see whether the runtime works at all, and look up its version when asked to."""
        from edge_runner.interpreter import Model

        model = Model(runtimes.SMALLEST_MODEL, runtime)
        model.allocate()
        model.invoke()
        return {"version": runtimes.version(runtime) if version else None}

    def open(
        self,
        *,
        path: str,
        runtime: str,
        threads: int,
        kernels: str,
        affinity: list[int] | None,
        names: dict[str, Any],
        data: str | None,
        labels: str | None,
        shapes: dict[str, list[int]],
        expects: dict[str, Any],
        seed: int,
        batch: int = 1,
    ) -> dict[str, Any]:
        """Open the model, feed it, and run it once."""
        if affinity:
            os.sched_setaffinity(0, affinity)  # before the runtime is loaded: its threads inherit it
        from edge_runner import interpreter
        from edge_runner.made_up import made_up

        interpreter.runtime_classes(runtime)
        before = environment.peak_memory_bytes()
        start = time.perf_counter_ns()
        self.model = model = interpreter.Model(path, runtime, threads=threads, kernels=kernels, names=names)
        loaded = time.perf_counter_ns()
        model.allocate()
        allocated = time.perf_counter_ns()
        model.reshape(shapes)
        model.batch(batch)
        warnings = self._feed(data, labels, expects)
        self.seed = seed
        ranges = self.feed.ranges if self.feed else {}
        for tensor in model.inputs:
            model.put(tensor, self.feed.batch(tensor, 0) if self.feed else made_up(tensor, seed))
        first = timing.once(model.invoke)
        done = time.monotonic_ns()
        return {
            "load_ns": loaded - start,
            "allocate_ns": allocated - loaded,
            "first_ns": first,
            "first_done_ns": done,
            "inputs": [{**tensor.to_dict(), "range": ranges.get(tensor.name)} for tensor in model.inputs],
            "outputs": [tensor.to_dict() for tensor in model.outputs],
            "input_values": "first sample of the data" if self.feed else f"made up, seed {seed}",
            "delegate": delegation.delegate_name(model.nodes()),
            "delegation": delegation.coverage(model.nodes()),
            "taken": delegation.taken(model.nodes() or ()),
            "before_bytes": before,
            "warnings": warnings,
        }

    def _feed(self, data: str | None, labels: str | None, expects: dict[str, Any]) -> list[str]:
        self.data, self.feed = {}, None
        if data is None:
            return []
        from edge_runner.arrays import open_arrays
        from edge_runner.feeding import Feed

        self.data = open_arrays(Path(data), Path(labels) if labels else None)
        self.feed = Feed(self.model.inputs, self.data)
        self.feed.fit(self.model)
        return self.feed.check(self.model.inputs, expects)

    def warm(self, *, runs: int, seconds: float) -> dict[str, Any]:
        """Run without keeping the durations; return how many times, and their median, which is a first idea."""
        if not runs:
            return {"runs": 0, "median_ns": None}
        found = timing.timed(self.model.invoke, runs, seconds, self._beat)
        return {"runs": found.runs, "median_ns": median(found.samples)}

    def time(self, *, runs: int, seconds: float, untimed_seconds: float, most: int, full_time: bool) -> dict[str, Any]:
        """Run untimed for *untimed_seconds*, at least once, unless that is 0; then timed."""
        if untimed_seconds:
            timing.timed(self.model.invoke, 1, untimed_seconds, self._beat)
        found = timing.timed(self.model.invoke, runs, seconds, self._beat, most, full_time=full_time)
        peak = environment.peak_memory_bytes()
        return {
            "samples_ns": found.samples.tolist(),
            "runs": found.runs,
            "total_ns": found.total_ns,
            "peak_bytes": peak,
        }

    def io_times(self, *, runs: int, seconds: float) -> dict[str, Any]:
        """Time what stands before and after an inference: quantizing and setting inputs, getting and dequantizing."""
        from edge_runner.io_timing import io_times

        return io_times(self.model, self.feed, self.seed, runs=runs, seconds=seconds, alive=self._beat)

    def node(self, *, path: str, how: dict[str, Any], index: int, seconds: float, seed: int) -> dict[str, Any]:
        """Time one node of a model, cut out of it."""
        from edge_runner.probing import Nodes

        if self.nodes is None:
            self.nodes = Nodes(path, how, seed)
        return cast("dict[str, Any]", self.nodes.time(index, seconds, self._beat))

    def difference(self, *, path: str, how: dict[str, Any], other: str, shapes: dict[str, list[int]]) -> dict[str, Any]:
        """Compare outputs with those of other kernels."""
        from edge_runner.probing import kernel_differences

        return {"outputs": kernel_differences(path, how, other, shapes)}

    def _beat(self) -> None:
        self.alive("timing")

    def score(self, *, task: str, limit: int | None, predictions: bool, folder: str | None) -> dict[str, Any]:
        """Run every sample and score it; write what the outputs store into *folder*, one .npy an output."""
        from edge_runner.scoring import score

        if self.feed is None:
            return {"outputs": {}, "right": {}, "warnings": [], "seconds": 0.0}
        start = time.perf_counter()
        found = score(
            self.model,
            self.feed,
            self.data,
            task=task,
            limit=limit,
            predictions=predictions,
            folder=folder,
            alive=self.alive,
        )
        return {**found, "seconds": time.perf_counter() - start}


def serve_requests() -> int:
    """Serve requests until standard input ends, or one of them fails."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here, and its core dump of no use
        available = environment.available_memory_bytes()
        if available:  # a model that wants more fails by itself and does not take the machine along
            resource.setrlimit(resource.RLIMIT_DATA, (available, available))
    with contextlib.suppress(ImportError):  # said when it is needed
        importlib.import_module("numpy")  # while the parent is still busy with itself
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    session = ChildSession(lambda text: _send(answers, {"alive": text}))
    for line in sys.stdin:
        try:
            _send(answers, session.answer(json.loads(line)))
        except MemoryError:
            _send(answers, {"failed": "out of memory"})
            return 1
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is this model's entry in the result
            _send(answers, {"failed": _reason(error)})
            return 1
    return 0


def _send(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if type(error).__name__ == "ArrayError" else f"{type(error).__name__}: {text}"
