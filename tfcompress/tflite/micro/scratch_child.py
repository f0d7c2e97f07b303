"""The process that sets ops up one by one; started by :mod:`tfcompress.tflite.micro.scratch` and by nothing else.

Requests: ``files`` (paths, a file an op), ``arena_bytes``. Answer: ``heads``, the bytes of each one's head.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfcompress.serve import serve
from tfcompress.tflite.micro.arena import read_allocations
from tfcompress.tflite.micro.capture import STANDARD_ERROR, printed

ALIGNMENT = 16
"""Bytes that TFLM fills each piece of the head up to."""


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from tflite_micro.python.tflite_micro.runtime import Interpreter as Micro

    heads = []
    for path in request["files"]:
        interpreter = Micro.from_bytes(Path(path).read_bytes(), arena_size=request["arena_bytes"])
        heads.append(read_allocations(printed(interpreter.print_allocations, STANDARD_ERROR)).head_bytes)
    return {"heads": heads}


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_answer, requests, answers, lifeline)
