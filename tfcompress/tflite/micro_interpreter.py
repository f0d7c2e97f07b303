"""A file in TensorFlow Lite Micro's own interpreter (``tflite-micro`` on PyPI), in a child process.

It knows what microcontrollers run, look-up tables (``TFLM_DECODE``) too, and aborts the process on what it does not.
:mod:`tfcompress.tflite.micro_interpreter_child` is its other half.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from tfcompress.errors import MissingDependencyError, UnsupportedError
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

WITHOUT = "tflite-micro is not installed; install tfcompress[mcu]"
"""What is said where there is no interpreter."""
_CHILD = "tfcompress.tflite.micro_interpreter_child"
_LEAST_ARENA_BYTES = 1 << 20
_REASONS = re.compile(r"^(?!\[RecordingMicroAllocator\])\s*(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class MicroArena:
    """What TensorFlow Lite Micro's recorder found on this machine, whose pointers take 8 bytes.

    Attributes:
        least_bytes: the smallest arena that the file was set up and run in; setting up takes more than is kept.
        total_bytes: of what is kept, as the recorder counts it.
        head_bytes: for activations and kernels' scratch memory.
        tail_bytes: for what lives as long as the interpreter.
        version: of tflite-micro.
    """

    least_bytes: int
    total_bytes: int
    head_bytes: int
    tail_bytes: int
    version: str


def has_micro_interpreter() -> bool:
    """Return whether tflite-micro is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


class MicroInterpreterProcess:
    """A child process with a file open in TensorFlow Lite Micro; a context manager."""

    def __init__(self, content: bytes, *, arena_bytes: int | None = None) -> None:
        """Start the child and have it open *content*.

        Args:
            content: a TFLite file.
            arena_bytes: of the arena; None: as much as any file of its size needs.

        Raises:
            MissingDependencyError: tflite-micro is not installed.
            ModelError: the content is not a TFLite file.
            UnsupportedError: TensorFlow Lite Micro refuses the file, or dies on it.
        """
        if not has_micro_interpreter():
            raise MissingDependencyError(WITHOUT)
        self.model: FlatModel = read_model_file(content)
        self._worker = Worker(_CHILD)
        path = self._worker.folder / "model.tflite"
        path.write_bytes(content)
        room = max(_LEAST_ARENA_BYTES, 10 * len(content), 4 * _activation_bytes(self.model))
        self._version = str(
            self._ask({"open": str(path), "arena_bytes": arena_bytes or room, "log": str(self._worker.log)})["version"]
        )

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run the file on samples, its state reset before each.

        Args:
            inputs: for each input, in the order of the file's main subgraph, an array of shape (samples, *shape) of
                values as the file stores them.

        Returns:
            For each output, in that order, an array of shape (samples, *shape), likewise.

        Raises:
            UnsupportedError: TensorFlow Lite Micro fails on them, or dies.
        """
        source, target = self._worker.folder / "in.npz", self._worker.folder / "out.npz"
        arrays: dict[str, Any] = {f"x{place}": values for place, values in enumerate(inputs)}
        np.savez(source, **arrays)
        count = len(self.model.subgraphs[0].outputs)
        self._ask({"inputs": len(inputs), "source": str(source), "outputs": count, "target": str(target)})
        with np.load(target) as stored:
            return [stored[f"y{place}"] for place in range(count)]

    def arena(self) -> MicroArena:
        """Return what the arena holds, after a run."""
        found = self._ask({"arena": True})
        return MicroArena(found["least"], found["total"], found["head"], found["tail"], self._version)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._worker.send(request)
        try:
            return self._worker.receive()
        except WorkerDiedError as error:
            reason = f"its interpreter died ({error.reason})"
        except WorkerAnswerError as error:
            if error.kind in ("ImportError", "ModuleNotFoundError", "PackageNotFoundError"):
                msg = f"tflite-micro cannot be imported: {error.text}; install tfcompress[mcu] again"
                raise MissingDependencyError(msg) from error
            reason = error.text
        said = "; ".join(dict.fromkeys(_REASONS.findall(_without_traceback(self._worker.tail()))))
        msg = f"TensorFlow Lite Micro refuses the file: {said or reason}"
        raise UnsupportedError(msg)

    def close(self) -> None:
        """End the child and remove its files."""
        self._worker.close()

    def __enter__(self) -> MicroInterpreterProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _activation_bytes(model: FlatModel) -> int:
    return sum(4 * tensor.elements for tensor in model.subgraphs[0].tensors if not tensor.constant)


def _without_traceback(text: str) -> str:
    return text.partition("Traceback (most recent call last)")[0]
