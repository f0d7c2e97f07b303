"""What tfcompress does on a device: this file is sent there through ssh and run from memory, nothing is installed.

Python 3.9, the standard library, and nothing of tfcompress. It speaks with :mod:`tfcompress.devices.remote` through its
own standard input and output: a line of JSON for each request and each answer, with bytes after ``put`` and ``fetch``.
Whatever it writes lies in one folder:

    store/SHA256      files, by what they hold, so that nothing is sent twice
    trees/SHA256/     folders made of them (edge_runner), kept with their compiled files
    runs/ID/          one measurement: its models under their names, what it said, and its result until it is fetched
    measuring         locked while something is measured, so that two measurements never disturb each other

A measurement is started detached and goes on when the connection is gone. Whoever asks for the same one later finds it
again, because its ID is made of what is measured and how.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any, BinaryIO

MARKER = "tfcompress-agent"
"""The first line it writes: what a login script prints before it is not ours."""
MODULES = ("ai_edge_litert", "tflite_runtime", "tensorflow", "numpy")
BEAT_SECONDS = 5.0
"""Between signs of life."""
FIRST_LOOK, LAST_LOOK = 0.05, 1.0  # seconds between looks at a run: seldom once it lasts, for each disturbs it
STATUS_BYTES = 4096
UNUSED_SECONDS = 30 * 86400


class RefusedError(Exception):
    """A request that the agent does not follow."""


class Agent:
    """Answers requests about one folder.

    Attributes:
        folder: all that is written lies in it.
        requests: where requests come from.
        answers: where answers go.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self.requests, self.answers = requests, answers
        self.folder = Path()

    def serve(self) -> None:
        """Answer until the other side closes."""
        self.answer({"marker": MARKER})
        for line in self.requests:
            request = json.loads(line)
            try:
                self.answer(getattr(self, f"do_{request.pop('do')}")(**request))
            except BrokenPipeError:
                return
            except OSError as error:
                name = errno.errorcode.get(error.errno or 0, "")
                self.answer({"error": error.strerror or str(error), "errno": name, "path": str(error.filename or "")})
            except RefusedError as error:
                self.answer({"error": str(error), "errno": "", "path": ""})

    def answer(self, values: dict[str, Any]) -> None:
        """Write one line."""
        self.answers.write(json.dumps(values).encode() + b"\n")
        self.answers.flush()

    def do_hello(self, folder: str) -> dict[str, Any]:
        """Make the folder, and say what this machine is."""
        self.folder = Path(folder).expanduser().absolute()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("store", "trees", "runs"):
            (self.folder / name).mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder):
            pass  # a read-only file system says so now
        return {
            "python": platform.python_version(),
            "executable": sys.executable,
            "machine": platform.machine(),
            "free_bytes": shutil.disk_usage(self.folder).free,
            "folder": str(self.folder),
            "root": os.geteuid() == 0,
            "modules": [name for name in MODULES if util.find_spec(name) is not None],
        }

    def do_missing(self, hashes: list[str]) -> dict[str, Any]:
        """Say which files are not here, or are no longer what they were."""
        return {"missing": [sha256 for sha256 in hashes if not self._stored(sha256)]}

    def _stored(self, sha256: str) -> bool:
        path = self.folder / "store" / _hash(sha256)
        if not path.is_file():
            return False
        if _sha256(path) != sha256:
            path.unlink()
            return False
        os.utime(path)
        return True

    def do_put(self, sha256: str, size: int) -> dict[str, Any]:
        """Take the *size* bytes that follow as a file; a broken one leaves nothing."""
        target, left, digest = self.folder / "store" / _hash(sha256), size, hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as stream:
                while left:
                    piece = self.requests.read(min(left, 1 << 16))
                    left -= len(piece)
                    digest.update(piece)
                    if not piece:
                        raise BrokenPipeError
                    stream.write(piece)
                stream.flush()
                os.fsync(stream.fileno())
            if digest.hexdigest() != sha256:
                msg = "a file arrived damaged; try again"
                raise RefusedError(msg)
            Path(name).replace(target)
        except OSError:
            while left and (piece := self.requests.read(min(left, 1 << 16))):
                left -= len(piece)  # the next request begins behind it
            raise
        finally:
            Path(name).unlink(missing_ok=True)
        return {}

    def do_tree(self, sha256: str, files: dict[str, str]) -> dict[str, Any]:
        """Make a folder of stored files, once."""
        target = self.folder / "trees" / _hash(sha256)
        if target.is_dir():
            os.utime(target)
        else:
            self._build(target, files)
        return {}

    def _build(self, target: Path, files: dict[str, str]) -> None:
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
        try:
            for name, sha256 in files.items():
                path = new.joinpath(*name_parts(name))
                path.parent.mkdir(parents=True, exist_ok=True)
                stored = self.folder / "store" / _hash(sha256)
                try:
                    os.link(stored, path)
                except OSError:  # a file system without hard links
                    shutil.copyfile(stored, path)
            new.replace(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def do_complaint(self, tree: str) -> dict[str, Any]:
        """Run edge_runner's doctor and say what it found wanting; empty when an interpreter works."""
        command = [sys.executable, str(self._runner(tree)), "--doctor"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        advice = [line for line in lines if "pip install" in line] or lines or ["the doctor said nothing"]
        return {"complaint": advice[-1].strip() if done.returncode else ""}

    def _runner(self, tree: str) -> Path:
        return self.folder / "trees" / _hash(tree) / "edge_runner"

    def do_start(self, run: str, tree: str, what: dict[str, Any]) -> dict[str, Any]:
        """Start a measurement, or find the one of that ID that runs or has ended."""
        folder = self._run(run)
        if folder.is_dir() and (_status(folder) or _alive(folder)):
            return {"found": True}
        shutil.rmtree(folder, ignore_errors=True)
        self._build(folder, what["files"])
        (folder / "status").write_bytes(b" " * STATUS_BYTES)  # its room is kept: the disk may be full by the end
        command = [sys.executable, str(self._runner(tree)), *what["arguments"], "-o", "result.json"]
        with _locked(folder / "alive"):
            _detach(folder, command, self.folder / "measuring")
        return {"found": False}

    def _run(self, run: str) -> Path:
        return self.folder / "runs" / _hash(run)

    def do_follow(self, run: str) -> dict[str, Any]:
        """Tell the progress of a measurement until it ends; then how it ended."""
        folder, told, beat, pause = self._run(run), "", 0.0, FIRST_LOOK
        while True:
            alive = _alive(folder)
            status = _status(folder)
            if status:
                return {"state": "done", **status}
            if not alive:
                said, free = last_said(folder / "said"), shutil.disk_usage(self.folder).free
                return {"state": "lost", "said": said, "free_bytes": free}
            text = last_said(folder / "said")
            if text != told or time.monotonic() - beat > BEAT_SECONDS:
                self.answer({"progress": text})
                told, beat = text, time.monotonic()
            time.sleep(pause)
            pause = min(1.3 * pause, LAST_LOOK)

    def do_fetch(self, run: str) -> dict[str, Any]:
        """Send the result: its size and hash, then its bytes."""
        content = (self._run(run) / "result.json").read_bytes()
        self.answer({"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        self.answers.write(content)
        return {}

    def do_cancel(self, run: str) -> dict[str, Any]:
        """End a measurement, and remove it."""
        folder = self._run(run)
        if folder.is_dir() and _alive(folder):
            os.killpg(int((folder / "pid").read_text()), signal.SIGTERM)
            while _alive(folder):
                time.sleep(0.05)
        return self.do_clean(run)

    def do_clean(self, run: str) -> dict[str, Any]:
        """Remove a measurement that has ended, and what has not been used for a month."""
        folder = self._run(run)
        if folder.is_dir() and _alive(folder):
            msg = "the measurement is still running"
            raise RefusedError(msg)
        shutil.rmtree(folder, ignore_errors=True)
        for path in (*(self.folder / "store").iterdir(), *(self.folder / "trees").iterdir()):
            if time.time() - path.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return {}


def _hash(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        msg = f"a SHA-256 must be 64 hexadecimal digits, got {text!r:.80}"
        raise RefusedError(msg)
    return text


def name_parts(name: str) -> list[str]:
    """Return the parts of a file's name, separated by slashes.

    Raises:
        RefusedError: the name leads out of the folder that the file is for.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        msg = f"a file's name must stay inside its folder, got {name!r:.80}"
        raise RefusedError(msg)
    return parts


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _status(folder: Path) -> dict[str, Any]:
    """Return how a run ended; empty while it runs."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder / "status").read_bytes()))
    return {}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, which a forked process goes on holding until its end, however that comes."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _alive(folder: Path) -> bool:
    """Say whether the process that watches a run holds its lock."""
    try:
        with (folder / "alive").open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def last_said(path: Path) -> str:
    """Return the last thing that edge_runner wrote for a terminal."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 1000))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    parts = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", part).strip() for part in re.split(r"[\r\n]+", text)]
    return next((part for part in reversed(parts) if part), "")


def _detach(folder: Path, command: list[str], measuring: Path) -> None:
    """Watch *command* from a process that has nothing to do with this connection."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        (folder / "pid").write_text(str(os.getpgrp()))
        _watch(folder, command, measuring)
    except BaseException as error:  # nobody else would ever hear of it
        (folder / "said").write_text(f"the agent failed: {type(error).__name__}: {error}\n")
        raise
    finally:
        os._exit(0)


def _watch(folder: Path, command: list[str], measuring: Path) -> None:
    """Run *command* when nothing else is measured, and write how it ended."""
    with (folder / "said").open("wb") as said:
        said.write(b"waiting for another measurement on this device\n")
        said.flush()
        with _locked(measuring):
            said.write(b"starting edge_runner\n")
            said.flush()
            code = run_on_terminal(command, folder, said)
    lines = (folder / "said").read_bytes()[-20000:].decode("utf-8", "replace")
    clean = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.split("\r")[-1]).strip() for line in lines.splitlines()]
    whole = (folder / "result.json").is_file()
    status = {"code": code, "result": whole, "said": "\n".join(line for line in clean if line)[-600:]}
    with (folder / "status").open("r+b") as stream:
        stream.write(json.dumps(status).encode().ljust(STATUS_BYTES))


def run_on_terminal(command: list[str], folder: Path, said: BinaryIO) -> int:
    """Run *command* with a terminal for its standard error, so that it shows its progress; return its exit code."""
    try:
        ours, theirs = os.openpty()
    except OSError:  # a machine without terminals: it is silent until its end
        ours, theirs = os.pipe()
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    try:
        while piece := os.read(ours, 4096):
            with contextlib.suppress(OSError):  # a full disk ends no measurement
                said.write(piece)
                said.flush()
    except OSError as error:
        if error.errno != errno.EIO:  # nobody has the terminal any more
            raise
    finally:
        os.close(ours)
    return process.wait()


if __name__ == "__main__":
    Agent(sys.stdin.buffer, sys.stdout.buffer).serve()
