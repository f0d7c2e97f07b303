"""The process that looks into a model file; started by :mod:`tfcompress.models.probing`, anew for each file.

Request: ``look`` (the file). Answer: what was found, see :func:`look`, or ``fault``.
HDF5 and zip readers can crash on a damaged or hostile file; here that costs nobody anything. Everything is read once,
so that a truncated file is found out now.
"""

from __future__ import annotations

import io
import json
import resource
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

import h5py

from tfcompress.safety.configuration import find_names
from tfcompress.safety.configuration_graph import find_fault
from tfcompress.safety.hdf5_weights import UnreadableError, Weights, read_weights
from tfcompress.safety.proportions import find_excess
from tfcompress.serve import serve

MEMORY_BYTES = 2 << 30
"""Memory that this process may use beside the size of the file: HDF5's and NumPy's own, and a configuration."""

CONFIG_BYTES = 128 << 20
"""The longest configuration that is read. That of EfficientNetB7 is 1.5 MB long."""

IN_MEMORY_BYTES = 512 << 20
"""Weights up to this size are unpacked into memory, larger ones into a temporary file."""

EXPANSION = 100
"""A zip file that unpacks to more than so many times its size, and to more than 1 GiB, is refused.

Keras stores weights as they are; mostly zeros, and compressed by somebody else, they shrink to a hundredth at most.
"""

MEMBERS = 100_000
"""Most files in a ``.keras`` file: three, and some for each layer with a vocabulary."""

WEIGHTS = "model.weights.h5"


def look(path: Path) -> dict[str, Any]:
    """Describe a model file.

    Args:
        path: a zip or HDF5 file.

    Returns:
        ``kind``, ``version`` (of the Keras that wrote it, or None), ``class_name``, ``weights_bytes``, and what
        :func:`~tfcompress.safety.configuration.find_names` found.

    Raises:
        UnreadableError: saying what is wrong with it.
    """
    kind, version, config, weights = _look_into_zip(path) if zipfile.is_zipfile(path) else _look_into_h5(path)
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        msg = "its configuration describes no model"
        raise UnreadableError(msg)
    fault = find_fault(config) or find_excess(config, weights.numbers)
    if fault:
        raise UnreadableError(fault)
    facts = {"kind": kind, "version": version, "class_name": config["class_name"], "weights_bytes": weights.size_bytes}
    return facts | vars(find_names(config))


Look = tuple[str, str | None, Any, Weights]


def _look_into_zip(path: Path) -> Look:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if "config.json" not in members:
            what = (
                "a PyTorch file" if any(n.endswith("data.pkl") for n in members) else "a zip file without config.json"
            )
            msg = f"it is {what}, not a Keras model"
            raise UnreadableError(msg)
        _check_members(archive)
        if WEIGHTS not in members:
            msg = "it holds no weights (model.weights.h5 is missing)"
            raise UnreadableError(msg)
        config = _json(archive.read("config.json"), "config.json")
        metadata = _json(archive.read("metadata.json"), "metadata.json") if "metadata.json" in members else {}
        for info in archive.infolist():
            if info.filename != WEIGHTS:
                _read_through(archive, info)
        with _unpacked(archive, WEIGHTS) as stream, h5py.File(stream, "r") as file:
            weights = read_weights(file, path.stat().st_size)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return "keras", _text(version), config, weights


def _unpacked(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Return a copy of a member in which one may go back and forth, in memory if it is not large."""
    copy: IO[bytes] = tempfile.TemporaryFile() if archive.getinfo(name).file_size > IN_MEMORY_BYTES else io.BytesIO()  # noqa: SIM115
    with archive.open(name) as stream:
        shutil.copyfileobj(stream, copy, 1 << 20)
    copy.seek(0)
    return copy


def _check_members(archive: zipfile.ZipFile) -> None:
    """Refuse names that mean two things or lead elsewhere, links, and sizes out of proportion."""
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        msg = f"it holds {len(infos):,} files"
        raise UnreadableError(msg)
    seen = set()
    size = Path(str(archive.filename)).stat().st_size
    for info in infos:
        name = PurePosixPath(info.filename)
        if info.filename in seen:
            msg = f"it holds two files called {info.filename!r}"
            raise UnreadableError(msg)
        seen.add(info.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in info.filename:
            msg = f"a file in it would lie outside it ({info.filename!r})"
            raise UnreadableError(msg)
        kind = info.external_attr >> 28  # the upper bits of a POSIX mode: 0 not said, 4 folder, 8 file
        if kind not in (0, 4, 8):
            msg = f"{info.filename!r} in it is a link or a device"
            raise UnreadableError(msg)
        if info.filename != WEIGHTS and info.file_size > CONFIG_BYTES:
            msg = f"{info.filename!r} in it is {info.file_size:,} bytes long"
            raise UnreadableError(msg)
    claimed = sum(info.file_size for info in infos)
    if claimed > max(1 << 30, EXPANSION * size):
        msg = f"it claims far more weights than it can hold ({claimed:,} bytes in {size:,})"
        raise UnreadableError(msg)


def _read_through(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    with archive.open(info) as stream:
        while stream.read(1 << 20):
            pass


def _look_into_h5(path: Path) -> Look:
    with path.open("rb") as stream, h5py.File(stream, "r") as file:
        weights = read_weights(file, path.stat().st_size)
        if "model_config" not in file.attrs:
            if "layer_names" in file.attrs or {"layers", "_layer_checkpoint_dependencies"} & set(file):
                msg = "it holds weights only, no model; save the whole model with model.save(...)"
                raise UnreadableError(msg)
            msg = "it is an HDF5 file, but holds no Keras model"
            raise UnreadableError(msg)
        config = _json(file.attrs["model_config"], "model_config")
        return "h5", _text(file.attrs.get("keras_version")), config, weights


def _json(text: Any, where: str) -> Any:
    if not isinstance(text, bytes | str):
        msg = f"its {where} is no text"
        raise UnreadableError(msg)
    if len(text) > CONFIG_BYTES:
        msg = f"its {where} is {len(text):,} bytes long"
        raise UnreadableError(msg)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"its {where} is not JSON: {error}"
        raise UnreadableError(msg) from error


def _text(version: Any) -> str | None:
    if isinstance(version, bytes):
        return version.decode(errors="replace")
    return version if isinstance(version, str) else None


def _limit_memory(path: Path) -> None:
    """Let this process be refused memory before the machine is in trouble."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES + 2 * path.stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve."""
    serve(_looked, requests, answers, lifeline)


def _looked(request: dict[str, Any]) -> dict[str, Any]:
    """Return what :func:`look` finds, or what is wrong with the file as ``fault``."""
    path = Path(request["look"])
    try:
        _limit_memory(path)
        return look(path)
    except UnreadableError as error:
        fault = str(error)
    except MemoryError:
        fault = "reading it takes more memory than its size warrants"
    except RecursionError:
        fault = "its parts are nested without end"
    except (zipfile.BadZipFile, zlib.error) as error:
        fault = _damage(error)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, NotImplementedError) as error:
        fault = _damage(error)
    return {"fault": fault}


def _damage(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"it is truncated or damaged ({lines[0] if lines else type(error).__name__})"
