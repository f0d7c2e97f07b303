"""Measure on several devices at once; one that fails does not keep the others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tfcompress.devices import local
from tfcompress.devices.bundle import Workload, bundle_of
from tfcompress.devices.config import Device
from tfcompress.devices.remote import Remote
from tfcompress.errors import TfcompressError, UsageError
from tfcompress.progress import SILENT, Progress
from tfcompress.reports import edge


@dataclass(frozen=True, kw_only=True)
class DeviceMeasurement:
    """What became of one device: a document, or the error.

    Attributes:
        device: the device.
        document: edge_runner's.
        error: why there is none.
    """

    device: Device
    document: edge.Document | None = None
    error: TfcompressError | None = None


def measure_on_devices(
    devices: Sequence[Device],
    workload: Workload,
    *,
    progress: Progress = SILENT,
    patience: float = 600.0,
    reached: bool = False,
) -> tuple[DeviceMeasurement, ...]:
    """Measure *workload* on every device, all at the same time.

    Args:
        devices: where; no two of one name.
        workload: what.
        progress: where progress goes.
        patience: seconds to go on trying when a connection that worked is gone.
        reached: whether all of them were there before: who is not there now is waited for.

    Returns:
        One outcome a device, in their order.

    Raises:
        ModelError: a model cannot be read.
        DataError: the data cannot be read.
        KeyboardInterrupt: Ctrl-C; what runs on a device goes on, and the same call takes it up.
    """
    bundle = bundle_of(workload)
    remotes = {
        device: Remote(device, bundle, progress=progress, patience=patience, reached=reached)
        for device in devices
        if not device.local
    }

    def one(device: Device) -> edge.Document:
        if device.local:
            return local.run_locally(
                workload.models, workload.data, labels=workload.labels, settings=workload.settings, progress=progress
            )
        with progress.task(f"measuring on {device.name}") as task:
            return remotes[device].measure(task)

    with ThreadPoolExecutor(max(1, len(devices))) as pool, progress.task("measuring"):
        futures = [pool.submit(one, device) for device in devices]
        try:
            return tuple(_outcome(device, future) for device, future in zip(devices, futures, strict=True))
        except KeyboardInterrupt:
            for remote in remotes.values():
                remote.stop()
            names = ", ".join(device.name for device, remote in remotes.items() if remote.started)
            if names:
                progress.note(f"it goes on on {names}: the same command fetches the result, with --cancel it ends it")
            raise


def _outcome(device: Device, future: Future[edge.Document]) -> DeviceMeasurement:
    try:
        return DeviceMeasurement(device=device, document=future.result())
    except TfcompressError as error:
        return DeviceMeasurement(device=device, error=error)


def cancel(devices: Sequence[Device], workload: Workload) -> None:
    """End what an earlier :func:`measure_on_devices` of the same workload left running on *devices*.

    Raises:
        UsageError: one of them is this machine, where nothing goes on by itself.
        DeviceError: one cannot be reached.
    """
    if any(device.local for device in devices):
        msg = "--cancel is for devices that ssh reaches; on this machine Ctrl-C ends a measurement"
        raise UsageError(msg)
    bundle = bundle_of(workload)
    for device in devices:
        Remote(device, bundle).cancel()
