"""The first load of a model file, in a child process with limits.

A file can keep its reader busy for ever, ask for all memory there is, or crash it: in a child that costs one line.
:mod:`tfcompress.models.load_child` is the other half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tfcompress import errors
from tfcompress.errors import ModelError, TfcompressError, UsageError
from tfcompress.models.probing import FileInfo
from tfcompress.worker import KeptWorkers, WorkerAnswerError, WorkerDiedError, WorkerTimeoutError

CHILD = "tfcompress.models.load_child"
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
START_SECONDS = 600.0
"""A child that has not imported TensorFlow after this time never will."""
CHILDREN = KeptWorkers(CHILD, ENVIRONMENT)
"""The children that this process keeps for its next first load."""

GIB = 1 << 30
LEAST_BYTES = 128 << 20
"""With less, TensorFlow cannot start its threads, and waits for them."""


@dataclass(frozen=True)
class LoadLimits:
    """What the first load of a model file may take.

    Attributes:
        seconds: time, from when TensorFlow is imported.
        memory_bytes: memory beside what TensorFlow takes; None: 4 GiB and eight times the file's weights.
    """

    seconds: float = 120.0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            msg = f"limits.seconds must be above 0, got {self.seconds}"
            raise UsageError(msg)
        if self.memory_bytes is not None and self.memory_bytes < LEAST_BYTES:
            msg = f"limits.memory_bytes must be at least {LEAST_BYTES >> 20} MiB, got {self.memory_bytes}"
            raise UsageError(msg)

    def memory_for(self, info: FileInfo) -> int:
        """Return the memory, in bytes, that loading a file may take."""
        return 4 * GIB + 8 * info.weights_bytes if self.memory_bytes is None else self.memory_bytes


class Loader(Protocol):
    """A child process that can make a first load.

    Attributes:
        spent: nobody else should meet what is left in it.
    """

    spent: bool

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request; its answer is fetched by :meth:`receive`."""

    def receive(self, timeout_seconds: float | None = None) -> dict[str, Any]:
        """Wait for the answer to the oldest request that has none yet."""


class FirstLoad:
    """One first load, begun in a child while the caller imports TensorFlow; a context manager."""

    def __init__(self, loader: Loader | None = None, *, runs_code: bool = False) -> None:
        """Take a child, or start one.

        Args:
            loader: one that was started earlier; None: the one that this process keeps.
            runs_code: the file, or what the user gives it, may run code: no other file meets the child that has run it.
        """
        self._runs_code = runs_code
        self._worker = None if loader is not None else CHILDREN.take(new=runs_code)
        self._loader: Loader = loader or self._worker  # type: ignore[assignment]  # one of them is there
        self._path = Path()
        self._limits = LoadLimits()
        self._memory = 0
        self._busy = False

    def start(self, path: Path, info: FileInfo, *, trust: bool, custom: Sequence[str], limits: LoadLimits) -> None:
        """Have the child load a file once it has imported TensorFlow."""
        self._path, self._limits, self._memory, self._busy = path, limits, limits.memory_for(info), True
        self._loader.send({"ready": True})
        self._loader.send(
            {
                "load": str(path.absolute()),
                "info": {**asdict(info), "names": [list(name) for name in info.names]},
                "trust": trust,
                "custom": list(custom),
                "memory_bytes": self._memory,
            }
        )

    def finish(self) -> dict[str, Any]:
        """Wait until the child has loaded the file, and return its answer.

        Raises:
            ModelError: it could not be loaded, took too long, too much memory, or killed the child.
            UntrustedCodeError: it names what is not part of a model.
        """
        try:
            self._loader.receive(START_SECONDS)
            answered = self._loader.receive(self._limits.seconds)
        except WorkerAnswerError as answer:
            self._busy = answer.kind == "MemoryError"  # who knows what it still holds
            raise self._error(answer) from answer
        except WorkerTimeoutError as error:
            raise self._unreadable(self._slowness()) from error
        except WorkerDiedError as death:
            raise self._unreadable(self._death(death.reason)) from death
        self._busy = False
        if answered["seconds"] > self._limits.seconds:  # while the caller was busy itself
            raise self._unreadable(self._slowness())
        return answered

    def _error(self, answer: WorkerAnswerError) -> TfcompressError:
        if answer.kind == "MemoryError":
            return self._unreadable(self._hunger())
        known = getattr(errors, answer.kind, None)
        if isinstance(known, type) and issubclass(known, TfcompressError):
            return known(answer.text)
        lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
        return self._unreadable(f"{answer.kind}: {lines[0] if lines else 'no reason given'}")

    def _death(self, reason: str) -> str:
        if reason in ("SIGABRT", "SIGKILL"):  # what C++ does where there is no memory, and what the kernel does
            return f"loading it killed the loading process ({reason}); {self._hunger()}, or it is damaged"
        return f"loading it killed the loading process ({reason}); it is damaged"

    def _slowness(self) -> str:
        return f"loading it takes longer than {self._limits.seconds:g} s; it is damaged, or give more --load-seconds"

    def _hunger(self) -> str:
        size = f"{self._memory / GIB:.3g} GiB" if self._memory >= GIB else f"{self._memory / (1 << 20):.3g} MiB"
        return f"loading it takes more than {size} of memory; give more --load-memory if you trust it"

    def _unreadable(self, why: str) -> ModelError:
        return ModelError(f"model {str(self._path)!r} cannot be loaded: {why}")

    def __enter__(self) -> FirstLoad:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loader.spent = self._loader.spent or self._busy or self._runs_code
        if self._worker is not None:
            CHILDREN.give_back(self._worker)
