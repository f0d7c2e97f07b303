"""Child processes for what may die by signal, or never end: first loads, the TFLite converter and the interpreters.

A child is a fresh Python, or a fork of one that has only imported (:mod:`tfcompress.fork_server`): never a fork of this
process, which breaks TensorFlow; never multiprocessing's spawn, which runs the user's script again. Requests and
answers are lines of JSON on two pipes of their own, arrays are ``.npz`` files in a private folder, and whatever the
child prints goes to a log: TensorFlow prints from C++, whatever its environment asks for.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tfcompress.fork_server import ForkServer, Process, child_paths
from tfcompress.serve import PRINT_TO

_BOOT = "import sys,json;sys.path[:]=json.loads(sys.argv[1]);from {module} import main;main(*map(int,sys.argv[2:]))"


class WorkerDiedError(Exception):
    """The child ended before it answered.

    Attributes:
        reason: ``SIGSEGV``, or ``exit code 1``.
        tail: the last lines that it printed.
    """

    def __init__(self, reason: str, tail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tail = tail


class WorkerAnswerError(Exception):
    """The child lives and answers that the request failed.

    Attributes:
        kind: name of the exception's class in the child.
        text: its message.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text

    @property
    def not_installed(self) -> bool:
        """Whether the child could not import something."""
        return self.kind in ("ImportError", "ModuleNotFoundError")


class WorkerTimeoutError(Exception):
    """The child did not answer in time; it was ended."""


class Worker:
    """A child process that answers requests one at a time; a context manager.

    The child starts at once, so that its imports overlap with what the caller does next. It ends with :meth:`close`,
    when the caller's process dies (however it dies), and when the object is forgotten.

    Attributes:
        folder: a private folder for files that go to and fro.
        log: what the child prints is appended to it.
        spent: whoever set it left something in the child that nobody else should meet; :class:`KeptWorkers` ends it.
    """

    def __init__(
        self,
        module: str | ForkServer,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the child.

        Args:
            module: its ``main(requests, answers, lifeline)`` serves requests, see :mod:`tfcompress.serve`; or what
                forks children that serve by one.
            log: file that what the child prints is appended to; None: a private one.
            environment: variables to add to the environment.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="tfcompress-"))
        self.spent = False
        self._own_log = self.folder / "log.txt"
        self.log = log or self._own_log
        child_requests, requests = os.pipe()
        answers, child_answers = os.pipe()
        child_lifeline, lifeline = os.pipe()
        ends = (child_requests, child_answers, child_lifeline)
        variables = {**os.environ, **(environment or {})}
        try:
            with self.log.open("ab") as output:
                self._process = (
                    module.start(ends, output.fileno(), variables)
                    if isinstance(module, ForkServer)
                    else _started(module, ends, output, variables)
                )
        finally:
            for end in ends:
                os.close(end)
        self._requests = os.fdopen(requests, "w", encoding="utf-8")
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._received = b""
        streams: tuple[IO[Any], ...] = (self._requests, self._answers)
        # Runs on close(), when the object is forgotten, or when the caller's interpreter ends.
        self._end = weakref.finalize(self, _end, os.getpid(), self._process, streams, lifeline, self.folder)

    def print_to(self, log: Path | None) -> None:
        """Have all that the child prints from its next request on appended to *log*; None: to a private file."""
        self.log = (log or self._own_log).absolute()
        self.log.touch()
        self.send({PRINT_TO: str(self.log)})

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request; its answer is fetched by :meth:`receive`."""
        with contextlib.suppress(BrokenPipeError):  # receive() will say how the child died
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()

    def receive(self, timeout_seconds: float | None = None) -> dict[str, Any]:
        """Wait for the answer to the oldest request that has none yet.

        Args:
            timeout_seconds: how long at most; None: for ever.

        Raises:
            WorkerDiedError: the child ended first.
            WorkerAnswerError: the request failed in the child.
            WorkerTimeoutError: no answer came in time; the child is ended.
        """
        try:
            line = self._read_line(timeout_seconds)
        except BaseException:  # Ctrl-C: the answer would be taken for that of the next request
            self.close()
            raise
        if not line.endswith(b"\n"):
            raise WorkerDiedError(self._death(), self.tail())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerAnswerError(answer["kind"], answer["error"])
        return answer

    def _read_line(self, timeout_seconds: float | None) -> bytes:
        """Return what comes up to the next end of a line, or all there is where the child ends before it."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while b"\n" not in self._received:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._answers], [], [], left)[0]:
                raise WorkerTimeoutError
            piece = self._answers.read(1 << 16)
            if not piece:
                line, self._received = self._received, b""
                return line
            self._received += piece
        line, mark, self._received = self._received.partition(b"\n")
        return line + mark

    def ask(self, request: Mapping[str, Any], timeout_seconds: float | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer, as :meth:`receive` does."""
        self.send(request)
        return self.receive(timeout_seconds)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines that the child printed."""
        with self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - 200 * lines))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])

    def _death(self) -> str:
        code = self._process.wait()
        names = {item.value: item.name for item in signal.Signals}
        return f"exit code {code}" if code >= 0 else names.get(-code, f"signal {-code}")

    @property
    def alive(self) -> bool:
        """Whether the child can still answer."""
        return self._end.alive and self._process.poll() is None

    def cpu_seconds(self) -> float | None:
        """Return the CPU time that the child has taken so far; None where it is not known (other than on Linux)."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the child and remove its folder; may be called twice."""
        self._end()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class KeptWorkers:
    """Children that import for seconds, kept for a while for the next caller in this process.

    A fork leaves its parent's children alone.
    """

    def __init__(
        self, module: str, environment: Mapping[str, str] | None = None, *, idle_seconds: float = 60.0
    ) -> None:
        """Keep none yet.

        Args:
            module: as for :class:`Worker`.
            environment: as for :class:`Worker`.
            idle_seconds: how long a child waits for the next caller before it is ended.
        """
        self._module, self._environment, self._idle_seconds = module, environment, idle_seconds
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._idle: list[tuple[Worker, threading.Timer]] = []

    def take(self, *, log: Path | None = None, new: bool = False) -> Worker:
        """Return a child that was kept, or a new one.

        Args:
            log: file that what the child prints is appended to; None: a private one.
            new: take no child that has served anybody else.
        """
        with self._lock:
            while self._idle and not new and self._owner == os.getpid():
                worker, timer = self._idle.pop()
                timer.cancel()
                if worker.alive:
                    worker.print_to(log)
                    return worker
                worker.close()
        return Worker(self._module, log=log, environment=self._environment)

    def give_back(self, worker: Worker, *, usable: bool = True) -> None:
        """Keep a child for the next caller; end it where it is not *usable*, because it is busy, or spent.

        Its folder is emptied, but for what it printed.
        """
        if self._is_idle(worker):
            return
        if not (usable and worker.alive) or worker.spent or self._owner != os.getpid():
            worker.close()
            return
        worker.print_to(None)
        for path in worker.folder.iterdir():
            if path != worker.log:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        timer = threading.Timer(self._idle_seconds, self._end_idle, [worker])
        timer.daemon = True
        with self._lock:
            self._idle.append((worker, timer))
        timer.start()

    def close(self) -> None:
        """End all children that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker, timer in idle:
            timer.cancel()
            worker.close()

    def _is_idle(self, worker: Worker) -> bool:
        return worker in [kept for kept, _ in self._idle]

    def _end_idle(self, worker: Worker) -> None:
        with self._lock:
            if not self._is_idle(worker):
                return  # it was taken meanwhile
            self._idle = [(kept, timer) for kept, timer in self._idle if kept is not worker]
        worker.close()


def _started(module: str, ends: Sequence[int], output: IO[bytes], variables: Mapping[str, str]) -> Process:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT.format(module=module), child_paths(), *map(str, ends)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=ends,
        env=variables,
        start_new_session=True,  # Ctrl-C is the caller's; it ends the child itself
    )


def _end(owner: int, process: Process, streams: Sequence[IO[Any]], lifeline: int, folder: Path) -> None:
    if os.getpid() != owner:  # a fork of the caller's process is not the one to end its parent's child
        return
    process.kill()
    process.wait()
    for stream in streams:
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    os.close(lifeline)
    shutil.rmtree(folder, ignore_errors=True)
