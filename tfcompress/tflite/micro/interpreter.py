"""The process that holds TensorFlow Lite Micro's interpreter; started by :mod:`tfcompress.tflite.micro.process` alone.

Requests are those of :mod:`tfcompress.tflite.interpreter_child`; ``open`` has ``arena_bytes`` besides, and each input
and output its ``place`` among those of the graph. ``allocations`` asks for what the recorder prints, answered with its
``text``. What TFLM prints while it opens a file is the message of the error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.serve import serve
from tfcompress.tflite.interpreter_child import InterpreterSession
from tfcompress.tflite.micro.capture import STANDARD_ERROR, printed

_PACKAGE = "tflite-micro"


class _MicroInterpreter:
    """TFLM's interpreter behind the methods of TensorFlow Lite's; it has one arena, and one shape for each tensor."""

    def __init__(self, content: bytes, request: dict[str, Any]) -> None:
        from tflite_micro.python.tflite_micro.runtime import Interpreter as Micro

        self._inputs = {spec["index"]: spec["place"] for spec in request["inputs"]}
        self._outputs = {spec["index"]: spec["place"] for spec in request["outputs"]}
        self._content = content  # the interpreter reads it where it lies
        self._own = _told(lambda: Micro.from_bytes(content, arena_size=request["arena_bytes"]))

    def allocate_tensors(self) -> None:
        """Do nothing: it has done so when it was made."""

    def resize_tensor_input(self, index: int, shape: tuple[int, ...]) -> None:
        msg = f"TFLM cannot resize its input {self._inputs[index]} to {shape}"
        raise ValueError(msg)

    def reset_all_variables(self) -> None:
        self._own.reset()

    def set_tensor(self, index: int, values: np.ndarray) -> None:
        self._own.set_input(np.ascontiguousarray(values), self._inputs[index])

    def invoke(self) -> None:
        _told(self._own.invoke)

    def get_tensor(self, index: int) -> np.ndarray:
        return np.array(self._own.get_output(self._outputs[index]))

    def allocations(self) -> str:
        return printed(self._own.print_allocations, STANDARD_ERROR)


class _MicroSession(InterpreterSession):
    """The open file, in TFLM."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "allocations" in request:
            return {"text": self.runners[0].interpreter.allocations()}
        return super().answer(request)

    def interpreters(self, request: dict[str, Any]) -> tuple[list[Any], str]:
        made = _MicroInterpreter(Path(request["open"]).read_bytes(), request)
        return [made], version(_PACKAGE)


def _told(act: Callable[[], Any]) -> Any:
    """Do something; where it fails, what was printed on the way is the error's message."""
    outcome: list[Any] = []
    failures: list[RuntimeError] = []

    def tried() -> None:
        try:
            outcome.append(act())
        except RuntimeError as error:
            failures.append(error)

    text = printed(tried, STANDARD_ERROR)
    if failures:
        raise RuntimeError(text.strip() or str(failures[0])) from failures[0]
    sys.stderr.write(text)
    return outcome[0]


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_MicroSession().answer, requests, answers, lifeline)
