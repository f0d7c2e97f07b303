"""Samples of the test split that training has seen: the same numbers, or images that look the same.

Two images look the same where the correlation of their 8 x 8 grey thumbnails, and then of all their pixels, is as good
as 1: within :data:`FARTHEST`, and within :data:`UNUSUAL` of what is usual between a training image and the training
image nearest to it. (Centred digits are all alike; photos are not.) Correlation ignores brightness and contrast, by
which a re-encoded or brightened copy differs. Of the 10,000 test images of CIFAR-10 this names 59, which people see as
pairs, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data.raw import RawInputs
from tfcompress.data.splits import BoundSplit, TableSplit

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

SAMPLES = 60_000
"""Most samples of a split that are looked at, spread over it."""

STREAM_SAMPLES = 10_000
"""Of what is read from front to back, only the first."""

PAIRS = 1_000_000_000
"""Most pairs of thumbnails that are compared: half a second for a fourth of them on two cores at rest."""

READ_BYTES = 4 << 30
"""Most bytes of a split that are looked at; an eighth of them where each sample is decoded out of a file."""

BATCH_BYTES = 32 << 20
"""Most bytes of samples in memory at a time."""

SIDE = 8
"""Rows and columns of a thumbnail."""

FLAT = 0.02
"""A thumbnail whose standard deviation is this part of all values' range shows nothing, and is like no other."""

FARTHEST = 0.04
"""Largest distance (1 - correlation) of images that look the same."""

UNUSUAL = 0.25
"""And largest part of the median distance between an image and its nearest neighbour."""

NEIGHBOURS = 500
"""Training images whose nearest neighbour is looked for, to know what is usual."""

CANDIDATES = 500
"""Most pairs whose pixels are compared, the nearest first."""


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        same: test samples whose numbers are those of a training sample.
        alike: test images that look like a training image.
        looked_at: how many test samples were compared with how many of training.
        example: what a pair is called.
    """

    same: int
    alike: int
    looked_at: tuple[int, int]
    example: tuple[str, str]

    @property
    def warning(self) -> str:
        """The line for a user."""
        tested, trained = self.looked_at
        kinds = [f"{self.same:,} exactly"] * bool(self.same) + [f"{self.alike:,} nearly (images)"] * bool(self.alike)
        return (
            f"{self.same + self.alike:,} of {tested:,} test samples are among {trained:,} of training, "
            f"{' and '.join(kinds)}: {self.example[0]} is {self.example[1]}, for example; the score counts what was "
            "learnt by heart: keep copies in one split"
        )


def duplicates(train: BoundSplit, test: BoundSplit) -> Duplicates | None:
    """Look for test samples that training has seen; None where there are none.

    Samples are compared as they are stored. Those whose values are all alike (silence, a black image) are none.
    """
    prints = [_Prints(split) for split in (train, test)]
    for each in prints:
        each.read()
    trained, tested = prints
    if not len(trained.hashes) or not len(tested.hashes):
        return None
    same = np.isin(tested.hashes, trained.hashes) & ~tested.empty
    alike = _alike(trained, tested, ~same) if trained.has_thumbnails and tested.has_thumbnails else {}
    if not same.any() and not alike:
        return None
    if same.any():
        place = int(np.flatnonzero(same)[0])
        other = int(np.flatnonzero(trained.hashes == tested.hashes[place])[0])
    else:
        place, other = next(iter(alike.items()))
    example = (tested.called(place), trained.called(other))
    return Duplicates(int(same.sum()), len(alike), (len(tested.hashes), len(trained.hashes)), example)


@dataclass
class _Prints:
    """Hashes of some samples of a split, and thumbnails where they are images."""

    split: BoundSplit
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    hashes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    empty: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    thumbnails: np.ndarray = field(default_factory=lambda: np.zeros((0, SIDE * SIDE), np.float32))

    def read(self) -> None:
        """Read the samples."""
        image, parts = is_image(self.split.adapter.signature), []
        for x, rows in self._pieces():
            thumbnails = _thumbnails(next(iter(x.values()))) if image else None
            parts.append((rows, *_hashes(x), thumbnails))
        if not parts:
            return
        rows, hashes, empty, drawn = zip(*parts, strict=True)
        self.rows, self.hashes, self.empty = (np.concatenate(each) for each in (rows, hashes, empty))
        if all(each is not None for each in drawn):
            self.thumbnails = np.concatenate(drawn)

    @property
    def has_thumbnails(self) -> bool:
        """Whether the samples are images."""
        return bool(len(self.thumbnails))

    def _pieces(self) -> Iterator[tuple[RawInputs, np.ndarray]]:
        split = self.split
        if not isinstance(split, TableSplit):
            left = STREAM_SAMPLES
            for piece in split.pieces(256):
                yield piece.x, piece.rows
                left -= len(piece.rows)
                if left <= 0:
                    return
            return
        if not split.size:
            return
        each = max(1, sum(part.nbytes for part in split.table.read(split.rows[:1]).x.values()))
        decoded = len(split.table.doubtful(split.rows, changed=True)) < split.size
        count = min(SAMPLES, split.size, max(1, (READ_BYTES >> 3 * decoded) // each))
        rows = split.rows[np.unique(np.linspace(0, split.size - 1, count).astype(np.int64))]
        batch = max(1, min(1_000, BATCH_BYTES // each))
        for start in range(0, len(rows), batch):
            chosen = rows[start : start + batch]
            yield split.table.read(chosen).x, chosen

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """Return the grey images at *places*, of unit length around their mean, shape (images, pixels)."""
        assert isinstance(self.split, TableSplit)
        x = next(iter(self.split.table.read(self.rows[places]).x.values()))
        return _unit(_grey(x.astype(np.float32)).reshape(len(x), -1))

    def called(self, place: int) -> str:
        """Return what messages call a sample."""
        row = int(self.rows[place])
        if isinstance(self.split, TableSplit):
            return self.split.table.called(row)
        return f"sample {row:,} of {self.split.adapter.x_name}"


def is_image(signature: Signature) -> bool:
    """Tell whether a model's only input is an image of at least :data:`SIDE` rows and columns."""
    if len(signature.inputs) != 1:
        return False
    shape = signature.inputs[0].shape
    return len(shape) == 3 and shape[2] in (1, 3, 4) and all(size is None or size >= SIDE for size in shape[:2])


def _hashes(x: RawInputs) -> tuple[np.ndarray, np.ndarray]:
    """Return 64 bits of each sample, and whether its values are all alike."""
    parts = [np.ascontiguousarray(part).reshape(len(part), -1) for part in x.values()]
    hashes = np.empty(len(parts[0]), np.uint64)
    for row in range(len(hashes)):
        digest = hashlib.blake2b(digest_size=8)
        for part in parts:
            digest.update(part[row].data)
        hashes[row] = int.from_bytes(digest.digest(), "little")
    return hashes, np.all([(part == part[:, :1]).all(axis=1) for part in parts], axis=0)


def _grey(x: np.ndarray) -> np.ndarray:
    """Return the mean of the colours, shape (images, height, width); an alpha channel is none."""
    if x.ndim == 3:
        return x
    grey: np.ndarray = x[..., :3].mean(axis=-1)
    return grey


def _thumbnails(x: np.ndarray) -> np.ndarray | None:
    """Return the means of :data:`SIDE` x :data:`SIDE` parts of each image, shape (images, SIDE**2)."""
    if x.ndim not in (3, 4) or min(x.shape[1:3]) < SIDE:
        return None
    rows, columns = (np.arange(SIDE) * size // SIDE for size in x.shape[1:3])
    summed = np.add.reduceat(np.add.reduceat(x, rows, axis=1, dtype=np.float32), columns, axis=2)
    heights, widths = (np.diff(np.append(edge, size)) for edge, size in zip((rows, columns), x.shape[1:3], strict=True))
    areas = (heights[:, None] * widths).astype(np.float32)
    return (_grey(summed) / areas).reshape(len(x), -1)


def _unit(values: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Return rows around 0 and of length 1; those whose length is *least* or less become 0, which is like nothing."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(length > least, centred / np.maximum(length, 1e-20), 0).astype(np.float32)


def _alike(trained: _Prints, tested: _Prints, wanted: np.ndarray) -> dict[int, int]:
    """Return the places of test images that look like a training image, and of that one."""
    if not (isinstance(trained.split, TableSplit) and isinstance(tested.split, TableSplit)):
        return {}
    least = FLAT * float(np.ptp(trained.thumbnails)) * SIDE
    ours, theirs = (_unit(each.thumbnails, least) for each in (trained, tested))
    ours_at, theirs_at = np.arange(len(ours)), np.flatnonzero(wanted)
    fit = max(1, PAIRS // max(1, len(ours_at)))
    theirs_at = theirs_at[np.unique(np.linspace(0, len(theirs_at) - 1, min(len(theirs_at), fit)).astype(np.int64))]
    if not len(theirs_at):
        return {}
    limit = min(FARTHEST, UNUSUAL * _usual(ours))
    nearest, distance = _nearest(theirs[theirs_at], ours)
    order = np.argsort(distance, kind="stable")[:CANDIDATES]
    order = np.sort(order[distance[order] <= limit])
    found: dict[int, int] = {}
    for place in order:
        pair = int(theirs_at[place]), int(nearest[place])
        test, train = (each.pixels(np.array([at])) for each, at in zip((tested, trained), pair, strict=True))
        if test.shape == train.shape and 1 - float((test * train).sum()) <= limit:
            found[pair[0]] = pair[1]
    return found


def _usual(ours: np.ndarray) -> float:
    """Return the median distance of an image to its nearest neighbour, by thumbnails; infinite for one image."""
    some = np.unique(np.linspace(0, len(ours) - 1, NEIGHBOURS).astype(np.int64))
    if len(ours) < 2:
        return np.inf
    likeness = ours[some] @ ours.T
    likeness[np.arange(len(some)), some] = -1
    return float(np.median(1 - likeness.max(axis=1)))


def _nearest(theirs: np.ndarray, ours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the nearest of *ours* to each of *theirs*, and its distance (1 - correlation)."""
    places, distances = [], []
    rows = max(1, BATCH_BYTES // (4 * len(ours)))
    for start in range(0, len(theirs), rows):
        likeness = theirs[start : start + rows] @ ours.T
        places.append(likeness.argmax(axis=1))
        distances.append(1 - likeness.max(axis=1))
    return np.concatenate(places), np.concatenate(distances)
