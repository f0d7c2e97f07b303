"""Measure on another machine: bring edge_runner and the models there, start it detached, and bring its JSON back."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tfcompress import plain
from tfcompress.devices import local
from tfcompress.devices.bundle import Bundle
from tfcompress.devices.config import Device
from tfcompress.devices.ssh import Connection, DroppedError
from tfcompress.errors import DeviceError, MissingDependencyError, OutputError
from tfcompress.progress import SILENT, Progress, ProgressTask
from tfcompress.reports import edge

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""How long is waited before a lost device is called again, the first time and at most."""
_STEADY_SECONDS = 5.0
"""A connection that lasted so long worked; one that breaks sooner, again and again, does not."""
_SPARE_BYTES = 1_000_000  # for the result
_HUNG_UP = ("closed by", "reset by")  # in what ssh says of a device that took the call, and then hung up
CHECK_SECONDS = 60.0
"""How long a device is called that answers, and is gone again before it was found fit."""


_reached: set[Device] = set()


def check_reachable(device: Device, progress: Progress = SILENT) -> None:
    """Refuse a device that cannot be reached, written to or that has no room, before anything slow is done for it.

    One that answers and is gone again is called again for a while. Once it was reached, it is not called again for
    this.

    Args:
        device: which; this machine always is there.
        progress: where notes go.

    Raises:
        DeviceError: nobody answers, or no login.
        OutputError: its disk is full or cannot be written.
        MissingDependencyError: it has no fitting Python.
    """
    if device.local or device in _reached:
        return

    def greet(session: Connection) -> None:
        _check_room(device, session.ask("hello", folder=device.folder), 0)

    _Calls(device, progress, CHECK_SECONDS, hang_ups=True).steadily(greet)
    _reached.add(device)


def _unreachable(device: Device, error: DroppedError) -> DeviceError:
    return DeviceError(f"device {device.name} cannot be reached: {error}")


def _check_room(device: Device, hello: Mapping[str, Any], size_bytes: int) -> None:
    wanted = size_bytes + _SPARE_BYTES
    if wanted > hello["free_bytes"]:
        msg = (
            f"device {device.name}: {hello['folder']} must have {wanted / 1e6:.1f} MB free, "
            f"got {hello['free_bytes'] / 1e6:.1f} MB; free some space there, or set another folder in devices.toml"
        )
        raise OutputError(msg)


@dataclass
class _Calls:
    """Calls a device, again and again once a connection has worked.

    Attributes:
        device: which.
        progress: where notes go.
        patience: seconds to go on trying when a connection that worked is gone.
        reached: whether one did before, so that the device is waited for from the start.
        hang_ups: whether one that took the call and hung up before the login counts as one that worked.
        goes_on: what is said of the work there where the device stays away.
    """

    device: Device
    progress: Progress
    patience: float
    reached: bool = False
    hang_ups: bool = False
    goes_on: str = ""

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._session: Connection | None = None

    def stop(self) -> None:
        """Let go of the device, from any thread."""
        self._stopped.set()
        if self._session is not None:
            self._session.close()

    def steadily(self, visit: Callable[[Connection], T]) -> T:
        """Connect and *visit*, again if the connection is lost after it had once worked."""
        lost = time.monotonic() if self.reached else None
        pause = FIRST_PAUSE_SECONDS
        while True:
            began, connected = time.monotonic(), False
            try:
                with Connection(self.device) as session:
                    self._session, connected = session, True
                    return visit(session)
            except DroppedError as error:
                now = time.monotonic()
                connected = connected or (self.hang_ups and any(words in str(error) for words in _HUNG_UP))
                if connected and (lost is None or now - began > _STEADY_SECONDS):
                    lost, pause = now, FIRST_PAUSE_SECONDS
                self._give_up_or_wait(lost, pause, error)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _give_up_or_wait(self, lost: float | None, pause: float, error: DroppedError) -> None:
        name = self.device.name
        if self._stopped.is_set():
            raise error
        if lost is None:
            raise _unreachable(self.device, error) from error
        if time.monotonic() + pause - lost > self.patience:
            msg = f"device {name} was not reached again for {self.patience:.0f} s ({error}){self.goes_on}"
            raise DeviceError(msg) from error
        self.progress.note(f"{name}: connection lost ({error}); trying again in {pause:.0f} s")
        self._stopped.wait(pause)


class Remote:
    """A measurement on a device that ssh reaches.

    Attributes:
        device: where.
        bundle: what, and how.
        progress: where notes go.
        started: whether the measurement runs there, as far as is known.
    """

    def __init__(
        self,
        device: Device,
        bundle: Bundle,
        *,
        progress: Progress = SILENT,
        patience: float = 600.0,
        reached: bool = False,
    ) -> None:
        """Call nobody yet.

        Args:
            device: where.
            bundle: what, and how.
            progress: where notes go.
            patience: seconds to go on trying when a connection that worked is gone.
            reached: whether one did before, so that the device is waited for from the start.
        """
        self.device, self.bundle, self.progress = device, bundle, progress
        self._calls = _Calls(device, progress, patience, reached)
        self.started = False

    def stop(self) -> None:
        """Let go of the device, from any thread; what runs there goes on."""
        self._calls.stop()

    def measure(self, task: ProgressTask) -> edge.Document:
        """Measure, across lost connections.

        Args:
            task: hears what is under way.

        Returns:
            edge_runner's document.

        Raises:
            DeviceError: the device cannot be reached, or ended the measurement without a result.
            OutputError: its disk is full or cannot be written.
            MissingDependencyError: it has no Python or no interpreter.
            UsageError: edge_runner refused the arguments.
            DroppedError: :meth:`stop` was called.
        """
        return self._calls.steadily(lambda session: self.visit(session, task))

    def cancel(self) -> None:
        """End the measurement that an earlier command started, and remove it. Raises as :meth:`measure` does."""
        self._calls.steadily(self._cancel)

    def _greet(self, session: Connection) -> dict[str, Any]:
        hello = session.ask("hello", folder=self.device.folder)
        if hello["root"] and not self.started:
            self.progress.note(f"{self.device.name}: logged in as root; an ordinary user is enough")
        return hello

    def _cancel(self, session: Connection) -> None:
        self._greet(session)
        session.ask("cancel", run=self.bundle.run_id)

    def visit(self, session: Connection, task: ProgressTask) -> edge.Document:
        """Bring what is missing, start the measurement unless it runs already, and fetch its document."""
        bundle, hello = self.bundle, self._greet(session)
        self._send(session, bundle.tree.values(), hello, task)
        session.ask("tree", sha256=bundle.tree_id, files=dict(bundle.tree))
        self._check_interpreter(session, hello)
        self._send(session, bundle.files.values(), hello, task)
        found = self._start(session)
        if found and not self.started:
            self.progress.note(f"{self.device.name}: took up the measurement that an earlier command started")
        elif self.started and not found:
            self.progress.note(f"{self.device.name}: the device lost the measurement and began it again")
        self.started = True
        self._calls.goes_on = "; the measurement goes on there: the same command fetches it"
        ended = session.ask("follow", run=bundle.run_id, told=lambda values: task.describe(str(values["progress"])))
        return self._collect(session, ended)

    def _start(self, session: Connection) -> bool:
        """Start the measurement; True if it was there already."""
        bundle = self.bundle
        what = {"files": dict(bundle.files), "arguments": list(bundle.arguments)}
        return bool(session.ask("start", run=bundle.run_id, tree=bundle.tree_id, what=what)["found"])

    def _send(self, session: Connection, hashes: Collection[str], hello: Mapping[str, Any], task: ProgressTask) -> None:
        """Send what is not there yet."""
        missing = session.ask("missing", hashes=sorted(set(hashes)))["missing"]
        total = sum(self.bundle.sources[digest].stat().st_size for digest in missing)
        _check_room(self.device, hello, total)
        done, shown = 0, ""

        def sent(size: int) -> None:
            nonlocal done, shown
            done += size
            text = f"sending {done / 1e6:.1f} of {total / 1e6:.1f} MB"
            if text != shown:
                task.describe(text)
            shown = text

        for digest in missing:
            session.put(self.bundle.sources[digest], digest, sent)

    def _check_interpreter(self, session: Connection, hello: Mapping[str, Any]) -> None:
        """Ask before the models are sent, as far as that can be known without starting an interpreter."""
        modules = set(hello["modules"])
        if "numpy" in modules and modules - {"numpy"}:
            return
        complaint = session.ask("complaint", tree=self.bundle.tree_id)["complaint"]
        if complaint:
            msg = f"device {self.device.name}: no interpreter works with {hello['executable']}: {complaint}"
            raise MissingDependencyError(msg)

    def _collect(self, session: Connection, ended: Mapping[str, Any]) -> edge.Document:
        """Fetch the result, check it, and remove the measurement there."""
        where = f"device {self.device.name}"
        if ended["state"] == "lost":
            msg = (
                f"{where}: the measurement ended without a result (last: {ended['said']}); the device went down, or "
                f"its memory or disk ({ended['free_bytes'] / 1e6:.0f} MB free) was full; the same command begins again"
            )
            raise DeviceError(msg)
        if ended["code"] not in local.MEASURED or not ended["result"]:
            session.ask("clean", run=self.bundle.run_id)
            raise local.failure(int(ended["code"]), ended["said"], f"{where}: ")
        head = session.ask("fetch", run=self.bundle.run_id)
        content = session.read(head["size"])
        session.answer()
        if hashlib.sha256(content).hexdigest() != head["sha256"]:
            msg = f"{where}: the result arrived damaged; the same command fetches it again"
            raise DeviceError(msg)
        document = edge.check_measurement(_parsed(content, where), f"what edge_runner wrote on {self.device.name}")
        self._check_hashes(document)
        try:
            session.ask("clean", run=self.bundle.run_id)
        except DroppedError:  # the result is here; what stayed there is taken up, and removed, by the same command
            self.progress.note(f"{where}: the connection was lost before the measurement was removed there")
        return document

    def _check_hashes(self, document: edge.Document) -> None:
        sent = set(self.bundle.files.values())
        strange = [m["file"] for m in document["models"] if m["sha256"] is not None and m["sha256"] not in sent]
        if strange:
            msg = f"device {self.device.name} measured another {strange[0]} than was sent; its disk may be failing"
            raise DeviceError(msg)


def _parsed(content: bytes, where: str) -> object:
    try:
        return plain.parse_json(content.decode("utf-8"))
    except ValueError as error:
        msg = f"{where}: what edge_runner wrote there is not JSON: {error}; measure again"
        raise DeviceError(msg) from error
