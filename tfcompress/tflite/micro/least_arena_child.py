"""The process that tries arenas; started by :mod:`tfcompress.tflite.micro.least_arena` and by nothing else.

Requests: ``file`` (path), ``from`` (bytes that are not enough, or just so), ``run`` (or it is only set up). Answer:
``bytes``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_runner.graph import read_graph
from tfcompress.serve import serve

STEP = 16
"""Bytes that an arena's parts lie on multiples of."""
_MOST_TIMES = 64


def smallest(fits: Callable[[int], bool], least: int) -> int:
    """Return the smallest size from *least* on that fits, to :data:`STEP` bytes.

    Args:
        fits: says so of a size; what is larger than one that fits must fit.
        least: no smaller size is tried.

    Raises:
        ValueError: none up to 64 times *least* and 64 KiB.
    """
    low, high = least - STEP, least
    while not fits(high):
        low, high = high, high + max(STEP, 2 * (high - least))
        if high > _MOST_TIMES * (least + 1024):
            msg = f"{low:,} bytes are too few"
            raise ValueError(msg)
    while high - low > STEP:
        middle = low + (high - low) // (2 * STEP) * STEP
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from tflite_micro.python.tflite_micro.runtime import Interpreter as Micro

    content = Path(request["file"]).read_bytes()
    inputs = range(len(read_graph(content).subgraphs[0].inputs))

    def works(arena_bytes: int, *, runs: bool) -> bool:
        """Try in a process of its own: too small an arena is answered by an error, or by a signal."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                interpreter = Micro.from_bytes(content, arena_size=arena_bytes)
                if runs:
                    for number in inputs:  # else an arena holds anything, also places beyond the end of a table
                        told = interpreter.get_input_details(number)
                        interpreter.set_input(np.zeros(told["shape"], told["dtype"]), number)
                    interpreter.invoke()
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    # Ops ask for their memory while they are set up, which takes no time; that it runs there, too, is seen once.
    enough = smallest(lambda size: works(size, runs=False), -(-request["from"] // STEP) * STEP)
    return {"bytes": smallest(lambda size: works(size, runs=True), enough) if request["run"] else enough}


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_answer, requests, answers, lifeline)
