"""A PostgreSQL server of its own on loopback, in a temporary folder, that tests stop and start again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

USER = "tester"


def server_binaries() -> Path | None:
    """Return the folder that holds ``initdb`` and ``postgres``; None: they are not installed."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian has them on no path
    return next((each for each in places if (each / "initdb").is_file() and (each / "postgres").is_file()), None)


class PostgresServer:
    """A server, running while the block lasts; its superuser is ``tester``, and it lets everybody on loopback in.

    Attributes:
        url: of its database, as SQLAlchemy has it.
    """

    def __init__(self, binaries: Path) -> None:
        """Make the database.

        Args:
            binaries: as of :func:`server_binaries`.
        """
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="tfcompress-postgres-"))
        self._other: dict[str, Any] = {}
        if os.getuid() == 0:  # as root it does not run
            other = pwd.getpwnam("postgres" if any(each.pw_name == "postgres" for each in pwd.getpwall()) else "nobody")
            self._other = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
            os.chown(self._folder, other.pw_uid, other.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        words = ["initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale", "C", "--no-sync", "-D"]
        self._run([*words, str(self._folder / "data")]).check_returncode()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://{USER}@127.0.0.1:{self._port}/postgres"

    def _run(self, words: list[str]) -> subprocess.CompletedProcess[bytes]:
        program = str(self._binaries / words[0])
        return subprocess.run(
            [program, *words[1:]], cwd=self._folder, capture_output=True, check=False, timeout=120, **self._other
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        words = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), "-p", str(self._port)]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder), "fsync": "off"}
        words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, cwd=self._folder, stdout=log, stderr=log, **self._other)
        ask = ["psql", "-h", "127.0.0.1", "-p", str(self._port), "-U", USER, "-Atc", "select 1", "postgres"]
        end = time.monotonic() + 60
        while self._run(ask).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once, as a crash would: every connection is gone, and what was committed is not."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
            self._process = None

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
