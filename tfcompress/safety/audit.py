"""What a first load must not do, whatever its file holds: run programs, use the network, write but in temporary places.

The lists of what a file may name are the first line; this one, on Python's audit events (PEP 578), is for what they
may have missed. A hook cannot be taken back, so it is for a process of its own only.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcompress.errors import UntrustedCodeError

FORBIDDEN = frozenset(
    {
        *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn"),
        *("subprocess.Popen", "pickle.find_class", "webbrowser.open"),
        *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"),
    }
)
"""Events of what no model file needs."""

CHANGES = frozenset(
    {
        *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"),
        *("os.truncate", "os.utime", "shutil.copyfile", "shutil.move", "shutil.rmtree"),
    }
)
"""Events of changes to files, whose first arguments are paths."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watch:
    """The hook, which is there once a process and watches at times."""

    def __init__(self) -> None:
        self.installed = False
        self.active = False
        self.temporary = ""
        self.met: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        what = _forbidden(event, arguments)
        if what:
            self.met.append(what)
            msg = f"a model file must not do that: {what}"
            raise PermissionError(msg)


_watch = _Watch()


def _forbidden(event: str, arguments: tuple[Any, ...]) -> str:
    """Say what an event does that it must not; empty: nothing."""
    if event in FORBIDDEN:
        return event
    if event == "marshal.loads":
        return "" if _is_import() else event
    if event == "open":
        path, mode, flags = arguments
        writes = any(letter in str(mode or "") for letter in "wax+") or bool((flags or 0) & _WRITING)
        return f"write to {path!r}" if writes and not _is_temporary(path) else ""
    if event in CHANGES:
        folder = arguments[-1] if isinstance(arguments[-1], int) else -1  # that the path is relative to
        paths = [path for path in arguments[:2] if isinstance(path, str | bytes)]
        return "" if all(_is_temporary(path, folder) for path in paths) else f"{event} of {arguments[0]!r}"
    return ""


def _is_import() -> bool:
    """Say whether it is Python's own import that reads compiled code."""
    frame = sys._getframe(3)  # of this, of _forbidden, of the hook; then whose code caused the event
    return frame.f_code.co_filename.startswith("<frozen importlib")


def _is_temporary(path: Any, folder: int = -1) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return True  # a descriptor of something that is open already
    base = f"/proc/self/fd/{folder}" if folder >= 0 else ""
    resolved = os.path.realpath(os.path.join(base, os.fsdecode(path)))  # noqa: PTH118 - the path may be bytes
    return resolved in (os.devnull, _watch.temporary) or resolved.startswith(_watch.temporary + os.sep)


@contextlib.contextmanager
def forbidden_to_reach_outside(path: Path) -> Iterator[None]:
    """Refuse, while the block runs, what a model file must not do.

    Args:
        path: the model, for the message.

    Raises:
        UntrustedCodeError: it was tried in the block, whatever became of the error there.
    """
    if not _watch.installed:
        sys.addaudithook(_watch)
        _watch.installed = True
    _watch.temporary = os.path.realpath(tempfile.gettempdir())  # found by writing there, which the hook would see
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of modules imported late
    _watch.met.clear()
    _watch.active = True
    try:
        yield
    finally:
        _watch.active = False
        sys.dont_write_bytecode = writes_bytecode
        if _watch.met:
            msg = f"model {str(path)!r} tried to reach outside itself ({_watch.met[0]}); it was kept from that"
            raise UntrustedCodeError(msg)
