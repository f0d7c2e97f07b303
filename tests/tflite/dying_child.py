"""A child that dies by a signal (SIGSEGV) on its first request, as the converter does on some recurrent models."""

from __future__ import annotations

import os
import signal
from typing import Any

from tfcompress.serve import serve


def answer(_: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.Signals[os.environ.get("DYING_CHILD_SIGNAL", "SIGSEGV")])
    return {}


def main(requests: int, answers: int, lifeline: int) -> None:
    serve(answer, requests, answers, lifeline)
