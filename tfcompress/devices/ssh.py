"""One conversation with the agent on a device, through OpenSSH's own client.

ssh finds the host, checks its key and logs in, as it would for the user: no key or password passes through here, and a
host that ssh does not know is refused. The command line on the device holds the Python's path, quoted, and nothing
else that anybody named; all names travel inside the conversation.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tfcompress.devices.config import LOCAL, Device, config_file, load_devices
from tfcompress.errors import DeviceError, MissingDependencyError, OutputError, TfcompressError, nearest
from tfcompress.plain import open_regular

Told = Callable[[dict[str, Any]], None]
_AGENT = Path(__file__).with_name("agent.py")
_MARKER = b'"tfcompress-agent"'
_NO_PYTHON = (126, 127)
_OLD_PYTHON = "tfcompress-agent needs"
_OPTIONS = {
    "BatchMode": "yes",  # never ask: a password, or whether to trust a key
    "ConnectTimeout": "20",
    "ServerAliveInterval": "10",  # a cable that was pulled is noticed after half a minute
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RequestTTY": "no",
    "RemoteCommand": "none",
}


class DroppedError(Exception):
    """The connection ended; another one may work."""


class Connection:
    """A connection with the agent at its other end, while the block lasts.

    Attributes:
        device: the one at the other end.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the session
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Connection:
        """Log in and start the agent.

        Raises:
            DroppedError: no connection, for a reason that may pass.
            DeviceError: no connection, for one that will not.
            MissingDependencyError: no ssh here, or no fitting Python there.
        """
        source = _AGENT.read_bytes()
        try:
            _check_configuration(self.device)
            self._process = subprocess.Popen(
                connection_command(self.device, len(source)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
            self._write(source)
            while _MARKER not in self.read_line():  # what a login script prints is skipped
                continue
        except FileNotFoundError as error:
            self.__exit__()
            msg = "ssh is not installed here; install OpenSSH's client (apt-get install openssh-client)"
            raise MissingDependencyError(msg) from error
        except BaseException:  # Ctrl-C, too: the connection is closed
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection; what runs detached goes on."""
        self.close()
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    _close(stream)
            self._process.wait()
        self._errors.close()

    def close(self) -> None:
        """End ssh, from any thread; whoever waits for an answer gets DroppedError."""
        if self._process is not None:
            self._process.terminate()

    def ask(self, do: str, told: Told | None = None, **values: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Args:
            do: what is asked for.
            told: what to do with the progress that comes before the answer.
            values: the request's arguments.

        Raises:
            DroppedError: the connection ended.
            OutputError: the device's disk is full or cannot be written.
            DeviceError: the device refused.
        """
        self._write(json.dumps({"do": do, **values}).encode() + b"\n")
        return self.answer(told)

    def answer(self, told: Told | None = None) -> dict[str, Any]:
        """Return the next answer; see :meth:`ask`."""
        while True:
            line = self.read_line()
            try:
                values: dict[str, Any] = json.loads(line)
            except ValueError as error:
                msg = f"device {self.device.name} answered {line[:80]!r}; does its login script print to the output?"
                raise DeviceError(msg) from error
            if "error" in values:
                raise error_there(self.device, values)
            if told is None or "progress" not in values:
                return values
            told(values)

    def put(self, path: Path, sha256: str, sent: Callable[[int], None]) -> None:
        """Send a file; *sent* hears the number of bytes of each piece. Raises as :meth:`ask` does."""
        self._write(json.dumps({"do": "put", "sha256": sha256, "size": path.stat().st_size}).encode() + b"\n")
        with path.open("rb") as stream:
            while piece := stream.read(1 << 16):
                self._write(piece)
                sent(len(piece))
        self.answer()

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes that come.

        Raises:
            DroppedError: they do not.
        """
        content = self._stream("stdout").read(size)
        if len(content) < size:
            raise self._ended()
        return content

    def _stream(self, name: str) -> IO[bytes]:
        stream: IO[bytes] = getattr(self._process, name)
        return stream

    def _write(self, content: bytes) -> None:
        try:
            self._stream("stdin").write(content)
            self._stream("stdin").flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._ended() from error

    def read_line(self) -> bytes:
        """Return the next line of what the device says; raise what ended the connection before it was whole."""
        line = self._stream("stdout").readline()
        if not line.endswith(b"\n"):
            raise self._ended()
        return line

    def _ended(self) -> Exception:
        """Return what the end of the connection means."""
        self._stream("stdout").read()
        code = self._process.wait() if self._process else 0
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace")
        return connection_error(self.device, code, said)


def _check_configuration(device: Device) -> None:
    """Refuse a client configuration that ssh would read without end, or cannot read at all."""
    if not device.ssh_config:
        return
    try:
        open_regular(Path(device.ssh_config).expanduser()).close()
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        msg = f"device {device.name}: ssh_config {device.ssh_config!r} cannot be read: {what}; name another file"
        raise DeviceError(msg) from error


def connection_command(device: Device, size: int) -> list[str]:
    """Return the command that connects to *device* and starts the *size* bytes that follow as a Python program."""
    config = ["-F", str(Path(device.ssh_config).expanduser())] if device.ssh_config else []
    options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
    options += ["-l", device.user] if device.user else []
    options += ["-p", str(device.port)] if device.port else []
    old = f'sys.version_info >= (3, 9) or sys.exit("{_OLD_PYTHON} Python 3.9, got " + sys.version.split()[0])'
    start = f'import sys; {old}; exec(compile(sys.stdin.buffer.read({size}), "tfcompress-agent", "exec"))'
    return ["ssh", *config, *options, "--", device.host, f"exec {quoted(device.python)} -c {shlex.quote(start)}"]


def quoted(path: str) -> str:
    """Return *path* for the device's shell, ``~/`` at its front being the home there."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


def connection_error(device: Device, code: int, said: str) -> Exception:
    """Return the error for a connection that ended.

    Args:
        device: that was at its other end.
        code: ssh's exit code: 255 for its own failures, else that of the command there.
        said: what ssh and the command wrote to standard error.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if code in _NO_PYTHON or _OLD_PYTHON in said:
        reason = last.partition("needs ")[2] if _OLD_PYTHON in said else last
        msg = (
            f"device {device.name}: {device.python} must be Python 3.9 or later, got: {reason}; install python3 there, "
            f"or name another one by python = … in {config_file()}"
        )
        return MissingDependencyError(msg)
    if code == 255:
        return _refusal(device, said, last)
    if code < 0 or code > 128:
        return DroppedError(last)
    return DeviceError(f"device {device.name}: the agent there ended with exit code {code}: {last}")


def _refusal(device: Device, said: str, last: str) -> Exception:
    """Tell what will not pass (a key, a name, a login) from what may."""
    where = f"device {device.name}"
    if "IDENTIFICATION HAS CHANGED" in said:
        return DeviceError(
            f"{where}: its host key is not the one that ssh knows, so nothing was sent; if the device was set up anew, "
            f"remove the old key with ssh-keygen -R, otherwise somebody may be in between"
        )
    if "Host key verification failed" in said:
        return DeviceError(
            f"{where}: ssh does not know its host key; log in once by hand (ssh {device.host}), compare the "
            "fingerprint, and say yes"
        )
    if "Permission denied" in said:
        return DeviceError(f"{where}: ssh may not log in ({last}); put your key there: ssh-copy-id {device.host}")
    if "Could not resolve hostname" in said:
        hint = nearest(device.name, [LOCAL, *load_devices(config_file())])
        return DeviceError(f"{where} is neither in {config_file()} nor a host that ssh knows{hint}: {last}")
    return DroppedError(last)


def error_there(device: Device, values: dict[str, Any]) -> TfcompressError:
    """Return the error for what the device's agent met: ``{"error": text, "errno": name, "path": …}``."""
    reason, number = values["error"], values["errno"]
    full = {"ENOSPC": "the disk is full", "EDQUOT": "the quota is used up"}.get(number)
    if full:
        msg = (
            f"device {device.name}: cannot write {device.folder}: {full}; free some space there, or name another "
            f"folder by folder = … in {config_file()}"
        )
        return OutputError(msg)
    if number in ("EROFS", "EACCES", "EPERM", "ENOTDIR", "EEXIST", "ENOENT"):
        msg = (
            f"device {device.name}: cannot write {values['path'] or device.folder}: {reason.lower()}; name another "
            f"folder by folder = … in {config_file()}"
        )
        return OutputError(msg)
    return DeviceError(f"device {device.name}: {reason}{' ' + values['path'] if values['path'] else ''}")


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except OSError:  # what was not sent yet has nowhere to go
        return
