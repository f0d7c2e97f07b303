"""The process that holds an interpreter; started by :mod:`tfcompress.tflite.interpret` and by nothing else.

First request, and any later one for another file: ``open`` (path), ``runtime``, ``reference``, ``threads``,
``workers``, ``stateful``, ``whole`` (a sample is all that a tensor holds, its first axis too), ``inputs`` and
``outputs`` (lists of name, index, shape, free (an axis is of any size), dtype, scale, zero_point).
Answer: ``version`` of the runtime.
``time``: how often to invoke the file again, on what its inputs hold. Answer: ``seconds``, one number an invocation.
Every other request: ``inputs`` (names), ``source`` (``.npz`` with x0, x1 … of shape (samples, *shape)), ``target``
(``.npz`` to write y0, y1 … to). Answer: ``{}``.
"""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from tfcompress.serve import serve

_MODULES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
}


class _Runner:
    """One interpreter with the file open in it."""

    def __init__(self, interpreter: Any, spec: dict[str, Any]) -> None:
        if not any(item["free"] for item in spec["inputs"]):  # a convolution cannot be prepared for a size of 1
            interpreter.allocate_tensors()
        self.interpreter = interpreter
        self._spec = spec
        self._shapes = [None if item["free"] else tuple(item["shape"]) for item in spec["inputs"]]
        self._group = group_size(spec)

    def run(self, inputs: list[np.ndarray], starts: range) -> list[list[np.ndarray]]:
        """Run the groups of samples that begin at *starts*; one list of stored outputs a group."""
        rows = []
        for start in starts:
            groups = self._groups(inputs, start)
            self._resize([group.shape for group in groups])
            if self._spec["stateful"]:  # or the state of one sample leaks into the next; there is none before it fits
                self.interpreter.reset_all_variables()
            for values, spec in zip(groups, self._spec["inputs"], strict=True):
                self.interpreter.set_tensor(spec["index"], values)
            self.interpreter.invoke()
            outputs = [self.interpreter.get_tensor(spec["index"]) for spec in self._spec["outputs"]]
            whole = self._spec["whole"]
            rows.append([values[np.newaxis] if whole else _batched(values, self._group) for values in outputs])
        return rows

    def timed(self, runs: int) -> list[float]:
        """Invoke again and again; returns the seconds that each run took."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            times = [perf_counter()]
            for _ in range(runs):
                self.interpreter.invoke()
                times.append(perf_counter())
        finally:
            if collecting:
                gc.enable()
        return [after - before for before, after in pairwise(times)]

    def _groups(self, inputs: list[np.ndarray], start: int) -> list[np.ndarray]:
        """Return what the inputs are set to: so many samples at a time as the file takes, or one whole tensor each."""
        if self._spec["whole"]:
            return [values[start] for values in inputs]
        return [_full(values[start : start + self._group], self._group) for values in inputs]

    def _resize(self, shapes: list[tuple[int, ...] | None]) -> None:
        if shapes != self._shapes:
            for shape, spec in zip(shapes, self._spec["inputs"], strict=True):
                self.interpreter.resize_tensor_input(spec["index"], shape)
            self.interpreter.allocate_tensors()
            self._shapes = shapes


class InterpreterSession:
    """The open file: one interpreter a worker.

    Attributes:
        runners: those.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._spec: dict[str, Any] = {}
        self.runners: list[_Runner] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a request; see the module's docstring."""
        if "open" in request:
            return self._open(request)
        if "time" in request:
            return {"seconds": self.runners[0].timed(request["time"])}
        with np.load(request["source"]) as stored:
            given = {name: stored[f"x{place}"] for place, name in enumerate(request["inputs"])}
        outputs = self._run([_stored(given[spec["name"]], spec) for spec in self._spec["inputs"]])
        arrays: dict[str, Any] = {f"y{place}": values for place, values in enumerate(outputs)}
        np.savez(request["target"], **arrays)
        return {}

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        self.runners = []
        made, runtime_version = self.interpreters(request)
        self.runners = [_Runner(interpreter, request) for interpreter in made]
        self._spec = request
        return {"version": runtime_version}

    def interpreters(self, request: dict[str, Any]) -> tuple[list[Any], str]:
        """Open the file; return an interpreter for each worker, and the runtime's version."""
        module_name, package = _MODULES[request["runtime"]]
        module = import_module(module_name)
        kinds = module.OpResolverType
        made = [
            module.Interpreter(
                model_path=request["open"],
                num_threads=request["threads"],
                experimental_op_resolver_type=kinds.BUILTIN_REF if request["reference"] else kinds.AUTO,
            )
            for _ in range(request["workers"])
        ]
        return made, version(package)

    def _run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        count = len(inputs[0])
        starts = range(0, count, group_size(self._spec))
        share = -(-len(starts) // len(self.runners))
        parts = [starts[place * share : (place + 1) * share] for place in range(len(self.runners))]
        with ThreadPoolExecutor(len(parts)) as pool:
            jobs = [pool.submit(runner.run, inputs, part) for runner, part in zip(self.runners, parts, strict=True)]
            rows = [row for job in jobs for row in job.result()]
        return [
            _real(np.concatenate([row[place] for row in rows])[:count], spec)
            for place, spec in enumerate(self._spec["outputs"])
        ]


def group_size(spec: dict[str, Any]) -> int:
    """Return how many samples the file takes at a time."""
    if spec["whole"]:
        return 1
    return max(1, int(spec["inputs"][0]["shape"][0]))


def _full(values: np.ndarray, group: int) -> np.ndarray:
    """Fill the last group up by repeating its last sample."""
    missing = group - len(values)
    return values if missing == 0 else np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])


def _batched(values: np.ndarray, group: int) -> np.ndarray:
    return values if values.ndim and len(values) == group else values[np.newaxis]


def _stored(values: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """Quantize real values as the input asks for: round(value / scale) + zero point, held in the dtype's range."""
    dtype = np.dtype(spec["dtype"])
    if not spec["scale"]:
        return values.astype(dtype)
    steps = np.rint(values.astype(np.float32) / np.float32(spec["scale"])) + spec["zero_point"]
    limits = np.iinfo(dtype)
    stored: np.ndarray = np.clip(steps, limits.min, limits.max).astype(dtype)
    return stored


def _real(values: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """Give stored values their meaning: scale * (stored - zero point)."""
    if not spec["scale"]:
        return values
    real: np.ndarray = (values.astype(np.float32) - np.float32(spec["zero_point"])) * np.float32(spec["scale"])
    return real


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(InterpreterSession().answer, requests, answers, lifeline)
