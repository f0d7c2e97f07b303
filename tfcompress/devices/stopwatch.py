"""Files timed on a device for whoever chooses among many: all in one visit, one number a file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfcompress.devices.bundle import Workload
from tfcompress.devices.config import Device, find_timing_device
from tfcompress.devices.fleet import measure_on_devices
from tfcompress.devices.latency import median_ns
from tfcompress.devices.local import Settings
from tfcompress.errors import ContractError, TfcompressError
from tfcompress.progress import SILENT, Progress

APART = Settings(runs=30, seconds=0.1, warmup=5, threads=1, timeout=60.0, more=("--processes", "1", "--apart"))
"""How many small files are timed, which are only added up: one after the other, a process each."""
IN_TURNS = Settings(runs=50, seconds=1.0, threads=1)
"""How files are timed that are compared."""


def stopwatch_for(word: str, *, progress: Progress = SILENT) -> DeviceStopwatch | None:
    """Return what times files on a device; None for this machine, where no edge_runner is needed.

    Args:
        word: the device, as the user named it.
        progress: where progress goes.

    Raises:
        UsageError: no such device, or one that measures no time.
        UnsupportedError: a way to a device that there is not.
    """
    device = find_timing_device(word)
    return None if device.local else DeviceStopwatch(device, progress)


@dataclass(frozen=True)
class DeviceStopwatch:
    """Times files on one device that was reached before: a :class:`tfcompress.tflite.op_trials.Stopwatch`.

    Attributes:
        device: which.
        progress: where progress goes.
    """

    device: Device
    progress: Progress = SILENT

    @property
    def name(self) -> str:
        """What messages call the device."""
        return self.device.name

    def seconds(self, contents: Sequence[bytes], *, in_turns: bool) -> tuple[float | str, ...]:
        """Return the median time of an inference of each file, one thread, or why it does not run there.

        Args:
            contents: TFLite files.
            in_turns: compare them; else each is timed for itself, for a short while.

        Raises:
            DeviceError: the device cannot be reached, or gives no result.
            TfcompressError: what else kept it from measuring.
        """
        with tempfile.TemporaryDirectory(prefix="tfcompress-") as folder:
            files = tuple(Path(folder) / f"{number}.tflite" for number in range(len(contents)))
            for file, content in zip(files, contents, strict=True):
                file.write_bytes(content)
            workload = Workload(models=files, settings=IN_TURNS if in_turns else APART)
            outcome = measure_on_devices((self.device,), workload, progress=self.progress, reached=True)[0]
        if outcome.document is None:
            raise outcome.error or TfcompressError
        return tuple(map(_seconds, outcome.document["models"]))


def _seconds(found: dict[str, object]) -> float | str:
    try:
        return median_ns(found) / 1e9
    except ContractError:
        return str(found["reason"])
