"""Looking into a model file before anything loads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfcompress.errors import ModelError
from tfcompress.fork_server import ForkServer
from tfcompress.safety.configuration import NATIVE_QUANTIZERS, QUANTIZERS, Name
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError, WorkerTimeoutError

FORKS = ForkServer("tfcompress.models.probe_child")
"""What starts the processes that look into a file."""

TIMEOUT_SECONDS = 60.0
BYTES_PER_SECOND = 10e6
"""A disk so slow that nobody has it: longer than this takes no honest file."""

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
LOOKS_LIKE = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"\x93NUMPY": "a NumPy array",
    b"\x80": "a Python pickle",
}
"""First bytes of files that people give by mistake."""


@dataclass(frozen=True)
class FileInfo:
    """What a model file is, as found inside it.

    Attributes:
        kind: its format.
        writer: what wrote it.
        writer_version: the version of that, where the file says so.
        class_name: ``Functional``, ``Sequential`` or the class of a subclassed model.
        size_bytes: its size; of a folder, that of all files in it.
        code: what in it would run code, e.g. ``Lambda layer 'scale'``.
        outside: what in it would be read that is not part of the model, or is not understood.
        wrappers: tfmot's classes around layers in it, and tfcompress's of quantization-aware training.
        names: the classes and functions it names; whether they are Keras's own takes that Keras to say.
        ours: whether some of them are tfcompress's.
        weights_bytes: of the weights in it, unpacked.
    """

    kind: Literal["h5", "keras", "savedmodel", "tflite"]
    writer: Literal["keras2", "keras3", "tensorflow", "tflite"]
    writer_version: str | None
    class_name: str | None
    size_bytes: int
    code: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    names: tuple[Name, ...] = field(default=(), compare=False, repr=False)
    ours: bool = False
    weights_bytes: int = field(default=0, compare=False)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FileInfo:
        """Return what :func:`dataclasses.asdict` made of one, after it went through JSON."""
        lists = {key: tuple(value) for key, value in stored.items() if isinstance(value, list)}
        return cls(**{**stored, **lists, "names": tuple(Name(*name) for name in stored["names"])})

    @property
    def has_code(self) -> bool:
        """Whether loading it would run code from the file, or reach outside it."""
        return bool(self.code or self.outside)

    @property
    def qat(self) -> bool:
        """Whether it holds quantization-aware layers, of tfmot or of tfcompress."""
        return not (QUANTIZERS | NATIVE_QUANTIZERS).isdisjoint(self.wrappers)


def probe(path: Path) -> FileInfo:
    """Look into a model file or folder, whatever its name ends in.

    HDF5 and zip files are read through, in a process of their own.

    Raises:
        ModelError: no such file, or not a model that can be read; saying what it is instead.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        size, start = _start(path)
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        msg = f"model {str(path)!r} cannot be read: {what}"
        raise ModelError(msg) from error
    if start[4:8] == b"TFL3":
        return FileInfo("tflite", "tflite", None, None, size)
    if not start.startswith((HDF5, ZIP)):
        raise _not_a_model(path, _what(start))
    facts = _in_child(path, size)
    if "fault" in facts:
        raise _not_a_model(path, facts["fault"])
    version = facts["version"]
    return FileInfo(
        kind=facts["kind"],
        writer="keras3" if str(version).startswith("3") else "keras2",
        writer_version=version,
        class_name=facts["class_name"],
        size_bytes=size,
        code=tuple(facts["code"]),
        outside=tuple(facts["outside"]),
        wrappers=tuple(facts["wrappers"]),
        names=tuple(Name(*name) for name in facts["names"]),
        ours=facts["ours"],
        weights_bytes=facts["weights_bytes"],
    )


def _not_a_model(path: Path, why: str) -> ModelError:
    return ModelError(f"model {str(path)!r} cannot be read: {why}")


def _folder(path: Path) -> FileInfo:
    if not (path / "saved_model.pb").is_file():
        raise _not_a_model(path, "it is a folder without saved_model.pb; give a model file or a SavedModel folder")
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return FileInfo("savedmodel", "tensorflow", None, None, size, weights_bytes=size)


def _start(path: Path) -> tuple[int, bytes]:
    if path.exists() and not path.is_file():
        raise _not_a_model(path, "it is neither a file nor a folder")
    with path.open("rb") as stream:
        return os.fstat(stream.fileno()).st_size, stream.read(512)


def _what(start: bytes) -> str:
    if not start:
        return "the file is empty"
    for magic, name in LOOKS_LIKE.items():
        if start.startswith(magic):
            return f"it is {name}, not a Keras model (.h5, .keras or a SavedModel folder)"
    text = all(byte >= 0x20 or byte in b"\t\r\n" for byte in start)
    return f"it is {'a text file' if text else 'no format known here'}, not a Keras model (.h5, .keras or a SavedModel)"


def _in_child(path: Path, size: int) -> dict[str, Any]:
    with Worker(FORKS) as worker:
        try:
            return worker.ask({"look": str(path.resolve())}, TIMEOUT_SECONDS + size / BYTES_PER_SECOND)
        except WorkerTimeoutError as error:
            raise _not_a_model(path, "reading it takes forever; the file is damaged") from error
        except WorkerDiedError as death:
            why = f"reading it killed the reading process ({death.reason}); the file is damaged"
            raise _not_a_model(path, why) from death
        except WorkerAnswerError as answer:
            lines = answer.text.strip().splitlines()
            raise _not_a_model(path, f"reading it failed: {': '.join([answer.kind, *lines[:1]])}") from answer
