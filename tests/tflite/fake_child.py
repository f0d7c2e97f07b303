"""A child for tests of tfcompress.worker: it echoes, raises, prints, sleeps or kills itself, as it is told."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from tfcompress.serve import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("print"):
        for stream in (sys.stdout, sys.stderr):
            stream.write(request["print"] + "\n")
            stream.flush()
    if request.get("raise"):
        raise ValueError(request["raise"])
    if request.get("kill"):
        os.kill(os.getpid(), signal.Signals[request["kill"]])
    if request.get("exit"):
        os._exit(request["exit"])
    if request.get("sleep"):
        ctypes.PyDLL(None).sleep(request["sleep"])  # holds the interpreter lock, as the converter does
    variables = [os.environ.get(name) for name in request.get("variables", ())]
    return {"pid": os.getpid(), "echo": request.get("echo"), "variables": variables}


def main(requests: int, answers: int, lifeline: int) -> None:
    serve(answer, requests, answers, lifeline)
