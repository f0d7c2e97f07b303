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

PRINT_TO = "print_to"
"""A request of this one key names the file that what is printed goes to from now on, and has no answer."""


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
            request = json.loads(line)
            if request.keys() == {PRINT_TO}:
                _print_to(request[PRINT_TO])
                continue
            try:
                reply = answer(request)
            except Exception as error:  # noqa: BLE001 - whatever the converter raises is the answer to the request
                traceback.print_exc()
                reply = {"error": str(error), "kind": type(error).__name__}
            target.write(json.dumps(reply) + "\n")
            target.flush()


def _print_to(path: str) -> None:
    """Put a file in the place of standard output and standard error, for C++, too."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
