"""How a search measures files on its device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfcompress.devices.config import find_timing_device
from tfcompress.devices.fleet import DeviceMeasurement
from tfcompress.errors import DeviceError
from tfcompress.search import metering
from tfcompress.search.metering import Meter


@pytest.mark.parametrize("reached", [False, True])
def test_a_device_is_waited_for_from_its_first_answer_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, reached: bool
) -> None:
    asked: list[bool] = []

    def measured(
        devices: tuple[Any, ...], workload: object, *, progress: object, reached: bool
    ) -> tuple[DeviceMeasurement, ...]:
        asked.append(reached)
        if len(asked) == 1:
            return (DeviceMeasurement(device=devices[0], error=DeviceError("device pi cannot be reached")),)
        return (DeviceMeasurement(device=devices[0], document={"models": []}),)

    monkeypatch.setattr(metering, "measure_on_devices", measured)
    monkeypatch.setattr(metering, "device_conditions", lambda document: "1 thread")
    meter = Meter(find_timing_device("ssh://pi@192.0.2.7"), reached=reached)
    with pytest.raises(DeviceError, match="device pi cannot be reached"):
        meter.document(tmp_path / "a.tflite")
    assert meter.conditions == ""
    for _ in range(2):
        assert meter.document(tmp_path / "a.tflite") == {"models": []}
    assert asked == [reached, reached, True]
    assert meter.conditions == "1 thread"
