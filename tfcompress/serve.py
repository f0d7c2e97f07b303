"""The child's side of :mod:`tfcompress.worker`: read a request, answer it, end when the parent is gone."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any


def die_with_parent(lifeline: int) -> None:
    """Have the kernel end this process when the write end of the pipe *lifeline* is closed: when the parent dies.

    A thread that waits for the end of file would not get its turn while the converter holds the interpreter lock for
    minutes, and Linux's PR_SET_PDEATHSIG fires when the *thread* that started the child ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # whose default action ends the process
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it died before we looked
        sys.exit(0)


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]], requests: int, answers: int, lifeline: int) -> None:
    """Answer requests until the parent closes the pipe.

    Args:
        answer: makes the answer to one request; what it raises is sent back as an error, its traceback goes to the log.
        requests: file descriptor of the pipe that requests come from, one line of JSON each.
        answers: file descriptor of the pipe that answers go to.
        lifeline: file descriptor of a pipe that the parent holds open as long as it lives.
    """
    die_with_parent(lifeline)
    with os.fdopen(requests, encoding="utf-8") as source, os.fdopen(answers, "w", encoding="utf-8") as target:
        for line in source:
            try:
                reply = answer(json.loads(line))
            except Exception as error:  # noqa: BLE001 - whatever the converter raises is the answer to the request
                traceback.print_exc()
                reply = {"error": str(error), "kind": type(error).__name__}
            target.write(json.dumps(reply) + "\n")
            target.flush()
