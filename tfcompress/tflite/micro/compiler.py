"""The process in which Vela compiles; started by :mod:`tfcompress.tflite.micro.vela` and by nothing else.

Requests: ``source`` (path of a file), ``accelerator``, ``folder`` (where Vela writes). Answer: ``text`` (all that it
printed), ``version``. Where Vela gives up, what it printed is the message of the error.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from tfcompress.serve import serve
from tfcompress.tflite.micro.capture import STANDARD_ERROR, STANDARD_OUTPUT, printed

_PACKAGE = "ethos-u-vela"


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from ethosu.vela import vela

    words = [request["source"], "--accelerator-config", request["accelerator"], "--output-dir", request["folder"]]
    ended: list[object] = []

    def compiled() -> None:
        try:
            ended.append(vela.main(words))
        except SystemExit as end:
            ended.append(end.code)

    text = printed(compiled, STANDARD_OUTPUT, STANDARD_ERROR)
    if ended[0]:
        raise RuntimeError(text.strip() or f"it ended with {ended[0]}")
    return {"text": text, "version": version(_PACKAGE)}


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_answer, requests, answers, lifeline)
