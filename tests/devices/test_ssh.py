"""What ssh is called with, and what its end means."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.devices import ssh
from tfcompress.devices.config import Device
from tfcompress.devices.ssh import Connection, DroppedError, connection_command, connection_error, quoted
from tfcompress.errors import DeviceError, MissingDependencyError, TfcompressError

PI = Device(name="pi", host="raspberrypi", user="pi", port=2222, ssh_config="~/c")


def test_ssh_never_asks_and_keeps_its_own_host_checks() -> None:
    words = connection_command(PI, 10)
    assert "BatchMode=yes" in words
    assert not any("HostKey" in word or "KnownHosts" in word for word in words)
    assert words[words.index("-F") + 1] == str(Path("~/c").expanduser())
    assert (words[words.index("-l") + 1], words[words.index("-p") + 1]) == ("pi", "2222")
    assert words[-3:-1] == ["--", "raspberrypi"]


def test_without_settings_ssh_s_own_configuration_decides() -> None:
    words = connection_command(Device(name="pi", host="pi"), 10)
    assert not {"-F", "-l", "-p"} & set(words)


@pytest.mark.parametrize(
    ("place", "reason"), [("/dev/zero", "a pipe or a device"), ("missing", "no such file"), (".", "is a directory")]
)
def test_a_configuration_that_ssh_cannot_read_or_never_ends_is_refused_at_once(
    place: str, reason: str, tmp_path
) -> None:
    device = dataclasses.replace(PI, ssh_config=str(tmp_path / place))
    with (
        pytest.raises(DeviceError, match=rf"device pi: ssh_config '.*' cannot be read: .*{reason}"),
        Connection(device),
    ):
        pytest.fail("connected")


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1))
def test_a_path_is_one_word_for_the_shell_there(path: str) -> None:
    if not path.startswith("~/"):
        assert shlex.split(quoted(path)) == [path]


def test_the_home_there_is_found_by_the_shell_there() -> None:
    done = subprocess.run(
        ["sh", "-c", f"printf %s {quoted('~/my $(x) python')}"],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": "/h"},
    )
    assert done.stdout == "/h/my $(x) python"


@pytest.mark.parametrize(
    ("code", "said", "kind", "message"),
    [
        (255, "ssh: connect to host x port 22: Connection timed out", DroppedError, "Connection timed out"),
        (255, "", DroppedError, "it said nothing"),
        (137, "Killed", DroppedError, "Killed"),
        (-15, "", DroppedError, "it said nothing"),
        (
            127,
            "sh: 1: exec: python3: not found",
            MissingDependencyError,
            "Python 3.9 or later, got: sh: 1: exec",
        ),
        (126, "Permission denied", MissingDependencyError, "got: Permission denied; install python3 there"),
        (1, "tfcompress-agent needs Python 3.9, got 3.7.3", MissingDependencyError, "got: Python 3.9, got 3.7.3"),
        (1, "Traceback\nMemoryError", DeviceError, "the agent there ended with exit code 1: MemoryError"),
        (255, "ssh: Could not resolve hostname p: Name", DeviceError, r"device pi is neither in .*devices.toml nor"),
    ],
)
def test_the_end_of_a_connection_is_explained(code: int, said: str, kind: type[Exception], message: str) -> None:
    error = connection_error(PI, code, said)
    assert type(error) is kind
    with pytest.raises(kind, match=message):
        raise error


def test_a_misspelt_name_gets_the_nearest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tfcompress").mkdir()
    (tmp_path / "tfcompress" / "devices.toml").write_text("[kitchen]\n")
    error = connection_error(
        Device(name="kitchn", host="kitchn"), 255, "ssh: Could not resolve hostname kitchn: unknown"
    )
    assert "(did you mean 'kitchen'?)" in str(error)


def test_a_desk_without_ssh_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependencyError, match="ssh is not installed here; install OpenSSH's client"):
        Connection(dataclasses.replace(PI, ssh_config=None)).__enter__()


def test_what_answers_without_the_agent_s_language_is_an_error(device: Device) -> None:
    with Connection(device) as session:
        session.read_line = lambda: b"Have a nice day\n"  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match=r"answered b'Have a nice day\\n'; does its login script print"):
            session.ask("hello")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("EDQUOT", "cannot write ~/.cache/tfcompress: the quota is used up; free some space there"),
        ("EACCES", "cannot write /x: permission denied; name another folder by folder = …"),
        ("EIO", "device pi: Permission denied /x"),
        ("", "device pi: Permission denied /x"),
    ],
)
def test_trouble_there_is_told_with_its_remedy(number: str, message: str) -> None:
    error = ssh.error_there(PI, {"error": "Permission denied", "errno": number, "path": "/x"})
    with pytest.raises(TfcompressError, match=message):
        raise error
