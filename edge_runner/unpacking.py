"""Packages among the files that are to be measured: unpacked into a folder that is gone at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

IDENTIFIER = b"TFZ1"
"""What a package begins with; see :mod:`edge_runner.package`, which is loaded only where there is one."""


def is_package(start: bytes) -> bool:
    """Say whether a file that starts like this is a package."""
    return start[: len(IDENTIFIER)] == IDENTIFIER


class Unpacking:
    """A place for the files that came out of packages; a context manager.

    Args:
        tell: takes a line about what is being unpacked, which may take seconds.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self._tell = tell
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._done: dict[Path, tuple[Path, dict[str, Any]]] = {}

    def __enter__(self) -> Unpacking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def file_of(self, path: Path) -> tuple[Path, dict[str, Any] | None]:
        """Return the file to run for *path*, and what the document says of the package; None: it is no package.

        Raises:
            OSError: it cannot be read, or there is no room for what is in it.
            PackageError: the package is damaged.
        """
        if path in self._done:
            return self._done[path]
        if not path.is_file():
            return path, None
        with path.open("rb") as stream:
            if not is_package(stream.read(len(IDENTIFIER))):
                return path, None
            from edge_runner import package

            self._tell(f"unpacking {path.name}")
            stream.seek(0)
            content = stream.read(package.MOST_BYTES + package.HEADER.size)
        found = package.unpack(content)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="edge_runner-")
        target = Path(self._folder.name, f"{len(self._done)}.tflite")
        target.write_bytes(found)
        self._done[path] = target, {"codec": package.codec_of(content), "size_bytes": len(content)}
        return self._done[path]
