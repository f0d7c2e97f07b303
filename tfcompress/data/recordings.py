"""Class folders of ``.wav`` files: one channel, padded or cut to what the model takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data import memory, wav
from tfcompress.data.class_names import Named
from tfcompress.data.folders import ClassFiles
from tfcompress.data.raw import Labels, SampleWeights, Stored, Told
from tfcompress.data.wav import WavFormat
from tfcompress.errors import DataError, UsageError
from tfcompress.plain import open_regular

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

NOTE = (
    "recordings are floats: PCM in [-1, 1), a whole number divided by 2**(bits - 1); several channels become their mean"
)
"""For the report."""

LISTED = 5
"""Most corrupt files that a line names."""


@dataclass(frozen=True, repr=False)
class RecordingSplit(ClassFiles):
    """Recordings of one split.

    Attributes:
        formats: what each holds.
        frames: samples that are taken of each before preprocessing; None: as many as the model's input has.
        warnings: what was left out.
    """

    formats: tuple[WavFormat, ...]
    frames: int | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say how many recordings there are, and where."""
        return f"RecordingSplit({str(self.folder)!r}: {len(self.paths):,} recordings)"

    def fit(self, signature: Signature) -> RecordingTable:
        """Take the length from the model's only input, where nobody said it.

        Raises:
            DataError: the model has several inputs, or one that is no sound.
        """
        spec = signature.inputs[0]
        longest = max(found.frames for found in self.formats)
        if self.frames is not None:
            return RecordingTable(self, (self.frames,))
        sizes = [size for size in spec.shape if size != 1]
        if len(signature.inputs) > 1 or len(sizes) != 1:
            shapes = ", ".join(f"{spec.name!r} {spec.shape}" for spec in signature.inputs)
            msg = (
                f"data {str(self.folder)!r} holds recordings, so the model must have one input of shape (samples,) or "
                f"(samples, 1), it has {shapes}; give --preprocess module:function that computes it from an array "
                "(batch, samples)"
            )
            raise DataError(msg)
        return RecordingTable(self, tuple(longest if size is None else size for size in spec.shape))


@dataclass(frozen=True)
class RecordingTable:
    """Recordings of one length, by row.

    Attributes:
        split: which recordings.
        shape: of a sample.
    """

    split: RecordingSplit
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of recordings."""
        return len(self.split.paths)

    @property
    def frames(self) -> int:
        """How many samples each gives."""
        return max(self.shape)

    def read(self, rows: np.ndarray) -> Stored:
        """Decode the recordings of *rows*, float32, silence behind those that are too short.

        Raises:
            DataError: a file that changed meanwhile, or floats that are NaN or Inf.
        """
        memory.need(4 * self.frames * len(rows), f"{len(rows):,} recordings of {self.split.folder.name}/")
        out = np.zeros((len(rows), self.frames), np.float32)
        for place, row in zip(out, rows, strict=True):
            path, found = self.split.paths[row], self.split.formats[row]
            try:
                with open_regular(path) as stream:
                    samples = wav.read_samples(stream, found, self.frames)
            except (OSError, ValueError) as error:
                raise _undecodable(path, error) from error
            place[: len(samples)] = samples
        return Stored({"": out.reshape(len(rows), *self.shape)}, self.labels(rows))

    def labels(self, rows: np.ndarray) -> Labels:
        """Return the class numbers of *rows*, int64."""
        numbers: np.ndarray = self.split.classes[rows]
        return numbers

    def weights(self, rows: np.ndarray) -> SampleWeights:
        """Return None: all recordings count alike."""

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return those of *rows* that hold floats, which may be NaN; all when *changed*. All headers were read."""
        return rows if changed else rows[[self.split.formats[row].floats for row in rows]]

    def groups(self, rows: np.ndarray) -> None:
        """Return None: recordings have no groups."""

    def called(self, row: int) -> str:
        """Return the file of a recording."""
        return str(self.split.paths[row])

    @property
    def told(self) -> Told:
        """How many are padded, how many cut."""
        lengths = [found.frames for found in self.split.formats]
        short, long = sum(n < self.frames for n in lengths), sum(n > self.frames for n in lengths)
        parts = []
        if short:
            parts.append(f"{short:,} of {self.size:,} are shorter than {self.frames:,} samples and get silence behind")
        if long:
            parts.append(f"{long:,} of {self.size:,} are longer than {self.frames:,} samples and lose what is behind")
        notes = (f"{self.split.x_name}: {'; '.join(parts)}",) if parts else ()
        return Told(notes, self.split.warnings)


def recording_splits(
    files: Mapping[str, ClassFiles], named: Named, frames: int | None, *, computed: bool, skip_corrupt: bool
) -> Named:
    """Return class folders of recordings as splits; every header is read.

    Args:
        files: by split.
        named: their classes, and what was said of them.
        frames: samples that each gives to preprocessing (``--window``); None: the model's input says it.
        computed: whether a function of the user's makes the model's input of them; each then gives as many samples as
            the longest one has, where nobody says otherwise.
        skip_corrupt: leave out what cannot be read, and say so, instead of refusing it.

    Raises:
        DataError: a file that cannot be read, or of another sampling rate than the others.
        UsageError: *frames* for what no function computes.
    """
    if frames is not None and not computed:
        msg = (
            "--window says how many samples of a recording --preprocess module:function gets; without one the model's "
            "input says it: leave --window out"
        )
        raise UsageError(msg)
    splits = {name: _opened(part, skip_corrupt=skip_corrupt) for name, part in files.items()}
    rate_hz = _check_rates([pair for split in splits.values() for pair in zip(split.paths, split.formats, strict=True)])
    longest = max(found.frames for split in splits.values() for found in split.formats)
    if computed:
        splits = {name: replace(split, frames=frames or longest) for name, split in splits.items()}
    notes = (*named.notes, f"recordings of {rate_hz:,} Hz, the longest of {longest:,} samples", NOTE)
    return replace(named, splits={**splits}, notes=notes)


def _opened(part: ClassFiles, *, skip_corrupt: bool) -> RecordingSplit:
    formats: list[WavFormat] = []
    sound: list[int] = []
    errors: list[DataError] = []
    for place, path in enumerate(part.paths):
        try:
            with open_regular(path) as stream:
                formats.append(wav.read_format(stream))
            sound.append(place)
        except (OSError, ValueError) as error:
            errors.append(_undecodable(path, error))
    if errors and not (skip_corrupt and sound):
        raise errors[0]
    kept = tuple(part.paths[place] for place in sound)
    return RecordingSplit(
        part.folder, kept, part.classes[sound], tuple(formats), None, skipped(part.folder.name, errors)
    )


def skipped(where: str, errors: Sequence[Exception]) -> tuple[str, ...]:
    """Return the line that counts and names the corrupt samples left out, as a tuple of one; empty without any."""
    if not errors:
        return ()
    named = "; ".join(str(error).partition("; replace or delete")[0] for error in errors[:LISTED])
    more = "; ..." if len(errors) > LISTED else ""
    count = "1 corrupt sample is" if len(errors) == 1 else f"{len(errors):,} corrupt samples are"
    return (f"{where}: {count} left out (--skip-corrupt): {named}{more}",)


def _check_rates(pairs: Sequence[tuple[Path, WavFormat]]) -> int:
    """Return the rate of all recordings in Hz, or refuse the first that has not that of most."""
    counts = Counter(found.rate_hz for _, found in pairs)
    most = counts.most_common(1)[0][0]
    odd = next(((path, found) for path, found in pairs if found.rate_hz != most), None)
    if odd:
        path, found = odd
        others = len(pairs) - counts[most]
        msg = (
            f"recording {str(path)!r} has {found.rate_hz:,} Hz, {counts[most]:,} of {len(pairs):,} have {most:,} Hz; "
            f"resample it{f' and {others - 1:,} others' if others > 1 else ''} (nothing is resampled here)"
        )
        raise DataError(msg)
    return most


def _undecodable(path: Path, reason: object) -> DataError:
    return DataError(f"recording {str(path)!r} cannot be read ({reason}); replace or delete it")
