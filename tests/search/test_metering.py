"""How a search measures files on its device."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tfcompress.devices.config import find_timing_device
from tfcompress.devices.fleet import DeviceMeasurement
from tfcompress.devices.local import Settings
from tfcompress.errors import ContractError, DeviceError
from tfcompress.search import metering
from tfcompress.search.metering import DeviceFigures, Meter


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


def document(**energy: Any) -> dict[str, Any]:
    timing = {"summary": {"median_ms": 1.0, "p90_ms": 1.5}}
    model = {"file": "a.tflite", "sha256": "0", "status": "ok", "timing": timing, "energy": energy}
    return {"models": [{"settings": None, "accuracy": None, "memory": None, "reason": None, **model}]}


def test_energy_is_what_was_measured_and_nothing_else() -> None:
    here = find_timing_device("local")
    measured = document(joules_per_inference=0.002, kind="measured")
    assert Meter(here).figures_in(measured) == DeviceFigures(1.5, None)
    meter = Meter(here, energy=True, more=("--threads", "2"))
    assert meter.figures_in(measured) == DeviceFigures(1.5, 0.002)
    for found, reason in (
        (
            document(joules_per_inference=0.002, kind="assumed", reason="not measured: 4 W were assumed"),
            "not measured: 4 W",
        ),
        (document(joules_per_inference=None, reason="nothing here measures power"), "nothing here measures power"),
        (document(), "it reports none"),
    ):
        with pytest.raises(
            DeviceError, match=rf"device local measures no energy: .*{reason}.*; say what does \(--also"
        ):
            meter.figures_in(found)
    with pytest.raises(
        ContractError, match=r"local cannot tell the energy of a\.tflite from none: the interval holds zero"
    ):
        meter.figures_in(document(joules_per_inference=-1e-3, kind="measured", reason="the interval holds zero"))


@pytest.mark.slow
def test_a_program_that_prints_watts_gives_joules_of_an_inference(tmp_path: Path) -> None:
    watts = tmp_path / "watts.py"
    watts.write_text(
        "with open('/proc/loadavg') as load:\n    running = int(load.read().split()[3].split('/')[0])\n"
        "import time\nprint(5 + time.monotonic() % 1000 / 1e6 + 2 * running)\n"
    )
    more = ("--power-command", f"{sys.executable} {watts}")
    meter = Meter(find_timing_device("local"), energy=True, more=more, timing=Settings(runs=5, seconds=0.1))
    entry = meter.document(Path(__file__).parents[1] / "data" / "blobs_int8.tflite")["models"][0]["energy"]
    assert entry["kind"] == "measured"
    assert entry["source"].startswith("command ")
