"""How long a file takes on the device that a search measures on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfcompress.devices.bundle import Workload
from tfcompress.devices.config import Device
from tfcompress.devices.fleet import measure_on_devices
from tfcompress.devices.local import Settings
from tfcompress.devices.rows import device_conditions, device_rows
from tfcompress.errors import ContractError, TfcompressError
from tfcompress.progress import SILENT, Progress

TIMING = Settings(runs=50, seconds=1.0)
"""How files are timed."""


class Meter:
    """Measures files on one device.

    Attributes:
        device: which.
        conditions: without which a latency means nothing, once something was measured; empty before.
    """

    def __init__(
        self, device: Device, *, timing: Settings = TIMING, progress: Progress = SILENT, reached: bool = False
    ) -> None:
        """Measure nothing yet.

        Args:
            device: which.
            timing: how files are timed.
            progress: where progress goes.
            reached: whether the device was there before, so that it is waited for.
        """
        self.device, self.conditions = device, ""
        self._timing, self._progress, self._reached = timing, progress, reached

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

    def p90_ms(self, file: Path) -> float:
        """Return what nine of ten inferences take at most, in ms.

        Raises:
            ContractError: the device cannot run the file.
            TfcompressError: see :meth:`document`.
        """
        return p90_of(self.document(file), self.device)


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
