"""A teacher's outputs, computed once for each sample and kept on disk, found again by the sample's bytes.

Samples come in another order in every epoch, from arrays, files or a stream, and mirrored images may be among them; by
its bytes each is known again wherever it comes from. A file of answers belongs to one teacher and what it is given.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path

import numpy as np

from tfcompress import files
from tfcompress.models.specs import TensorSpec

MOST_BYTES = 4 << 30
"""Most bytes of answers that are kept of one teacher; further samples are computed each time."""

_DIGEST = 16
_ROWS, _DIGESTS = ".rows", ".digests"


class KeptAnswers:
    """Outputs by the bytes of the inputs that they are of.

    Each appends to files of its own, made with its first new answer, and answers go before the digests that tell of
    them: a killed run leaves what can be read, and two runs at once do not meet.
    """

    def __init__(self, folder: Path, outputs: Sequence[TensorSpec], most_bytes: int = MOST_BYTES) -> None:
        """Read what is known already.

        Args:
            folder: of this teacher; made where it is not there yet.
            outputs: specs of the outputs, of fixed sizes.
            most_bytes: most bytes of answers that are kept.
        """
        self._most = most_bytes
        self._shapes = [tuple(int(size or 1) for size in spec.shape) for spec in outputs]
        self._width = sum(int(np.prod(shape)) for shape in self._shapes)
        self._known: dict[bytes, tuple[FileIO, int]] = {}
        self._streams: list[FileIO] = []
        self._own: tuple[FileIO, FileIO] | None = None
        self._folder, self._written = folder, 0
        with files.output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for digests in sorted(folder.glob(f"*{_DIGESTS}")):
                self._read(digests)

    def _read(self, digests: Path) -> None:
        rows = digests.with_suffix(_ROWS)
        if not rows.is_file():
            return
        names = digests.read_bytes()
        count = min(len(names) // _DIGEST, rows.stat().st_size // (4 * self._width))
        if not count:
            return
        stream = rows.open("rb", buffering=0)
        self._streams.append(stream)
        for number in range(count):
            self._known[names[number * _DIGEST : (number + 1) * _DIGEST]] = (stream, number)

    def _opened(self) -> tuple[FileIO, FileIO]:
        """Return the files of its own, for rows and for digests."""
        if self._own is None:
            path = self._folder / os.urandom(8).hex()
            self._own = (
                path.with_suffix(_ROWS).open("a+b", buffering=0),
                path.with_suffix(_DIGESTS).open("ab", buffering=0),
            )
            self._streams += self._own
        return self._own

    @property
    def size(self) -> int:
        """How many samples have their answers here."""
        return len(self._known)

    def close(self) -> None:
        """Close the files."""
        for stream in self._streams:
            stream.close()

    def look_up(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
        """Return the outputs for a batch, float32, shape (samples, ...) each; None: not all of them are known.

        Args:
            inputs: arrays by name, shape (samples, ...).
        """
        names = _digests(inputs)
        if not all(name in self._known for name in names):
            return None
        rows = np.stack([self._row(name) for name in names])
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1]
        parts = np.split(rows, ends, axis=1)
        return [part.reshape(len(rows), *shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def keep(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Keep the outputs of a batch, as far as there is room.

        Args:
            inputs: arrays by name, shape (samples, ...).
            outputs: what a teacher makes of them, shape (samples, ...) each.

        Raises:
            OutputError: the disk is full.
        """
        names, rows = _digests(inputs), self._flat(outputs)
        fresh = {name: row for name, row in zip(names, rows, strict=True) if name not in self._known}
        if (len(self._known) + len(fresh)) * 4 * self._width > self._most:
            return
        with files.output_errors(self._folder):
            rows_of, digests_of = self._opened()
            _write(rows_of, b"".join(row.tobytes() for row in fresh.values()))
            _write(digests_of, b"".join(fresh))
        for name in fresh:
            self._known[name] = (rows_of, self._written)
            self._written += 1

    def _flat(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.asarray(x, np.float32).reshape(len(x), -1) for x in outputs], axis=1)

    def _row(self, name: bytes) -> np.ndarray:
        stream, number = self._known[name]
        stored = os.pread(stream.fileno(), 4 * self._width, number * 4 * self._width)
        return np.frombuffer(stored, np.float32)


def _write(stream: FileIO, content: bytes) -> None:
    """Write all of it: a file without a buffer takes what fits on the disk, and says how much that was."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) or 0 :]


def _digests(inputs: Mapping[str, np.ndarray]) -> list[bytes]:
    """Return a digest of each sample: of its type, shape and bytes in all inputs, by their names' order."""
    arrays = [np.ascontiguousarray(inputs[name]) for name in sorted(inputs)]
    form = hashlib.blake2b(repr([(x.dtype.str, x.shape[1:]) for x in arrays]).encode(), digest_size=_DIGEST)
    found = []
    for place in range(len(arrays[0])):
        digest = form.copy()
        for array in arrays:
            digest.update(array[place].tobytes())
        found.append(digest.digest())
    return found
