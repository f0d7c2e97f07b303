"""Steps of trials as tasks of a Ray cluster.

A task is a step: Ray runs it wherever a processor is free, in a process that it keeps, so that TensorFlow and the
workbench are there for the next one. A task whose process or machine dies is not run again by Ray: the driver counts
tries. Model and data travel as bytes through the object store, where they are files; a folder must lie where every
machine of the cluster sees it. What stages keep lies in the same folder on every machine, shared or not.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress._version import __version__
from tfcompress.errors import MissingDependencyError, UsageError
from tfcompress.search.executors import DoneStep, GoOn, always, plain_opening
from tfcompress.search.metering import DeviceFigures, Meter
from tfcompress.search.trial import Opening, StepResult, TrialStep
from tfcompress.search.trial_child import opened

if TYPE_CHECKING:
    from tfcompress.devices.config import Device
    from tfcompress.search.metering import MeasureFile
    from tfcompress.search.trial import TrialBench
    from tfcompress.search.wishes import Wishes

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine reaches."""

DEVICE = "device:"
"""What custom resources are called that stand for a device: ``device:pi``, of which a node that reaches it has one."""

_CONNECT_SECONDS = 10.0
_LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variable of Ray, which reads it when it is imported: with 0, this machine's address is loopback's, on Linux too."""

_BENCHES: dict[str, TrialBench] = {}


def check_address(address: str, environment: Mapping[str, str] | None = None) -> None:
    """Refuse an address that is none, and a cluster that anybody in the network could use.

    Who reaches a Ray cluster without authentication runs whatever code they like on it.

    Args:
        address: ``HOST:PORT``.
        environment: variables of the environment; None: those of this process.

    Raises:
        UsageError: with what to do.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        msg = f"--address must be HOST:PORT of a running cluster, got {address!r}"
        raise UsageError(msg)
    variables = os.environ if environment is None else environment
    if host.strip("[]") not in LOOPBACK and variables.get("RAY_AUTH_MODE") != "token":
        msg = (
            f"--address {address} is not on this machine: whoever reaches such a cluster runs code on it; start it "
            "with RAY_AUTH_MODE=token on every machine, and set RAY_AUTH_MODE=token and the token here too"
        )
        raise UsageError(msg)


class RayExecutor:
    """Does steps on a Ray cluster; a context manager."""

    def __init__(self, opening: Opening, wishes: Wishes) -> None:
        """Connect.

        Args:
            opening: what workers open; portable.
            wishes: where the cluster is.

        Raises:
            MissingDependencyError: Ray is not installed.
            UsageError: no cluster answers, or one without a token off this machine.
        """
        check_address(wishes.address)
        _check_listening(wishes.address)
        self._ray = _ray()
        _connect(self._ray, wishes.address)
        self._opening = self._ray.put(Sent.of(opening))
        self._task = self._ray.remote(num_cpus=1, max_retries=0)(do_step)
        self._running: dict[Any, tuple[int, TrialStep]] = {}

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def free(self) -> int:
        """How many processors of the cluster wait; at least one step is always begun, and waits for one."""
        waiting = int(self._ray.cluster_resources().get("CPU", 0)) - len(self._running)
        return max(waiting, 0 if self._running else 1)

    def submit(self, number: int, step: TrialStep) -> None:
        """Give a step to the cluster."""
        self._running[self._task.remote(self._opening, step.to_dict())] = (number, step)

    def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
        """Return what has ended; see :class:`~tfcompress.search.executors.Executor`."""
        if not self._running:
            return ()
        ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return tuple(self._result_of(each) for each in ready)

    def _result_of(self, task: Any) -> DoneStep:
        number, step = self._running.pop(task)
        faults = self._ray.exceptions
        try:
            plain, content = self._ray.get(task)
        except faults.RayTaskError as error:
            return DoneStep(number, None, f"the step failed on the cluster: {error.cause!r}")
        except faults.RayError as error:
            return DoneStep(number, None, f"the worker died: {str(error).splitlines()[0]}", died=True)
        if content is not None and step.file is not None:
            files.write_atomic(Path(step.file), content)
        return DoneStep(number, StepResult(**plain))

    def measure(self, meter: Meter) -> MeasureFile | None:
        """Return what measures files on a device that a machine of the cluster reaches; None: no machine says so.

        Such a machine was started with ``--resources '{"device:NAME": 1}'``: with one slot, nothing else is measured on
        the device meanwhile.

        Args:
            meter: says which device, and what is measured there.
        """
        name = f"{DEVICE}{meter.device.name}"
        if not self._ray.cluster_resources().get(name):
            return None
        task = self._ray.remote(num_cpus=0, resources={name: 1}, max_retries=0)(measure_file)

        def measured(file: Path) -> DeviceFigures:
            try:
                given = (file.name, file.read_bytes(), meter.device, meter.energy, meter.more)
                return DeviceFigures(*self._ray.get(task.remote(*given)))
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from error

        return measured

    def close(self) -> None:
        """End what still runs, and leave the cluster."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()
        self._ray.shutdown()


@dataclasses.dataclass(frozen=True)
class Sent:
    """An opening on its way: as JSON has it, and the bytes of its files by the key that holds their path."""

    version: str
    plain: dict[str, Any]
    contents: dict[str, tuple[str, bytes]]

    @classmethod
    def of(cls, opening: Opening) -> Sent:
        """Read the files."""
        plain = plain_opening(opening)
        paths = {"model": Path(plain["model"]), "data": Path(plain["data"]["spec"])}
        contents = {key: (path.name, path.read_bytes()) for key, path in paths.items() if path.is_file()}
        return cls(__version__, plain, contents)

    def here(self) -> dict[str, Any]:
        """Write the files where this machine has none of their content, and return the opening with their paths."""
        plain = {**self.plain, "data": dict(self.plain["data"])}
        for key, (name, content) in self.contents.items():
            folder = files.cache_folder("sent") / files.sha256(content)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / name).is_file():
                files.write_atomic(folder / name, content)
            if key == "model":
                plain["model"] = str(folder / name)
            else:
                plain["data"]["spec"] = str(folder / name)
        return plain


def do_step(sent: Sent, step: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """Do a step in a process of the cluster.

    Args:
        sent: the opening; its workbench is kept for the next step.
        step: as JSON has it.

    Returns:
        The result as plain values, and the .tflite where one was asked for.

    Raises:
        UsageError: another version of tfcompress on this machine.
    """
    if sent.version != __version__:
        msg = f"every machine of the cluster must have tfcompress {sent.version}, this one has {__version__}"
        raise UsageError(msg)
    key = files.sha256(repr((sent.plain, sorted(sent.contents))).encode())
    if key not in _BENCHES:
        _BENCHES[key] = opened(sent.here())
    with tempfile.TemporaryDirectory(prefix="tfcompress-") as folder:
        place = None if step["file"] is None else Path(folder) / Path(step["file"]).name
        asked = TrialStep.from_dict({**step, "file": None if place is None else str(place)})
        plain = _BENCHES[key].run(asked).to_dict()
        content = place.read_bytes() if place is not None and place.is_file() else None
    return plain, content


def measure_file(
    name: str, content: bytes, device: Device, energy: bool, more: Sequence[str]
) -> tuple[float, float | None]:
    """MeasureFile a file on a device, in a process of a machine that reaches it; return the p90 in ms, and the joules.

    The driver has reached the device before, so that it is waited for.
    """
    with tempfile.TemporaryDirectory(prefix="tfcompress-") as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        return dataclasses.astuple(Meter(device, energy=energy, more=more, reached=True).figures(file))


def listens(host: str, port: int) -> bool:
    """Say whether anything takes connections there."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def own_host() -> str:
    """Return the address of this machine in its network, as Ray finds it; loopback's where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 53))  # nobody has it; nothing is sent
        except OSError:
            return LOOPBACK[0]
        return str(probe.getsockname()[0])


def _check_listening(address: str) -> None:
    """Refuse an address at which nobody listens, which Ray would call for minutes, and keep to loopback where that is.

    Ray takes an address of loopback for this machine's in its network: a cluster that was started with
    ``--node-ip-address 127.0.0.1`` is not there.

    Raises:
        UsageError: nobody listens.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if host in LOOPBACK and listens(own_host(), int(port)):
        return
    if not listens(host, int(port)):
        raise _no_cluster(address, "nobody listens there")
    if host in LOOPBACK:
        os.environ[_LOOPBACK_ONLY] = "0"


def _no_cluster(address: str, reason: str) -> UsageError:
    return UsageError(f"no Ray cluster answers at {address} ({reason}); start one: ray start --head --port PORT")


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        msg = "--engine ray needs Ray: pip install 'tfcompress[ray]'"
        raise MissingDependencyError(msg) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise _no_cluster(address, reason) from error
