"""A process that has imported what its children need, and forks: they start in milliseconds, each in memory of its own.

What opens one file in a process of its own imports NumPy and a runtime for a third of a second each time, and an export
opens ten files. A fork of *our* process would break TensorFlow; the one that is forked here has one thread, and has
done nothing but import.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Protocol

from tfcompress.serve import die_with_parent

_BOOT = (
    "import sys,json;sys.path[:]=json.loads(sys.argv[1]);from tfcompress.fork_server import main;main(*sys.argv[2:])"
)
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""NumPy's linear algebra would start threads when it is imported, which a fork does not have."""


class Process(Protocol):
    """A child process, as far as its parent asks for it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return how it ended, as :meth:`wait` does; None: it has not."""

    def wait(self) -> int:
        """Wait for its end; return its exit code, or the number of the signal that ended it, negative."""

    def kill(self) -> None:
        """End it, if it lives."""


def child_paths() -> str:
    """Return where a child is to look for modules, as JSON: where this process does, and where this package lies."""
    root = str(Path(__file__).resolve().parents[1])
    return json.dumps([*filter(None, sys.path), *([] if root in sys.path else [root])])


class ForkServer:
    """Starts children that all serve by one module; the process that forks them is started when the first is asked for.

    It ends when the caller's process dies, and when it has had no child for a while.

    Attributes:
        module: by which they serve.
        imports: what was imported beforehand besides.
    """

    def __init__(self, module: str, imports: Sequence[str] = (), *, idle_seconds: float = 60.0) -> None:
        """Start nothing yet.

        Args:
            module: its ``main(requests, answers, lifeline)`` serves requests, see :mod:`tfcompress.serve`.
            imports: what to import beforehand besides, where it is installed: nothing that starts a thread.
            idle_seconds: how long the process waits for somebody to ask it for a child.
        """
        self.module, self.imports, self._idle_seconds = module, tuple(imports), idle_seconds
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._link: _Link | None = None

    def start(self, descriptors: Sequence[int], output: int, environment: Mapping[str, str]) -> Process:
        """Fork a child.

        Args:
            descriptors: of the pipes that its ``main`` takes, in this order.
            output: descriptor of the file that what it prints goes to.
            environment: all its variables.

        Raises:
            OSError: there is no process left to fork it, and none can be started.
        """
        request = {"do": "fork", "environment": dict(environment)}
        with self._lock:
            if self._owner != os.getpid():  # a fork of the caller's process has no children of its parent
                self._owner, self._link = os.getpid(), None
            if self._link is not None:
                try:
                    return _Fork(self._link, self._link.ask(request, (*descriptors, output)))
                except OSError:  # it was idle for long, or somebody ended it
                    self._link.close()
            self._link = _Link(self.module, self.imports, self._idle_seconds)
            return _Fork(self._link, self._link.ask(request, (*descriptors, output)))


class _Link:
    """The running process and the socket that it is asked through."""

    def __init__(self, module: str, imports: Sequence[str], idle_seconds: float) -> None:
        ours, its = socket.socketpair()
        its_lifeline, lifeline = os.pipe()
        about = json.dumps([its.fileno(), its_lifeline, idle_seconds, module, *imports])
        with its:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-c", _BOOT, child_paths(), about],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(its.fileno(), its_lifeline),
                    env={**os.environ, **_ONE_THREAD},
                    start_new_session=True,
                )
            finally:
                os.close(its_lifeline)
        self._lock = threading.Lock()
        self._socket = ours
        self.close = weakref.finalize(self, _end, os.getpid(), process, ours, lifeline)

    def ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """Send a request, and return its answer.

        Raises:
            OSError: the process is gone.
        """
        with self._lock:
            if not self.close.alive:
                raise BrokenPipeError
            message = json.dumps(request).encode() + b"\n"
            try:
                sent = socket.send_fds(self._socket, [message], list(descriptors))
                self._socket.sendall(message[sent:])
                answer, _ = _received(self._socket)
            except BaseException:  # Ctrl-C: the answer would be taken for that to the next request
                self.close()
                raise
        if answer is None:
            raise ConnectionResetError
        return answer["answer"]


def _end(owner: int, process: subprocess.Popen[bytes], link: socket.socket, lifeline: int) -> None:
    link.close()
    os.close(lifeline)
    if os.getpid() == owner:
        process.kill()
        process.wait()


class _Fork:
    """A child of the process that forks, asked about there: only its own parent learns how a process ended."""

    def __init__(self, link: _Link, number: int) -> None:
        self._link, self.pid = link, number
        self._lock = threading.Lock()  # of two who ask at once, the second would ask for what is forgotten there
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._asked("poll")

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.002)  # one that waits there would keep it from who asks next
        return code

    def kill(self) -> None:
        self._asked("kill")

    def _asked(self, what: str) -> int | None:
        with self._lock:
            if self._code is None:
                try:
                    self._code = self._link.ask({"do": what, "child": self.pid})
                except OSError:  # who forked it was ended; its lifeline ends it
                    self._code = -signal.SIGKILL
            return self._code


def _received(link: socket.socket) -> tuple[Any, list[int]]:
    """Return the next message and the descriptors that came with it; None: there will be none."""
    text, descriptors, _, _ = socket.recv_fds(link, 1 << 16, 8)
    while text and not text.endswith(b"\n"):
        more = link.recv(1 << 16)
        if not more:
            return None, descriptors
        text += more
    return (json.loads(text) if text else None), descriptors


def main(arguments: str) -> None:
    """Import, then fork whenever the caller asks for it."""
    number, lifeline, idle_seconds, module, *imports = json.loads(arguments)
    die_with_parent(lifeline)
    for name in (*imports, module):
        try:
            import_module(name)
        except ImportError:  # the child says so, to who asks it
            continue
    sys.path[:] = [str(Path(folder).absolute()) for folder in sys.path]
    os.chdir("/")  # whoever started it may remove the folder that he was in
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=number) as link:
        _serve(link, lifeline, idle_seconds, module)


def _serve(link: socket.socket, lifeline: int, idle_seconds: float, module: str) -> None:
    children: set[int] = set()
    while True:
        if not select.select([link], [], [], idle_seconds)[0]:
            if not children:
                return
            continue
        request, descriptors = _received(link)
        if request is None:
            return
        if request["do"] == "fork":
            child = os.fork()
            if child == 0:
                link.close()
                os.close(lifeline)
                _run(module, request["environment"], descriptors)
            children.add(child)
            answer: int | None = child
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            answer = _told(request["do"], request["child"])
            if answer is not None:
                children.discard(request["child"])
        link.sendall(json.dumps({"answer": answer}).encode() + b"\n")


def _told(what: str, child: int) -> int | None:
    """Say how a child ended; None: it has not."""
    if what == "kill":
        os.kill(child, signal.SIGKILL)
    ended, status = os.waitpid(child, os.WNOHANG if what == "poll" else 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def _run(module: str, environment: Mapping[str, str], descriptors: Sequence[int]) -> NoReturn:
    """Be the child: serve, and end without what the parent's imports do at the end of an interpreter."""
    code = 1
    try:
        os.setsid()
        *pipes, output = descriptors
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        os.environ.clear()
        os.environ.update(environment)
        import_module(module).main(*pipes)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the child must never go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
