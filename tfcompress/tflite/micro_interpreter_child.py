"""The process that holds TensorFlow Lite Micro's interpreter; started by :mod:`tfcompress.tflite.micro_interpreter`.

``open`` (path), ``arena_bytes``, ``log`` (the file that this process prints to). Answer: ``version``.
``inputs`` (how many), ``source`` (``.npz`` with x0, x1 … of shape (samples, *shape) as the file stores them),
``outputs`` (how many), ``target`` (``.npz`` to write y0, y1 … to). Answer: ``{}``.
``arena``: true. Answer: ``total``, ``head`` and ``tail`` in bytes, after a run, and ``least``, the smallest arena that
the file was set up and run in. That is more than the recorder's total: setting up takes memory that it does not count.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.serve import serve

RUNTIME = "tflite_micro.python.tflite_micro.runtime"
"""The interpreter's module in the wheel of tflite-micro."""
_STEP = 16
_PARTS = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


class _Session:
    """The open file."""

    def __init__(self) -> None:
        self._interpreter: Any = None
        self._runtime: Any = None
        self._content = b""
        self._log = Path()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "open" in request:
            return self._open(request)
        if "arena" in request:
            return self._arena()
        with np.load(request["source"]) as stored:
            inputs = [stored[f"x{place}"] for place in range(request["inputs"])]
        rows = [
            self._run([values[sample] for values in inputs], request["outputs"]) for sample in range(len(inputs[0]))
        ]
        outputs: dict[str, Any] = {
            f"y{place}": np.stack([row[place] for row in rows]) for place in range(request["outputs"])
        }
        np.savez(request["target"], **outputs)
        return {}

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        self._runtime = import_module(RUNTIME)
        self._content = Path(request["open"]).read_bytes()
        self._log = Path(request["log"])
        self._interpreter = self._made(request["arena_bytes"])
        return {"version": version("tflite-micro")}

    def _run(self, inputs: list[np.ndarray], outputs: int) -> list[np.ndarray]:
        self._interpreter.reset()
        for place, values in enumerate(inputs):
            self._interpreter.set_input(np.ascontiguousarray(values), place)
        self._interpreter.invoke()
        return [np.array(self._interpreter.get_output(place)) for place in range(outputs)]

    def _arena(self) -> dict[str, Any]:
        """Return what the recorder says; it prints from C++, to this process's log."""
        sys.stdout.flush()
        before = self._log.stat().st_size
        self._interpreter.print_allocations()
        printed = self._log.read_bytes()[before:].decode("utf-8", "replace")
        found = {name: int(count) for name, count in _PARTS.findall(printed)}
        return {**found, "least": _smallest(self._runs_in, found["total"])}

    def _made(self, arena_bytes: int) -> Any:
        return self._runtime.Interpreter.from_bytes(self._content, arena_size=arena_bytes)

    def _runs_in(self, arena_bytes: int) -> bool:
        """Set the file up and run it in a process of its own: too small an arena is answered or ends by a signal."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self._made(arena_bytes).invoke()
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _smallest(fits: Callable[[int], bool], least: int) -> int:
    """Return the smallest size from *least* on that fits, to 16 bytes."""
    low, high = least - _STEP, least
    while not fits(high):
        low, high = high, high + max(_STEP, (high - least) * 2)
    while high - low > _STEP:
        middle = low + (high - low) // (2 * _STEP) * _STEP
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_Session().answer, requests, answers, lifeline)
