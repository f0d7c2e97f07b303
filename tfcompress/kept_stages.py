"""What stages have made, kept for every later run that would make the same: a cache by content.

A part of a run (a model after a rewriting stage, after a training) is known by a hash of the model, the data and the
versions it began with, of the parts before it, and of its own settings. Runs that begin alike share what they have in
common; how a result is exported counts only as far as stages are decided by it. A part is there whole or not at all,
one whose file does not have the hash that was noted is made again, and what was used longest ago goes when the folder
becomes too large.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tfcompress import files
from tfcompress.resumption import Finished, Work, ground_of, hash_of

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.models.loading import Loaded

KEPT_BYTES = 4 << 30
"""Size of the folder where nobody says another."""

MADE = "made.jsonl"
"""File in the folder with a line for each part that was made: its key, its title and the seconds that it took."""

_LOCKS = ".locks"


@dataclass(frozen=True)
class KeptStages:
    """A folder of parts.

    Attributes:
        folder: where they are; it is made when the first one is kept.
        most_bytes: how large it may become.
    """

    folder: Path
    most_bytes: int = KEPT_BYTES

    @contextlib.contextmanager
    def work(self, loaded: Loaded, data: BoundData | None, *, trust: bool = False) -> Iterator[KeptWork]:
        """Give the view that one run has of the folder, trimmed first; see :class:`tfcompress.resumption.Work`.

        Args:
            loaded: the model.
            data: the bound data; which samples files are scored on does not count.
            trust: run code that a kept model holds.
        """
        self.trim()  # somebody may say another size than the last time
        work = KeptWork(self, loaded, data, trust=trust)
        try:
            yield work
        finally:
            work.leave()

    def size_bytes(self) -> int:
        """Return the size of all parts."""
        return sum(size for _, size, _ in self._parts())

    def trim(self) -> None:
        """Remove what was used longest ago, until the rest fits; what somebody is making stays."""
        parts = sorted(self._parts())
        left = sum(size for _, size, _ in parts)
        for _, size, path in parts[:-1]:
            if left <= self.most_bytes:
                return
            key = path.name.partition("-")[0].partition(".")[0]  # a part's epochs, or what became of half a part
            with self.locked(key, wait=False) as mine:
                if mine is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    left -= size

    def _parts(self) -> list[tuple[float, int, Path]]:
        """Return when each part was used last, its size in bytes, and its folder."""
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.is_dir() and path.name != _LOCKS:
                with contextlib.suppress(OSError):  # somebody else removes it just now
                    size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
                    found.append((path.stat().st_mtime, size, path))
        return found

    @contextlib.contextmanager
    def locked(self, key: str, *, wait: bool = True) -> Iterator[IO[str] | None]:
        """Hold a part alone; None: somebody else does, and *wait* is off. The lock goes with its process."""
        lock = self.lock(key, wait=wait)
        try:
            yield lock
        finally:
            if lock is not None:
                lock.close()

    def lock(self, key: str, *, wait: bool = True) -> IO[str] | None:
        """Return an open file whose lock says that a part is in somebody's hands; see :meth:`locked`.

        Raises:
            OutputError: the folder cannot be written.
        """
        path = self.folder / _LOCKS / key
        with files.output_errors(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def tell(self, key: str, title: str, seconds: float) -> None:
        """Note that a part was made; a line is written in one piece, whoever else writes."""
        line = json.dumps({"key": key, "title": title, "seconds": round(seconds, 3), "pid": os.getpid()})
        with files.output_errors(self.folder), (self.folder / MADE).open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


class KeptWork(Work):
    """One run's view of kept parts: each begun part's key goes on from the one before."""

    def __init__(self, kept: KeptStages, loaded: Loaded, data: BoundData | None, *, trust: bool = False) -> None:
        """Begin at the model as it came; see :meth:`KeptStages.work`."""
        from tfcompress.data.validation import unjudged

        super().__init__(kept.folder, loaded, trust=trust)
        self._kept = kept
        self._key = hash_of([ground_of(loaded, None if data is None else unjudged(data)), loaded.writer])
        self._keys: dict[str, str] = {}
        self._lock: IO[str] | None = None
        self._begun = 0.0

    def begin(self, title: str, *settings: Any) -> None:
        """Go on to the next part, and wait while somebody else makes the same."""
        self.leave()
        self._key = self._keys[title] = hash_of([self._key, settings])
        self._lock = self._kept.lock(self._key)
        self._begun = time.monotonic()

    def place(self, title: str) -> Path:
        """Return the folder of a part that was begun."""
        return self._kept.folder / self._keys[title]

    def finished(self, title: str) -> Finished | None:
        """Return a part that is there already, and count it as used; None: it has to be made."""
        found = super().finished(title)
        if found is not None:
            with contextlib.suppress(OSError):
                os.utime(self.place(title))
            self.leave()
        return found

    def keep(self, title: str, made: Finished) -> None:
        """Keep a part that was made, and let the folder not grow beyond its size."""
        seconds = time.monotonic() - self._begun
        super().keep(title, made)
        self._kept.tell(self._keys[title], title, seconds)
        self.leave()
        self._kept.trim()

    def leave(self) -> None:
        """Let others have the part that was begun last."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextlib.contextmanager
def work_for(
    kept: KeptStages | None, folder: Path | None, loaded: Loaded, data: BoundData | None, *, trust: bool
) -> Iterator[Work]:
    """Give what a run keeps its parts in: the cache where there is one, else its own folder, else nothing."""
    if kept is None:
        yield Work(folder, loaded, trust=trust)
        return
    with kept.work(loaded, data, trust=trust) as work:
        yield work
