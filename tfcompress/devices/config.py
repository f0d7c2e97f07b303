"""Which devices there are: ``local``, ``ssh://user@host:port``, a name from devices.toml, or one that ssh knows.

``devices.toml`` lies in ``~/.config/tfcompress`` (``$XDG_CONFIG_HOME/tfcompress``) and holds a table a device::

    [pi5]
    host = "192.168.1.20"            # or a name in ~/.ssh/config; without it, the table's own name
    user = "pi"
    port = 22
    python = "~/tflite/bin/python"   # the Python with an interpreter
    folder = "~/.cache/tfcompress"   # everything written there lies in it
    ssh_config = "~/work/ssh_config" # another file than ~/.ssh/config

Keys, jump hosts and whatever else ssh can do belong into ssh's own configuration.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfcompress import plain
from tfcompress.errors import UnsupportedError, UsageError, nearest
from tfcompress.schema import check_keys, check_value
from tfcompress.targets.target_table import TARGETS

LOCAL = "local"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_HOST = rf"{_NAME}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?"  # a name, an IPv4 or an IPv6 address
_FOLDER = "~/.cache/tfcompress"


@dataclass(frozen=True, kw_only=True)
class Device:
    """A machine to measure on.

    Attributes:
        name: how the user calls it; ``local`` is this machine.
        host: what ssh is asked for: a name it knows, or an address.
        user: to log in as; None: as ssh's configuration says.
        port: of its sshd; None: likewise.
        python: the Python there, of version 3.9 or later; ``~/`` is the home there.
        folder: where everything written there lies.
        ssh_config: another client configuration than ssh's own.
    """

    name: str
    host: str
    user: str | None = None
    port: int | None = None
    python: str = "python3"
    folder: str = _FOLDER
    ssh_config: str | None = None

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return self.name == LOCAL


_FIELDS = {field.name for field in fields(Device)} - {"name"}


def find_devices(words: Iterable[str]) -> tuple[Device, ...]:
    """Return the devices that the user named.

    Raises:
        UsageError: a name that cannot be one, one given twice, or a broken devices.toml.
        UnsupportedError: a way to a device that there is not.
    """
    known = load_devices(config_file())
    devices = tuple(parse_device(word, known) for word in words)
    names = [device.name for device in devices]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"--device {twice} is given twice; measurements on one device would disturb each other"
        raise UsageError(msg)
    return devices


def find_timing_device(word: str) -> Device:
    """Return the one device that the user named to have files timed on.

    Raises:
        UsageError: as :func:`find_devices`, and a microcontroller, which is tried at the desk and measures no time.
        UnsupportedError: a way to a device that there is not.
    """
    known = {} if word == LOCAL else load_devices(config_file())  # of no concern to whoever stays here
    if word not in known and (word.startswith("vela:") or (word in TARGETS and TARGETS[word].micro)):
        msg = (
            f"--device {word} measures no time: it is a microcontroller, whose files run here in its interpreter; "
            "give local, ssh://user@host, or a name from devices.toml"
        )
        raise UsageError(msg)
    return parse_device(word, known)


def parse_device(word: str, known: Mapping[str, Device]) -> Device:
    """Return the device called *word*, one of *known* or by itself.

    Raises:
        UsageError: it cannot be the name of a device.
        UnsupportedError: a way to a device that there is not.
    """
    if word == LOCAL:
        return Device(name=LOCAL, host="localhost", python=sys.executable)
    if word in known:
        return known[word]
    if word.partition(":")[0] == "adb":
        msg = (
            "Android through adb is not supported; run an sshd on the device (Termux has one) and give ssh://user@host"
        )
        raise UnsupportedError(msg)
    if "://" in word:
        return _from_url(word)
    if not re.fullmatch(_NAME, word):
        msg = (
            f"--device must be local, ssh://user@host, a name from {config_file()}, or a host that ssh knows "
            f"(letters, digits, '.', '_', '-'; not '-' first), got {word!r}{nearest(word, known)}"
        )
        raise UsageError(msg)
    return Device(name=word, host=word)


def _from_url(word: str) -> Device:
    try:
        url = urlsplit(word)
        port, host, user = url.port, url.hostname or "", url.username
    except ValueError as error:
        msg = f"--device {word!r} is no address: {error}"
        raise UsageError(msg) from error
    if url.password is not None:
        msg = "--device must hold no password; log in with a key (ssh-copy-id puts yours there)"
        raise UsageError(msg)
    fine = url.scheme == "ssh" and url.path in ("", "/") and not url.query and not url.fragment
    if not fine or not re.fullmatch(_HOST, host) or not (user is None or re.fullmatch(_NAME, user)):
        msg = f"--device must be ssh://user@host or ssh://user@host:port, got {word!r}"
        raise UsageError(msg)
    return Device(name=word.removeprefix("ssh://").rstrip("/"), host=host, user=user, port=port)


def config_file() -> Path:
    """Return where devices.toml is looked for."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "tfcompress" / "devices.toml"


def load_devices(path: Path) -> dict[str, Device]:
    """Read devices.toml; an empty dict when there is none.

    Raises:
        UsageError: it is not TOML, or holds what does not belong.
    """
    try:
        text = plain.read_text(path, plain.TOML_BYTES)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{path} cannot be read: {reason}"
        raise UsageError(msg) from error
    try:
        tables = plain.parse_toml(text)
    except ValueError as error:
        msg = f"{path} is not TOML: {error}"
        raise UsageError(msg) from error
    return {name: _device(name, table, path) for name, table in tables.items()}


def _device(name: str, table: object, path: Path) -> Device:
    if not isinstance(table, dict) or name == LOCAL or not re.fullmatch(_NAME, name):
        msg = (
            f"{path}: each device must be a table called by letters, digits, '.', '_' or '-' (not {LOCAL!r}), "
            f"got {name!r}"
        )
        raise UsageError(msg)
    check_keys(f"{path}: {name}", table, sorted(_FIELDS), UsageError)
    for key, (fine, what) in _checks(table).items():
        check_value(f"{path}: {name}.{key}", what, table.get(key), ok=fine or key not in table, error=UsageError)
    return Device(name=name, **{"host": name, **table})


def _checks(table: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Return, by setting, whether it is fine, and what it must be."""
    port = table.get("port")
    plain = {
        key: isinstance(table.get(key), str) and table[key] != "" and table[key].isprintable()
        for key in ("python", "folder", "ssh_config")
    }
    return {
        "host": (_matches(_HOST, table.get("host")), "a name that ssh knows, or an address"),
        "user": (_matches(_NAME, table.get("user")), "a user's name"),
        "port": (type(port) is int and 0 < port < 65536, "a whole number between 1 and 65535"),
        "python": (plain["python"] and not str(table.get("python")).startswith("-"), "the path of a Python"),
        "folder": (plain["folder"], "the path of a folder"),
        "ssh_config": (plain["ssh_config"], "the path of a file"),
    }


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None
