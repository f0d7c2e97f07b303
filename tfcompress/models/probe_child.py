"""The process that looks into a model file: ``python -m tfcompress.models.probe_child FILE`` prints JSON.

HDF5 and zip readers can crash on a damaged or hostile file; here that costs nobody anything. Everything is read once,
so that a truncated file is found out now.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from tfcompress.models.untrusted import find

EXPANSION = 1000
"""A file that claims more bytes of weights than so many times its size is refused: it would fill the memory."""
PIECE_BYTES = 1 << 24


class UnreadableError(Exception):
    """The file cannot be read as a model; the message says why."""


def look(path: Path) -> dict[str, Any]:
    """Describe a model file.

    Args:
        path: a zip or HDF5 file.

    Returns:
        ``kind``, ``version`` (of the Keras that wrote it, or None), ``class_name``, and what :func:`find` found.

    Raises:
        UnreadableError: saying what is wrong with it.
    """
    facts = _look_into_zip(path) if zipfile.is_zipfile(path) else _look_into_h5(path)
    config = facts.pop("config")
    found = find(config)
    class_name = config.get("class_name") if isinstance(config, dict) else None
    return {**facts, "class_name": class_name, **vars(found)}


def _look_into_zip(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names:
            what = "a PyTorch file" if any(n.endswith("data.pkl") for n in names) else "a zip file without config.json"
            msg = f"it is {what}, not a Keras model"
            raise UnreadableError(msg)
        damaged = archive.testzip()
        if damaged:
            msg = f"it is damaged: {damaged} does not match its checksum"
            raise UnreadableError(msg)
        if "model.weights.h5" not in names:
            msg = "it holds no weights (model.weights.h5 is missing)"
            raise UnreadableError(msg)
        size = path.stat().st_size
        if archive.getinfo("model.weights.h5").file_size > EXPANSION * size:
            msg = "it claims far more weights than it can hold"
            raise UnreadableError(msg)
        config = _json(archive.read("config.json"), "config.json")
        metadata = _json(archive.read("metadata.json"), "metadata.json") if "metadata.json" in names else {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as weights:
            _read_all(weights, size)
    return {"kind": "keras", "version": metadata.get("keras_version"), "config": config}


def _look_into_h5(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream, h5py.File(stream, "r") as file:
        _read_all(file, path.stat().st_size)
        if "model_config" not in file.attrs:
            if "layer_names" in file.attrs or {"layers", "_layer_checkpoint_dependencies"} & set(file):
                msg = "it holds weights only, no model; save the whole model with model.save(...)"
                raise UnreadableError(msg)
            msg = "it is an HDF5 file, but holds no Keras model"
            raise UnreadableError(msg)
        version = file.attrs.get("keras_version")
        config = _json(file.attrs["model_config"], "model_config")
    return {"kind": "h5", "version": version.decode() if isinstance(version, bytes) else version, "config": config}


def _json(text: bytes | str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"its {where} is not JSON: {error}"
        raise UnreadableError(msg) from error


def _read_all(group: Any, size: int) -> int:
    """Read every dataset below *group* and return how many bytes that was."""
    total = 0
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            msg = f"{name!r} in it is a link to another file"
            raise UnreadableError(msg)
        if isinstance(link, h5py.SoftLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            total += _read_all(item, size)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                msg = f"the weights {name!r} in it are stored in another file"
                raise UnreadableError(msg)
            total += item.nbytes
            if total > EXPANSION * size:
                msg = "it claims far more weights than it can hold"
                raise UnreadableError(msg)
            _read(item)
    return total


def _read(dataset: Any) -> None:
    if not dataset.shape:
        dataset[()]
        return
    rows = max(1, PIECE_BYTES // max(1, dataset.nbytes // max(1, dataset.shape[0])))
    for start in range(0, dataset.shape[0], rows):
        dataset[start : start + rows]


def main(path: str, out: BinaryIO) -> None:
    """Write what :func:`look` finds, or ``{"error": …}``, as JSON."""
    try:
        facts = look(Path(path))
    except UnreadableError as error:
        facts = {"error": str(error)}
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        lines = str(error).splitlines()
        facts = {"error": f"it is truncated or damaged ({lines[0] if lines else type(error).__name__})"}
    out.write(json.dumps(facts).encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.stdout.buffer)
