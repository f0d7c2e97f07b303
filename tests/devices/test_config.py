"""Which words name a device, and what devices.toml may hold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.devices import config
from tfcompress.devices.config import Device
from tfcompress.errors import UnsupportedError, UsageError


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tfcompress").mkdir()
    return tmp_path / "tfcompress" / "devices.toml"


@pytest.mark.parametrize(
    ("word", "device"),
    [
        ("local", Device(name="local", host="localhost", python=sys.executable)),
        ("pi.lan", Device(name="pi.lan", host="pi.lan")),
        ("ssh://pi.lan", Device(name="pi.lan", host="pi.lan")),
        ("ssh://pi@10.0.0.2:2222/", Device(name="pi@10.0.0.2:2222", host="10.0.0.2", user="pi", port=2222)),
        ("ssh://pi@[fe80::1%eth0]", Device(name="pi@[fe80::1%eth0]", host="fe80::1%eth0", user="pi")),
    ],
)
def test_a_word_names_a_device(word: str, device: Device) -> None:
    assert config.parse_device(word, {}) == device


def test_a_table_of_the_file_goes_before_what_ssh_knows(toml: Path) -> None:
    toml.write_text('[pi]\nhost = "10.0.0.2"\nuser = "me"\nport = 7\npython = "~/x/bin/python"\nfolder = "/tmp/x"\n')
    expected = Device(name="pi", host="10.0.0.2", user="me", port=7, python="~/x/bin/python", folder="/tmp/x")
    assert config.find_devices(["pi", "ssh-alias"]) == (expected, Device(name="ssh-alias", host="ssh-alias"))


def test_an_empty_table_is_a_host_of_its_own_name(toml: Path) -> None:
    toml.write_text("[pi]\n")
    assert config.find_devices(["pi"]) == (Device(name="pi", host="pi"),)


def test_without_a_file_there_are_no_names(toml: Path) -> None:
    assert config.load_devices(toml) == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("-oProxyCommand=x", r"--device must be local, ssh://user@host, .*, got '-oProxyCommand=x'"),
        ("pi;reboot", "--device must be local, .*got 'pi;reboot'"),
        ("$(reboot)", "--device must be local, "),
        ("pi\n", "--device must be local, "),
        ("", "--device must be local, "),
        (
            "ssh://-oProxyCommand=x",
            "--device must be ssh://user@host or ssh://user@host:port, got 'ssh://-oProxyCommand",
        ),
        ("ssh://a b@host", "--device must be ssh://user@host"),
        ("ssh://pi@host/folder", "--device must be ssh://user@host"),
        ("ssh://", "--device must be ssh://user@host"),
        ("http://pi", "--device must be ssh://user@host"),
        ("ssh://pi@host:99999", "--device 'ssh://pi@host:99999' is no address: Port out of range"),
        ("ssh://pi:secret@host", "--device must hold no password; log in with a key"),
    ],
)
def test_a_word_that_can_name_no_device_is_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config.parse_device(word, {})


@given(st.text(min_size=1))
def test_no_word_reaches_ssh_that_its_command_line_or_a_shell_could_misread(word: str) -> None:
    try:
        device = config.parse_device(word, {})
    except (UsageError, UnsupportedError):
        return
    for part in (device.host, device.user or "pi"):
        assert not part.startswith("-")
        assert all(sign.isascii() and (sign.isalnum() or sign in "._-:%") for sign in part)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        config.parse_device("ssh://pi:secret@host", {})
    assert "secret" not in str(caught.value)


def test_android_is_said_to_be_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="Android through adb is not supported; run an sshd on the device"):
        config.parse_device("adb:emulator-5554", {})


def test_a_device_given_twice_is_refused(toml: Path) -> None:
    with pytest.raises(UsageError, match="--device pi is given twice; measurements on one device would disturb"):
        config.find_devices(["pi", "local", "pi"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pi", "devices.toml is not TOML: "),
        ("pi = 3", r"each device must be a table called by letters, .*got 'pi'"),
        ("[local]", r"each device must be a table .*\(not 'local'\), got 'local'"),
        ('["-p"]', "each device must be a table"),
        ("[pi]\nhots = 'x'", r"pi has no key 'hots' \(did you mean 'host'\?\); it has folder, host, port, python"),
        ("[pi]\nport = '22'", "pi.port must be a whole number between 1 and 65535, got '22'"),
        ("[pi]\nport = 0", "pi.port must be a whole number between 1 and 65535, got 0"),
        ("[pi]\nhost = '-x'", "pi.host must be a name that ssh knows, or an address, got '-x'"),
        ("[pi]\nuser = 'a b'", "pi.user must be a user's name, got 'a b'"),
        ("[pi]\npython = '-c'", "pi.python must be the path of a Python, got '-c'"),
        ('[pi]\nfolder = "a\\nb"', "pi.folder must be the path of a folder, got"),
        ("[pi]\nssh_config = 3", "pi.ssh_config must be the path of a file, got 3"),
    ],
)
def test_a_broken_file_is_refused_with_place_and_reason(toml: Path, text: str, message: str) -> None:
    toml.write_text(text)
    with pytest.raises(UsageError, match=message):
        config.find_devices(["pi"])


def test_a_file_that_is_no_text_is_refused(toml: Path) -> None:
    toml.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"devices.toml cannot be read: not UTF-8 text"):
        config.find_devices(["pi"])


def test_a_folder_in_the_file_s_place_is_refused(toml: Path) -> None:
    toml.mkdir()
    with pytest.raises(UsageError, match=r"devices.toml cannot be read: Is a directory"):
        config.find_devices(["pi"])
