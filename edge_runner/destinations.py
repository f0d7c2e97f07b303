"""Where results go: checked before anything is measured, and written whole or not at all.

An hour of measuring is not to end in a place that cannot be written, and a slip in the order of the arguments
(``-o model.tflite other.tflite``) not in a model that is gone.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runner.arguments import Options

_FOREIGN = {
    "-o": {".h5", ".keras", ".npy", ".npz", ".tflite"},
    "--outputs": {".h5", ".json", ".keras", ".npy", ".tflite"},
}
"""Suffixes that promise something else than what is written there."""
_KINDS = {"-o": "JSON", "--outputs": "an .npz"}
_INSTEAD = {"-o": "give '-o -' for JSON on standard output", "--outputs": "name a file"}
_MEMBER = re.compile(r"\d+\..*\.npy", re.DOTALL)


def problem(options: Options) -> str | None:
    """Return why a result cannot be written where it is asked for, or what would be lost by it; None: all is well."""
    asked = [("-o", options.output, _is_document), ("--outputs", options.outputs, _is_raw_outputs)]
    read = [path for path in (*options.models, options.data, options.labels) if path]
    for flag, path, ours in asked:
        found = path and (
            _mistaken(flag, path, read) or _occupied(flag, path, ours, options) or _unwritable(flag, path)
        )
        if found:
            return found
    if options.output and options.outputs and _same(options.output, options.outputs):
        return f"-o and --outputs name the same file, {str(options.output)!r}"
    return None


def _mistaken(flag: str, path: Path, read: Sequence[Path]) -> str | None:
    """Refuse a place that is read from, or that is called like something else."""
    if any(_same(path, other) for other in read):
        return f"{flag} names {str(path)!r}, which is to be read: {_KINDS[flag]} would be written over it"
    if path.suffix.lower() in _FOREIGN[flag]:
        return f"{flag} writes {_KINDS[flag]}, and {path.name!r} is called a {path.suffix}; choose another name"
    return None


def _occupied(flag: str, path: Path, ours: Callable[[Path], bool], options: Options) -> str | None:
    """Refuse what is no plain file, and a file that an earlier measurement did not write, unless that is meant."""
    try:
        if not os.path.lexists(path):
            path.lstat()  # a name too long is no name of a file that is not there
        if path.exists() and not path.is_file():
            return f"{flag}: {str(path)!r} is no plain file; {_INSTEAD[flag]}"
        if path.is_file() and path.stat().st_size and not options.force and not ours(path):
            return f"{flag}: {str(path)!r} was not written by edge_runner; give --force to replace it, or another name"
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{flag}: cannot write {str(path)!r}: {error.strerror}"
    return None


def _unwritable(flag: str, path: Path) -> str | None:
    """Try to make a file there."""
    if not path.parent.is_dir():
        return f"{str(path.parent)!r} is no folder to write {path.name!r} into"
    try:
        part, handle = new_file_beside(path)
        os.close(handle)
        part.unlink()
    except OSError as error:
        return f"{flag}: cannot write into {str(path.parent)!r}: {error.strerror}; choose another place"
    return None


def _same(first: Path, second: Path) -> bool:
    """Whether two paths lead to one file, by whatever names."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def _is_document(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            if stream.read(1) != b"{":
                return False
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return found.get("tool") in ("edge_runner", "edge_runner --doctor")


def _is_raw_outputs(path: Path) -> bool:
    import zipfile  # it takes longer to load than all else here, and is seldom asked

    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return all(map(_MEMBER.fullmatch, archive.namelist()))
    except (zipfile.BadZipFile, NotImplementedError):
        return False


def new_file_beside(path: Path) -> tuple[Path, int]:
    """Make a new file beside *path*, with the rights that any program's new files have here."""
    part = path.parent / f".edge_runner-{os.urandom(8).hex()}"
    return part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def write_whole(path: Path, content: bytes) -> None:
    """Write *content* to *path* so that the file is there whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    part, handle = new_file_beside(path)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:  # Ctrl-C, too: no partial file is left
        part.unlink(missing_ok=True)
        raise
