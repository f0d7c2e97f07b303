"""Files timed on a device in one visit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcompress.devices import stopwatch
from tfcompress.devices.config import Device, parse_device
from tfcompress.devices.fleet import DeviceMeasurement
from tfcompress.errors import DeviceError, UsageError

INT8 = (Path(__file__).parents[1] / "data" / "tflite" / "int8.tflite").read_bytes()
PI = Device(name="pi5", host="pi5")


def test_this_machine_needs_none_and_a_microcontroller_measures_no_time() -> None:
    assert stopwatch.stopwatch_for("local") is None
    found = stopwatch.stopwatch_for("ssh://pi@10.0.0.1")
    assert found is not None
    assert found.name == "pi@10.0.0.1"
    for word in ("tflm", "ethos-u55-128", "vela:u55-64"):
        with pytest.raises(UsageError, match=f"--device {word} measures no time"):
            stopwatch.stopwatch_for(word)


def test_who_stays_here_is_not_stopped_by_a_broken_list_of_devices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tfcompress").mkdir()
    (tmp_path / "tfcompress" / "devices.toml").write_text("[pi5")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert stopwatch.stopwatch_for("local") is None
    with pytest.raises(UsageError, match=r"devices\.toml is not TOML"):
        stopwatch.stopwatch_for("pi5")


def test_what_runs_has_a_time_and_what_does_not_a_reason() -> None:
    here = stopwatch.DeviceStopwatch(parse_device("local", {}))
    timed, refused = here.seconds([INT8, b"no model"], in_turns=False)
    assert isinstance(timed, float)
    assert 0 < timed < 1
    assert isinstance(refused, str)


def test_a_device_that_gives_nothing_is_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(devices, workload, **_):
        assert [len(path.read_bytes()) for path in workload.models] == [len(INT8)]
        return (DeviceMeasurement(device=devices[0], error=DeviceError("device pi5 cannot be reached")),)

    monkeypatch.setattr(stopwatch, "measure_on_devices", nobody)
    with pytest.raises(DeviceError, match="cannot be reached"):
        stopwatch.DeviceStopwatch(PI).seconds([INT8], in_turns=True)
