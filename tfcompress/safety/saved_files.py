"""The files of a SavedModel: none may lead out of its folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tfcompress.errors import ModelError

ASSETS = "saved_model_assets"
"""The collection in which TensorFlow 1 lists assets."""


def leading_out(path: Path) -> list[str]:
    """Return the links in a folder that lead out of it, each by its path in the folder.

    Raises:
        ModelError: something there is neither a file, a folder nor a link: reading it may never end.
    """
    root = path.resolve()
    found = []
    for entry in _entries(root):
        mode = entry.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not _target(path, entry).is_relative_to(root):
                found.append(str(entry.relative_to(root)))
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            name = str(entry.relative_to(root))
            msg = f"model {str(path)!r} cannot be read: its {name!r} is neither a file nor a folder"
            raise ModelError(msg)
    return sorted(found)


def _entries(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):  # links are listed and not followed
        yield from (Path(folder) / name for name in (*folders, *files))


def _target(path: Path, link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links, up to Python 3.12
        msg = f"model {str(path)!r} cannot be read: its link {link.name!r} leads in a circle"
        raise ModelError(msg) from error


def foreign_assets(meta: Any) -> list[str]:
    """Return the names of a meta graph's assets (``MetaGraphDef``) that are not those of files in ``assets/``.

    TensorFlow puts a file's name there, without its folder.
    """
    return sorted({name for name in _assets(meta) if name in ("", ".", "..") or PurePosixPath(name).name != name})


def _assets(meta: Any) -> Iterator[str]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import meta_graph_pb2

    yield from (asset.filename for asset in meta.asset_file_def)
    if ASSETS not in meta.collection_def:
        return
    for packed in meta.collection_def[ASSETS].any_list.value:
        asset = meta_graph_pb2.AssetFileDef()
        try:
            asset.ParseFromString(packed.value)
        except DecodeError:
            continue  # the loader cannot read it either
        yield asset.filename
