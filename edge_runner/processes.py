"""The parent's side: a child process for each model, its silence and its death turned into a reason."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Any, cast

_TAIL_BYTES = 8192
EXIT_SECONDS = 5
"""How long a process that was told to end, or that closed its output, may take to."""
HINTS = {
    signal.SIGKILL: "most often the system's answer to too little memory",
    signal.SIGILL: "the runtime was built for a newer processor",
    signal.SIGBUS: "the file or the memory behind a mapping went away",
}


CHILD = (sys.executable, os.path.dirname(os.path.realpath(__file__)), "--child")  # noqa: PTH120 - see __main__


class ChildFailed(Exception):  # noqa: N818 - what happened, shown to the reader as a reason
    """A model's process refused, died, or fell silent; the message is the reason."""


class Child:
    """A child process that serves requests; see :mod:`edge_runner.child`.

    Args:
        timeout_seconds: how long it may stay silent before it counts as hanging.
        command: what to start.
    """

    def __init__(self, timeout_seconds: float, command: Sequence[str] = CHILD) -> None:
        self.timeout_seconds = timeout_seconds
        self._lines = b""
        self._tail = b""
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._streams = selectors.DefaultSelector()
        for stream in (self.process.stdout, self.process.stderr):
            self._streams.register(_open(stream), selectors.EVENT_READ)

    def __enter__(self) -> Child:
        """Return the child itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process: at once after an error, whatever it is doing."""
        if error is not None:
            self.process.kill()
        self.close()

    def ask(self, request: dict[str, Any], alive: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
        """Send a request and return its answer.

        Args:
            request: with the key ``do``.
            alive: called with what the child says between request and answer.

        Raises:
            ChildFailed: it refused, died, or stayed silent for too long.
        """
        self.send(request)
        return self.answer(alive)

    def send(self, request: dict[str, Any]) -> None:
        """Send a request whose :meth:`answer` will be asked for."""
        with contextlib.suppress(BrokenPipeError):  # then it died, which reading finds out
            _open(self.process.stdin).write(json.dumps(request).encode() + b"\n")

    def answer(self, alive: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
        """Return the answer to what was sent; see :meth:`ask`."""
        while True:
            message = json.loads(self._line())
            if "failed" in message:
                raise ChildFailed(message["failed"])
            if "alive" not in message:
                answer: dict[str, Any] = message
                return answer
            alive(message["alive"])

    def _line(self) -> bytes:
        deadline = time.monotonic() + self.timeout_seconds
        while b"\n" not in self._lines:
            ready = self._streams.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                self.process.kill()
                msg = f"no sign of life for {self.timeout_seconds:g} s; give a longer --timeout if it is only slow"
                raise ChildFailed(msg)
            for key, _ in ready:
                self._take(cast("IO[bytes]", key.fileobj))
        line, _, self._lines = self._lines.partition(b"\n")
        return line

    def _take(self, stream: IO[bytes]) -> None:
        piece = os.read(stream.fileno(), 1 << 16)
        if stream is self.process.stderr:
            self._tail = (self._tail + piece)[-_TAIL_BYTES:]
            if not piece:
                self._streams.unregister(stream)
        elif piece:
            self._lines += piece
        else:
            raise ChildFailed(self._death())

    def _death(self) -> str:
        """Return why the process ended, once its standard output has."""
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            _, rest = self.process.communicate(timeout=EXIT_SECONDS)
            self._tail = (self._tail + (rest or b""))[-_TAIL_BYTES:]
        code = self.process.poll()
        said = self.said()
        last = f": {said[-1]}" if said else ""
        if code is None:
            self.process.kill()
            return f"its process closed its output and went on{last}"
        if code >= 0:
            return f"its process ended with exit code {code}{last}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = HINTS.get(signal.Signals(-code)) if -code in set(signal.Signals) else None
        return f"its process was killed by {name}{f' ({hint})' if hint else ''}{last}"

    def said(self) -> list[str]:
        """Return the last lines the process wrote to standard error."""
        return [line.strip() for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]

    def close(self) -> None:
        """End the process, by force if it does not go by itself."""
        self._streams.close()
        with contextlib.suppress(OSError):
            _open(self.process.stdin).close()
        try:
            self.process.wait(timeout=EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            _open(stream).close()


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a stream of the process, which has all three: they were asked for when it was started."""
    if stream is None:
        msg = "the child was started without pipes"
        raise RuntimeError(msg)
    return stream
