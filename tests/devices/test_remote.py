"""Measuring through a real sshd on loopback, and everything that goes wrong on the way."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tfcompress.devices import local, remote
from tfcompress.devices.bundle import Workload, bundle_of
from tfcompress.devices.config import Device, find_timing_device
from tfcompress.devices.remote import Remote, check_reachable
from tfcompress.devices.ssh import Connection, DroppedError
from tfcompress.errors import DeviceError, MissingDependencyError, OutputError, TfcompressError, UsageError
from tfcompress.files import sha256
from tfcompress.progress import SilentProgress
from tools.pi_sshd import NAME, Sshd

INT8 = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


class Heard(SilentProgress):
    """Keeps what was told; as a task too, which does something when it hears certain words."""

    def __init__(self, **reactions: object) -> None:
        self.notes: list[str] = []
        self.texts: list[str] = []
        self.reactions = reactions

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, steps: float = 1) -> None:
        del steps

    def describe(self, text: str) -> None:
        self.texts.append(text)
        reaction = self.reactions.pop(text.split(" ")[0], None)
        if callable(reaction):
            reaction()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.05)


def measure(device: Device, workload: Workload, heard: Heard | None = None, **options: float) -> Any:
    heard = heard or Heard()
    return Remote(device, bundle_of(workload), progress=heard, **options).measure(heard)


def with_more(workload: Workload, *more: str) -> Workload:
    settings = dataclasses.replace(workload.settings, more=(*workload.settings.more, *more))
    return dataclasses.replace(workload, settings=settings)


def gone_from(server: Sshd, *then: Path) -> Callable[[], None]:
    """Return what cuts the connection, and then makes files."""

    def cut() -> None:
        assert server.cut() >= 1
        for path in then:
            path.touch()

    return cut


def runs(device: Device) -> list[Path]:
    return list(Path(device.folder, "runs").iterdir())


def test_a_model_is_measured_there_and_nothing_of_the_run_stays(device: Device) -> None:
    workload = Workload(models=(INT8,), settings=local.Settings(quick=True))
    document = measure(device, workload)
    assert [(model["sha256"], model["status"]) for model in document["models"]] == [(sha256(INT8), "ok")]
    assert runs(device) == []


def test_what_is_there_is_not_sent_again(device: Device, workload: Workload) -> None:
    first, second = Heard(), Heard()
    measure(device, workload, first)
    measure(device, workload, second)
    assert any(text.startswith("sending") for text in first.texts)
    assert not any(text.startswith("sending") for text in second.texts)


def test_what_was_damaged_there_is_sent_again(device: Device, workload: Workload) -> None:
    measure(device, workload)
    Path(device.folder, "store", sha256(workload.models[0])).write_bytes(b"bits that fell over")
    heard = Heard()
    measure(device, workload, heard)
    assert any(text.startswith("sending") for text in heard.texts)


def test_a_connection_that_is_cut_ends_no_measurement(
    server: Sshd, device: Device, long: Workload, end: Path, log: Path
) -> None:
    heard = Heard(measuring=gone_from(server, end))
    document = measure(device, long, heard)
    assert document["models"][0]["sha256"] == sha256(long.models[0])
    assert "connection lost" in heard.notes[-1]
    assert log.read_text().split() == ["start", "end"]
    assert runs(device) == []


def test_a_desk_that_goes_away_finds_its_measurement_again(
    device: Device, long: Workload, end: Path, log: Path
) -> None:
    first = Remote(device, bundle_of(long))
    with pytest.raises(DroppedError):
        first.measure(Heard(measuring=first.stop))
    end.touch()
    heard = Heard()
    measure(device, long, heard)
    assert any("took up the measurement" in note for note in heard.notes)
    assert log.read_text().split() == ["start", "end"]


def test_a_device_that_stays_away_is_an_error_that_says_the_run_goes_on(
    device: Device, long: Workload, end: Path, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "sshd").mkdir()
    heard = Heard()
    with Sshd(tmp_path / "sshd") as server:
        there = dataclasses.replace(device, ssh_config=str(server.client_config))
        heard.reactions["measuring"] = server.__exit__
        with pytest.raises(
            DeviceError, match=r"pi was not reached again for 1 s \(.*\); the measurement goes on there: the same"
        ):
            measure(there, long, heard, patience=1.0)
    assert any("connection lost" in note for note in heard.notes)
    end.touch()
    assert measure(device, long)["models"]  # another way to the same device
    assert log.read_text().split() == ["start", "end"]


def test_a_device_that_was_reached_before_is_waited_for_where_it_is_away_just_now(
    device: Device, workload: Workload, tmp_path: Path
) -> None:
    (tmp_path / "sshd").mkdir()
    server = Sshd(tmp_path / "sshd")
    away = dataclasses.replace(device, ssh_config=str(server.client_config))
    with pytest.raises(DeviceError, match=r"cannot be reached: .*Connection refused"):
        measure(away, workload)
    timer = threading.Timer(0.5, server.__enter__)
    timer.start()
    try:
        heard = Heard()
        assert measure(away, workload, heard, reached=True)["models"]
    finally:
        timer.join()
        server.__exit__()
    assert any("Connection refused); trying again in" in note for note in heard.notes)
    with pytest.raises(DeviceError, match=r"device pi was not reached again for 0 s \(.*Connection refused\)"):
        measure(away, workload, patience=0.0, reached=True)


def test_a_connection_that_always_breaks_at_once_is_given_up(
    server: Sshd, device: Device, long: Workload, end: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Remote, "visit", lambda remote, session, task: gone_from(server)() or session.ask("hello"))
    heard = Heard()
    with pytest.raises(DeviceError, match=r"pi was not reached again for 1 s"):
        measure(device, long, heard, patience=1.0)
    assert 1 <= len([note for note in heard.notes if "connection lost" in note]) <= 5


def test_whoever_answers_for_a_device_that_went_away_needs_its_key(
    server: Sshd, device: Device, long: Workload, end: Path
) -> None:
    def another() -> None:
        server.know("stranger")
        gone_from(server, end)()

    with pytest.raises(DeviceError, match="device pi: its host key is not the one that ssh knows, so nothing was sent"):
        measure(device, long, Heard(measuring=another))


def test_a_measurement_can_be_ended_from_here(device: Device, long: Workload, log: Path) -> None:
    first = Remote(device, bundle_of(long))
    with pytest.raises(DroppedError):
        first.measure(Heard(measuring=first.stop))
    Remote(device, bundle_of(long)).cancel()
    assert runs(device) == []
    assert log.read_text().split() == ["start"]


def test_a_measurement_that_dies_there_is_an_error_and_the_next_begins_anew(
    device: Device, long: Workload, end: Path, log: Path
) -> None:
    def power_cut() -> None:
        (run,) = runs(device)
        os.killpg(int((run / "pid").read_text()), signal.SIGKILL)

    with pytest.raises(DeviceError, match=r"ended without a result \(last: measuring\); the device went down"):
        measure(device, long, Heard(measuring=power_cut))
    end.touch()
    assert measure(device, long)["models"]
    assert log.read_text().split() == ["start", "start", "end"]


def test_two_measurements_on_one_device_take_turns(
    device: Device, workload: Workload, long: Workload, end: Path, log: Path
) -> None:
    other = threading.Thread(target=measure, args=(device, long))
    other.start()
    while not log.exists():
        time.sleep(0.01)
    heard = Heard(waiting=end.touch)
    measure(device, workload, heard)
    other.join()
    assert "waiting for another measurement on this device" in heard.texts
    assert log.read_text().split() == ["start", "end", "start", "end"]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (2, UsageError, "edge_runner: error: --seconds must be more"),
        (3, MissingDependencyError, "edge_runner: no interpreter is installed: pip install x"),
        (1, TfcompressError, "KeyError: 1"),
    ],
)
def test_a_runner_that_fails_says_why(
    device: Device, workload: Workload, code: int, kind: type[TfcompressError], said: str
) -> None:
    with pytest.raises(kind, match=rf"device pi: .*{said.removeprefix('edge_runner: ').removeprefix('error: ')}"):
        measure(device, with_more(workload, "--say", said, "--code", str(code)))
    assert runs(device) == []


def test_a_key_that_changed_is_refused(server: Sshd, device: Device, workload: Workload) -> None:
    server.know("stranger")
    with pytest.raises(DeviceError, match=r"its host key is not the one that ssh knows, so nothing was sent; .*keygen"):
        measure(device, workload)
    assert not Path(device.folder).exists()


def test_a_host_that_ssh_does_not_know_is_refused(server: Sshd, device: Device, workload: Workload) -> None:
    server.know("")
    with pytest.raises(DeviceError, match=rf"ssh does not know its host key; log in once by hand \(ssh {NAME}\)"):
        measure(device, workload)
    assert not Path(device.folder).exists()


def test_a_login_that_is_refused_names_the_remedy(
    server: Sshd, device: Device, workload: Workload, tmp_path: Path
) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(server.client_config.read_text().replace("/client", "/stranger"))
    with pytest.raises(DeviceError, match=rf"ssh may not log in \(.*Permission denied.*\); .*ssh-copy-id {NAME}"):
        measure(dataclasses.replace(device, ssh_config=str(config)), workload)


def test_a_closed_port_is_an_error_at_once(device: Device, workload: Workload) -> None:
    with pytest.raises(DeviceError, match=r"device pi cannot be reached: .*Connection refused"):
        measure(dataclasses.replace(device, port=1), workload)


def test_a_device_is_tried_before_anything_slow_is_done_for_it(device: Device, small_disk: Path) -> None:
    check_reachable(device)
    assert Path(device.folder).is_dir()
    check_reachable(find_timing_device("local"))
    with pytest.raises(DeviceError, match=r"device pi cannot be reached: .*Connection refused"):
        check_reachable(dataclasses.replace(device, port=1))
    with pytest.raises(DeviceError, match=r"device pi is neither in .* nor a host that ssh knows"):
        check_reachable(dataclasses.replace(device, host="no.such.invalid"))
    with pytest.raises(MissingDependencyError, match=r"no-python must be Python 3.9 or later"):
        check_reachable(dataclasses.replace(device, python="no-python"))
    remount(small_disk, "size=900k")
    with pytest.raises(OutputError, match=r"/device must have 1.0 MB free, got 0.\d MB; free some space there"):
        check_reachable(dataclasses.replace(device, folder=str(small_disk / "device")))


def test_a_device_that_hangs_up_on_the_first_call_is_called_again_and_that_is_said(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn(Connection):
        """Ends, the first times, while the device is asked; or before the login."""

        left = 2

        def __enter__(self) -> Connection:
            Torn.left -= 1
            if Torn.left == 0:
                self.__exit__()
                msg = "kex_exchange_identification: Connection closed by remote host"
                raise DroppedError(msg)
            return super().__enter__()

        def ask(self, do: str, told: Any = None, **values: Any) -> dict[str, Any]:
            if Torn.left > 0:
                self.close()
            return super().ask(do, told, **values)

    monkeypatch.setattr(remote, "Connection", Torn)
    heard, another = Heard(), dataclasses.replace(device, name="torn")
    check_reachable(another, heard)
    assert len(heard.notes) == 2
    assert all(note.startswith("torn: connection lost (") for note in heard.notes)
    Torn.left = 10**6  # it is not asked a second time
    check_reachable(another, heard)
    assert Torn.left == 10**6


def test_a_device_that_always_hangs_up_is_given_up(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shut(Connection):
        """Never gets to the login."""

        def __enter__(self) -> Connection:
            self.__exit__()
            msg = "Connection reset by peer"
            raise DroppedError(msg)

    monkeypatch.setattr(remote, "Connection", Shut)
    monkeypatch.setattr(remote, "CHECK_SECONDS", 0.3)
    with pytest.raises(DeviceError, match=r"device shut was not reached again for 0 s \(Connection reset by peer\)$"):
        check_reachable(dataclasses.replace(device, name="shut"))


def test_a_device_without_python_says_what_to_do(device: Device, workload: Workload) -> None:
    with pytest.raises(
        MissingDependencyError, match=r"no-python must be Python 3.9 or later, got: .*not found; install"
    ):
        measure(dataclasses.replace(device, python="no-python"), workload)


def test_an_older_python_says_what_to_do(device: Device, workload: Workload, tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\necho "tfcompress-agent needs Python 3.9, got 3.7.3" >&2\nexit 1\n')
    old.chmod(0o755)
    with pytest.raises(MissingDependencyError, match=r"got: Python 3.9, got 3.7.3; install python3 there"):
        measure(dataclasses.replace(device, python=str(old)), workload)


def test_something_that_is_no_python_is_an_error(device: Device, workload: Workload) -> None:
    with pytest.raises(DeviceError, match="the agent there ended with exit code 1: it said nothing"):
        measure(dataclasses.replace(device, python="/bin/false"), workload)


def test_a_python_without_an_interpreter_gets_the_pip_line_before_models_are_sent(
    device: Device, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    device = dataclasses.replace(device, python=str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(MissingDependencyError, match=r"no interpreter works with .* -m pip install"):
        measure(device, Workload(models=(INT8,)))
    assert not Path(device.folder, "store", sha256(INT8)).exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; remounted by the tests as they need it."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk takes root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_a_disk_that_is_too_small_is_known_before_anything_is_sent(
    device: Device, workload: Workload, small_disk: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.tflite"
    large.write_bytes(bytes(3_000_000))
    device = dataclasses.replace(device, folder=str(small_disk / "device"))
    with pytest.raises(OutputError, match=r"/device must have 4.0 MB free, got 2.\d MB; free some space there"):
        measure(device, dataclasses.replace(workload, models=(large,)))


def test_a_disk_that_fills_up_meanwhile_is_an_output_error(
    device: Device, workload: Workload, small_disk: Path
) -> None:
    device = dataclasses.replace(device, folder=str(small_disk / "device"))
    measure(device, workload)
    remount(small_disk, "nr_inodes=16")
    with pytest.raises(
        OutputError, match=r"device pi: cannot write .*/device: the disk is full; free some space there"
    ):
        measure(device, with_more(workload, "--code", "1"))
    remount(small_disk, "nr_inodes=1000")
    assert measure(device, with_more(workload, "--code", "1"))["models"]


def test_a_home_that_cannot_be_written_is_an_output_error(device: Device, workload: Workload, small_disk: Path) -> None:
    remount(small_disk, "ro")
    device = dataclasses.replace(device, folder=str(small_disk / "device"))
    with pytest.raises(
        OutputError, match=r"cannot write .*/disk/device: read-only file system; name another folder by folder = …"
    ):
        measure(device, workload)


def test_names_with_shell_characters_are_only_names(
    device: Device, workload: Workload, tmp_path: Path, log: Path
) -> None:
    nasty = "-a b'$(touch pwned)`touch pwned`;\"&|ü.tflite"
    model, python = tmp_path / nasty, tmp_path / "py $(touch pwned) 'x"
    model.write_bytes(b"model")
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    folder = tmp_path / "d e'$(touch pwned);\""
    device = dataclasses.replace(device, folder=str(folder), python=str(python))
    document = measure(device, dataclasses.replace(workload, models=(model,)))
    assert [entry["file"] for entry in document["models"]] == [nasty]
    assert list(tmp_path.rglob("pwned")) == []
    assert not (Path.home() / "pwned").exists()
    assert (folder / "store").is_dir()


def test_a_login_script_that_talks_is_let_talk(workload: Workload, device: Device, tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    talks.write_text('#!/bin/sh\necho "Welcome!"; echo "{}"\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    talks.chmod(0o755)
    (tmp_path / "sshd").mkdir()
    with Sshd(tmp_path / "sshd", str(talks)) as server:
        assert measure(dataclasses.replace(device, ssh_config=str(server.client_config)), workload)["models"]


def test_a_result_of_other_files_is_refused(device: Device, workload: Workload, runner: Path) -> None:
    main = runner / "__main__.py"
    main.write_text(main.read_text().replace("hexdigest()", "hexdigest()[::-1]"))
    with pytest.raises(DeviceError, match=r"device pi measured another net.tflite than was sent"):
        measure(device, workload)


def test_a_run_s_id_is_made_of_what_is_measured_and_how(workload: Workload) -> None:
    assert bundle_of(workload).run_id == bundle_of(workload).run_id
    assert bundle_of(workload).run_id != bundle_of(with_more(workload, "--code", "1")).run_id
    assert json.dumps(bundle_of(workload).tree).count("__main__.py") == 1
