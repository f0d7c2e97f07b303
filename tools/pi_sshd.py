"""An OpenSSH server on loopback that stands for a device, for the tests and for trying things by hand.

    python tools/pi_sshd.py FOLDER [--root ROOT]        prints how to log in, and serves until Ctrl-C

Its keys, its configuration and the client's lie in FOLDER; the system's own ssh set-up is neither read nor changed.
Without ROOT a login is one to this machine as the user who started it. With ROOT, made by tools/make_pi_root.py, every
command that comes in runs in that emulated userland as its user pi (tools/pi_run.py, as root).
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "loopback"
"""What the device is called in the client's configuration."""


def sshd_binary() -> str | None:
    """Return the server's path, or None where it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Sshd:
    """A server, running while the block lasts.

    Attributes:
        folder: for keys and configuration.
        port: on 127.0.0.1.
        client_config: what ``ssh -F`` needs; it knows the server's key and calls it ``loopback``.
    """

    def __init__(self, folder: Path, forced: str = "") -> None:
        """Prepare a server in *folder* which runs *forced* in place of what a client asks for (empty: that)."""
        self.folder = folder
        self.port = _free_port()
        self.client_config = folder / "ssh_config"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("host", "client", "stranger"):
            if not (folder / name).exists():
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "client.pub", folder / "authorized_keys")
        self.know("host")
        self._write_server(forced)
        self._write_client()

    def know(self, key: str) -> None:
        """Make the client believe that the server's key is the one in the file *key*; empty: that it has none."""
        public = (self.folder / f"{key}.pub").read_text().split()[:2] if key else []
        line = f"[127.0.0.1]:{self.port} {' '.join(public)}\n" if public else ""
        (self.folder / "known_hosts").write_text(line)

    def _write_server(self, forced: str) -> None:
        lines = [
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no",
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no",
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nMaxStartups 100",
            *([f"ForceCommand {forced}"] if forced else []),
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def _write_client(self) -> None:
        self.client_config.write_text(
            f"Host {NAME}\n HostName 127.0.0.1\n Port {self.port}\n User {getpass.getuser()}\n"
            f"Host *\n IdentityFile {self.folder}/client\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {self.folder}/known_hosts\n GlobalKnownHostsFile /dev/null\n"
        )

    def __enter__(self) -> Sshd:
        """Start the server and wait until it answers."""
        binary = sshd_binary()
        if binary is None:
            msg = "sshd is not installed: apt-get install openssh-server"
            raise FileNotFoundError(msg)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation wants it
        with (self.folder / "log").open("wb") as log:
            command = [binary, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)
        for _ in range(1000):
            if "listening" in (self.folder / "log").read_text():
                return self
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        self.__exit__()
        raise RuntimeError((self.folder / "log").read_text())

    def __exit__(self, *exception: object) -> None:
        """End the server; sessions that go on are ended too."""
        self.cut()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def cut(self) -> int:
        """Kill every connection, as a pulled cable would end it; return how many processes held them."""
        cut = 0
        for connection in self._children():
            with contextlib.suppress(ProcessLookupError):  # it ended by itself a moment ago
                os.kill(connection, signal.SIGKILL)
                cut += 1
        return cut

    def _children(self) -> list[int]:
        """Return the processes that hold a connection each; what a user runs below them is left alone."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            fields = _read(path).rsplit(")", 1)[-1].split()
            if self._process and fields[1:2] == [str(self._process.pid)] and fields[0] != "Z":
                found.append(int(path.parent.name))
        return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def forced_into(root: Path) -> str:
    """Return the command that leads every login into *root*."""
    return shlex.join([sys.executable, str(HERE / "pi_run.py"), "--ssh", str(root.resolve())])


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path, help="lead every login into this emulated userland")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with Sshd(given.folder.resolve(), forced_into(given.root) if given.root else "") as server:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        print(f"ssh -F {server.client_config} {NAME}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
