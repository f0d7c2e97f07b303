"""How long a file takes on the device that a search measures on, and how much energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.devices.bundle import Workload
from tfcompress.devices.config import Device
from tfcompress.devices.fleet import measure_on_devices
from tfcompress.devices.local import Settings
from tfcompress.devices.rows import device_conditions, device_rows
from tfcompress.errors import ContractError, DeviceError, TfcompressError
from tfcompress.progress import SILENT, Progress

TIMING = Settings(runs=50, seconds=1.0)
"""How files are timed."""


@dataclass(frozen=True)
class DeviceFigures:
    """What was measured of a file.

    Attributes:
        p90_ms: nine of ten inferences take at most so long.
        joules: of an inference above idle; None: not asked for.
    """

    p90_ms: float
    joules: float | None = None


MeasureFile = Callable[[Path], DeviceFigures]
"""Measures a .tflite, or raises a ContractError where the device cannot run it."""


class Meter:
    """Measures files on one device.

    Attributes:
        device: which.
        energy: whether joules are measured, too.
        more: further arguments of edge_runner.
        conditions: without which a latency means nothing, once something was measured; empty before.
    """

    def __init__(
        self,
        device: Device,
        *,
        energy: bool = False,
        more: Sequence[str] = (),
        timing: Settings = TIMING,
        progress: Progress = SILENT,
        reached: bool = False,
    ) -> None:
        """MeasureFile nothing yet.

        Args:
            device: which.
            energy: measure joules, too.
            more: further arguments of edge_runner.
            timing: how files are timed.
            progress: where progress goes.
            reached: whether the device was there before, so that it is waited for.
        """
        self.device, self.energy, self.more, self.conditions = device, energy, tuple(more), ""
        asked = (*timing.more, *(("--energy",) if energy else ()), *self.more)
        self._timing = dataclasses.replace(timing, more=asked)
        self._progress, self._reached = progress, reached

    def document(self, file: Path) -> dict[str, Any]:
        """Return edge_runner's document on a file.

        Raises:
            DeviceError: the device gives no result, or cannot be reached for too long.
            TfcompressError: what else came of it.
        """
        workload = Workload(models=(file,), settings=self._timing)
        outcome = measure_on_devices((self.device,), workload, progress=self._progress, reached=self._reached)[0]
        if outcome.document is None:
            raise outcome.error or TfcompressError
        self._reached = True
        self.conditions = device_conditions(outcome.document)
        return dict(outcome.document)

    def figures(self, file: Path) -> DeviceFigures:
        """Return what nine of ten inferences take at most, and the energy of one where that is asked for.

        Raises:
            ContractError: the device cannot run the file, or tell its energy from none.
            DeviceError: it measures no energy.
            TfcompressError: see :meth:`document`.
        """
        return self.figures_in(self.document(file))

    def figures_in(self, document: dict[str, Any]) -> DeviceFigures:
        """Return the same of a document. Raises as :meth:`figures` does."""
        p90_ms = p90_of(document, self.device)
        return DeviceFigures(p90_ms, joules_of(document, self.device) if self.energy else None)


def p90_of(document: dict[str, Any], device: Device) -> float:
    """Return the p90 of the first model of a document, in ms.

    Raises:
        ContractError: it was not timed; with edge_runner's reason.
    """
    row = device_rows(document)[0]
    if row.failure or row.p90_ms is None:
        msg = f"{device.name} cannot time {row.model}: {row.failure or 'no timing'}"
        raise ContractError(msg)
    return row.p90_ms


def joules_of(document: dict[str, Any], device: Device) -> float:
    """Return the energy of an inference of the first model of a document, in J.

    Raises:
        DeviceError: the device measures none; with edge_runner's reason.
        ContractError: it is too little to be told from nothing.
    """
    model = document["models"][0]
    found = model.get("energy") or {}
    joules, reason = found.get("joules_per_inference"), found.get("reason")
    if found.get("kind") != "measured" or joules is None:
        msg = (
            f"device {device.name} measures no energy: {reason or 'it reports none'}; say what does (--also "
            "'--power-command ...', or --ina likewise), or leave --energy and --max-energy out"
        )
        raise DeviceError(msg)
    if joules <= 0:
        msg = f"{device.name} cannot tell the energy of {model['file']} from none: {reason or 'it is below idle'}"
        raise ContractError(msg)
    return float(joules)
