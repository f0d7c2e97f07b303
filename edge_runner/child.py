"""The process that opens one model: answers one JSON line per request line, until its standard input ends.

Whatever the runtime prints goes to standard error; the answers have standard output for themselves. A line with the key
``alive`` is no answer, only a sign of life. What goes wrong is answered as ``failed`` with the reason; what kills the
process is seen by the parent (:mod:`edge_runner.processes`).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from edge_runner import environment, runtimes, timing


class Session:
    """One model, from opening to scoring.

    Args:
        alive: called with what is going on, often enough for a parent that waits.
    """

    def __init__(self, alive: Callable[[str], None]) -> None:
        self.alive = alive

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what ``request["do"]`` says and return what there is to tell."""
        steps: dict[str, Callable[..., dict[str, Any]]] = {
            "probe": self.probe,
            "open": self.open,
            "warm": self.warm,
            "time": self.time,
            "score": self.score,
        }
        return steps[request.pop("do")](**request)

    def probe(self, runtime: str) -> dict[str, Any]:
        """Run the smallest model, to see whether the runtime works at all."""
        from edge_runner.interpreter import Model

        model = Model(runtimes.SMALLEST_MODEL, runtime)
        model.allocate()
        model.invoke()
        return {"version": runtimes.version(runtime)}

    def open(
        self,
        *,
        path: str,
        runtime: str,
        threads: int,
        reference_kernels: bool,
        names: dict[str, Any],
        data: str | None,
        seed: int,
    ) -> dict[str, Any]:
        """Open the model, feed it, and run it once."""
        from edge_runner import interpreter
        from edge_runner.feeding import made_up

        interpreter.runtime_classes(runtime)
        before = environment.peak_memory_bytes()
        start = time.perf_counter_ns()
        self.model = model = interpreter.Model(
            path, runtime, threads=threads, reference_kernels=reference_kernels, names=names
        )
        loaded = time.perf_counter_ns()
        model.allocate()
        allocated = time.perf_counter_ns()
        warnings = self._feed(data)
        for tensor in model.inputs:
            model.put(tensor, self.feed.batch(tensor, 0) if self.feed else made_up(tensor, seed))
        first = timing.once(model.invoke)
        return {
            "load_ns": loaded - start,
            "allocate_ns": allocated - loaded,
            "first_ns": first,
            "inputs": [tensor.to_dict() for tensor in model.inputs],
            "outputs": [tensor.to_dict() for tensor in model.outputs],
            "input_values": "first sample of the data" if self.feed else f"made up, seed {seed}",
            "delegate": model.delegate,
            "memory_before_bytes": before,
            "samples": self.feed.size if self.feed else None,
            "warnings": warnings,
        }

    def _feed(self, data: str | None) -> list[str]:
        from edge_runner.arrays import open_npz
        from edge_runner.feeding import Feed

        self.data = open_npz(Path(data)) if data else {}
        self.feed = Feed(self.model.inputs, self.data) if data else None
        if self.feed is None:
            return []
        self.feed.fit(self.model)
        return self.feed.check(self.model.inputs)

    def warm(self, *, runs: int, seconds: float) -> dict[str, Any]:
        """Run untimed."""
        samples = timing.timed(self.model.invoke, runs, seconds, self._beat) if runs else []
        return {"runs": len(samples), "seconds": sum(samples) / 1e9}

    def time(self, *, runs: int, seconds: float, settle: int, most: int) -> dict[str, Any]:
        """Run *settle* times untimed, then timed."""
        for _ in range(settle):
            self.model.invoke()
        samples = timing.timed(self.model.invoke, runs, seconds, self._beat, most)
        return {"samples_ns": list(samples), "peak_memory_bytes": environment.peak_memory_bytes()}

    def _beat(self) -> None:
        self.alive("timing")

    def score(self, *, limit: int | None, predictions: bool, folder: str | None) -> dict[str, Any]:
        """Run every sample and score it; write what the outputs store into *folder*, one .npy an output."""
        from edge_runner.scoring import score

        if self.feed is None:
            return {"outputs": {}, "seconds": 0.0}
        start = time.perf_counter()
        outputs = score(
            self.model, self.feed, self.data, limit=limit, predictions=predictions, folder=folder, alive=self.alive
        )
        return {"outputs": outputs, "seconds": time.perf_counter() - start}


def main() -> int:
    """Serve requests until standard input ends, or one of them fails."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here, and its core dump of no use
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    session = Session(lambda text: _send(answers, {"alive": text}))
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
    return text if type(error).__name__ == "DataError" else f"{type(error).__name__}: {text}"
