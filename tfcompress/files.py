"""Files that appear whole or not at all, and the folder a run leaves behind.

A run writes into a hidden folder beside its destination and renames it at the end, so that nothing half-written ever
carries the final name; what a killed run left there is taken up again by the same run, or cleared by another.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfcompress.errors import OutputError

WORK = ".work"
"""Folder inside a run's hidden folder for what lets a killed run go on; never part of the result."""


def sha256(source: bytes | Path) -> str:
    """Return the SHA-256 of bytes, or of a file read in pieces, as hexadecimal text."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    digest = hashlib.sha256()
    with source.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextlib.contextmanager
def output_errors(path: Path, *, full_only: bool = False) -> Iterator[None]:
    """Turn an OSError met while writing *path* into an OutputError that says what to do.

    Args:
        path: what is written.
        full_only: leave every OSError alone that does not come from a full or read-only disk.

    Raises:
        OutputError: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if full_only and error.errno not in _FULL:
            raise
        remedy = {
            errno.ENOSPC: "the disk is full; free some space or choose another place with -o",
            errno.EDQUOT: "the quota is used up; free some space or choose another place with -o",
            errno.EACCES: "no permission to write there; choose another place with -o",
            errno.EROFS: "the file system is read-only; choose another place with -o",
            errno.EEXIST: "a part of the path is a file; choose another place with -o",
            errno.ENOTDIR: "a part of the path is a file; choose another place with -o",
        }.get(error.errno or 0, error.strerror or str(error))
        msg = f"cannot write {path}: {remedy}"
        raise OutputError(msg) from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write *content* to *path* so that the file is there whole or not at all.

    Text is written as UTF-8, what is none (a byte of a file's name) as an escape: that is how JSON has it, too.

    Raises:
        OutputError: the file cannot be written; what stood at *path* before still does.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with atomic_stream(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def atomic_stream(path: Path) -> Iterator[BinaryIO]:
    """Give a stream whose content is there at *path*, whole, once the block has ended; after an error nothing is.

    Raises:
        OutputError: the file cannot be written; what stood at *path* before still does.
    """
    with output_errors(path):
        part = path.parent / f".tfcompress-{os.urandom(8).hex()}"
        # Opened by the rights that new files have, the process's umask is applied without anybody asking for it.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except BaseException:  # Ctrl-C, too: no partial file is left
            part.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def output_folder(target: Path, *, key: str, force: bool = False) -> Iterator[Path]:
    """Give a folder to write into, which becomes *target* when the block ends without an error.

    Args:
        target: the folder to make.
        key: says what the run is (a hash of its inputs); a killed run's leavings are kept for a run of the same key.
        force: replace an existing folder, which stays as it is until the new one is whole.

    Yields:
        The hidden folder beside *target*. After an error in the block it is removed, unless it holds a :data:`WORK`
        folder (hours of training, say); after a kill or Ctrl-C it stays. A run of the same key takes it up.

    Raises:
        OutputError: *target* exists and *force* is off, is a file, or cannot be written; or another run is at it.
    """
    check_target(target, force=force)
    partial = target.parent / f".{target.name}.partial"
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _same_run(partial, key):
            _clear_partial(partial)
        partial.mkdir(exist_ok=True)
        lock = (partial / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"another run is writing {target}; wait for it, or choose another place with -o"
            raise OutputError(msg) from error
        write_atomic(partial / ".run.json", json.dumps({"key": key}))
        try:
            with output_errors(target, full_only=True):
                yield partial
            with output_errors(target):
                _publish(partial, target)
        except Exception:  # whatever failed, only what a resumed run can use is kept
            if not (partial / WORK).exists():
                shutil.rmtree(partial, ignore_errors=True)
            raise


_OURS = ("report.json", "front.json", "firmware.json")
"""One of these is in every folder that tfcompress wrote."""


def check_target(target: Path, *, force: bool) -> None:
    """Refuse a target that exists (unless *force*), is a file, or lies where nothing can be written.

    Raises:
        OutputError: saying which of these it is.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        msg = f"{target} is a file, not a folder; choose another place with -o"
        raise OutputError(msg)
    if target.exists() and not force:
        msg = f"{target} exists already; give --force to replace it, or choose another place with -o"
        raise OutputError(msg)
    ours = any((target / name).is_file() for name in _OURS)
    if target.exists() and not ours and any(target.iterdir()):
        msg = (
            f"{target} holds no report.json: tfcompress did not write it and will not replace it; choose another place"
        )
        raise OutputError(msg)


def _same_run(partial: Path, key: str) -> bool:
    try:
        return bool(json.loads((partial / ".run.json").read_text()).get("key") == key)
    except (OSError, ValueError):
        return False


def _clear_partial(partial: Path) -> None:
    """Remove what another run left, unless that run is still at it."""
    if not partial.exists():
        return
    with contextlib.suppress(FileNotFoundError), (partial / ".lock").open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"another run is writing beside {partial}; wait for it, or choose another place with -o"
            raise OutputError(msg) from error
    shutil.rmtree(partial)


def _publish(partial: Path, target: Path) -> None:
    for name in (".lock", ".run.json"):
        (partial / name).unlink(missing_ok=True)
    shutil.rmtree(partial / ".work", ignore_errors=True)
    old = target.parent / f".{target.name}.replaced"
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def cache_folder(what: str = "sensitivity") -> Path:
    """Return the folder in which sensitivity analyses are kept, or what else is dear to find out, in the user's cache.

    Where that is, the XDG Base Directory specification says.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfcompress" / what
