"""A folder of class folders with images, decoded by TensorFlow and resized to the model's input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data import image_header, memory
from tfcompress.data.class_names import Named
from tfcompress.data.decoding import NOTE, decoded
from tfcompress.data.folders import ClassFiles
from tfcompress.data.raw import NOTHING_TOLD, Labels, SampleWeights, Stored, Told
from tfcompress.data.streams import reason_of
from tfcompress.errors import DataError
from tfcompress.plain import open_regular

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

CHECKED_IMAGES = 2_000
"""Images of a split that are decoded before any work; a damaged one beyond these is reported when it is met."""


@dataclass(frozen=True, repr=False)
class ImageSplit(ClassFiles):
    """Images of one split."""

    def __repr__(self) -> str:
        """Say how many images there are, and where."""
        return f"ImageSplit({str(self.folder)!r}: {len(self.paths):,} images)"

    def fit(self, signature: Signature) -> ImageTable:
        """Take size and channels from the model's only input.

        Raises:
            DataError: the model has several inputs, or one that is no image.
        """
        spec = signature.inputs[0]
        if len(signature.inputs) > 1 or len(spec.shape) != 3 or spec.shape[2] not in (1, 3, 4):
            shapes = ", ".join(f"{spec.name!r} {spec.shape}" for spec in signature.inputs)
            msg = (
                f"data {str(self.folder)!r} holds images, so the model must have one input of shape (height, width, "
                f"1, 3 or 4 channels), it has {shapes}"
            )
            raise DataError(msg)
        return ImageTable(self, spec.shape[0], spec.shape[1], spec.shape[2])


@dataclass(frozen=True)
class ImageTable:
    """Images of one size, by row.

    They are resized as ``keras.utils.image_dataset_from_directory`` does by default: bilinear, not keeping the aspect
    ratio, float32 from 0 to 255.

    Attributes:
        split: which images.
        height: pixels; None: as in the file.
        width: pixels; None: as in the file.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
    """

    split: ImageSplit
    height: int | None
    width: int | None
    channels: int
    _known: dict[Path, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.split.paths)

    def read(self, rows: np.ndarray) -> Stored:
        """Decode the images of *rows*.

        Raises:
            DataError: an image that cannot be decoded, or images of several sizes for a model that takes any.
        """
        return Stored({"": self._decoded([self.split.paths[row] for row in rows])}, self.labels(rows))

    def labels(self, rows: np.ndarray) -> Labels:
        """Return the class numbers of *rows*, int64."""
        numbers: np.ndarray = self.split.classes[rows]
        return numbers

    def weights(self, rows: np.ndarray) -> SampleWeights:
        """Return None: all images count alike."""

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return :data:`CHECKED_IMAGES` of *rows*: decoding every image of a large folder would take minutes."""
        if len(rows) <= CHECKED_IMAGES:
            return rows
        return np.sort(np.random.default_rng(0).choice(rows, CHECKED_IMAGES, replace=False))

    def groups(self, rows: np.ndarray) -> None:
        """Return None: images have no groups."""

    def called(self, row: int) -> str:
        """Return the file of an image."""
        return str(self.split.paths[row])

    @property
    def told(self) -> Told:
        """Nothing."""
        return NOTHING_TOLD

    def _decoded(self, paths: list[Path]) -> np.ndarray:
        sizes = [self._pixels(path) for path in paths]
        if self.height is None or self.width is None:
            memory.need(4 * self.channels * sum(sizes), f"{len(paths):,} images of {self.split.folder.name}/")
            return self._together(paths)
        parts: list[np.ndarray] = []
        waiting: list[Path] = []
        held = 0
        for path, size in zip(paths, sizes, strict=True):
            if waiting and held + size > image_header.PIXELS:
                parts.append(self._together(waiting))
                waiting, held = [], 0
            waiting.append(path)
            held += size
        last = self._together(waiting)
        return np.concatenate([*parts, last]) if parts else last

    def size_of(self, row: int) -> tuple[int, int]:
        """Return the height and width that an image says it has.

        Raises:
            DataError: it cannot be decoded, or is far too large.
        """
        path = self.split.paths[row]
        try:
            with open_regular(path) as stream:
                return image_header.claimed_size(stream)
        except (OSError, ValueError) as error:
            raise _undecodable(path, error) from error

    def _pixels(self, path: Path) -> int:
        if path not in self._known:
            try:
                with open_regular(path) as stream:
                    self._known[path] = image_header.pixels(stream)
            except (OSError, ValueError) as error:
                raise _undecodable(path, error) from error
        return self._known[path]

    def _together(self, paths: list[Path]) -> np.ndarray:
        import tensorflow as tf

        try:
            return np.array(self.decode([str(path) for path in paths]))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            if len(paths) == 1:
                raise _undecodable(paths[0], reason_of(error)) from error
            for path in paths:  # one of them is bad: find which, or learn that only together they do not fit
                self._together([path])
            msg = f"data {str(self.split.folder)!r}: images of several sizes for a model that takes any; resize them"
            raise DataError(msg) from error

    @cached_property
    def decode(self) -> Callable[[list[str]], Any]:
        """What reads images of some paths at once, in the size of the model's input, as float32 in 0..255."""
        import tensorflow as tf

        fixed = self.height is not None and self.width is not None
        out = tf.TensorSpec((self.height, self.width, self.channels), tf.float32)

        def one(path: Any) -> Any:
            image = decoded(tf.io.read_file(path), self.channels)
            if fixed:
                return tf.image.resize(image, (self.height, self.width))
            return tf.cast(image, tf.float32)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])  # type: ignore[untyped-decorator]
        def many(paths: Any) -> Any:
            return tf.map_fn(one, paths, fn_output_signature=out, parallel_iterations=16)

        return many  # type: ignore[no-any-return]  # TensorFlow ships no types


def _undecodable(path: Path, reason: object) -> DataError:
    return DataError(f"image {str(path)!r} cannot be decoded ({reason}); replace or delete it")


def image_splits(files: Mapping[str, ClassFiles], named: Named) -> Named:
    """Return class folders of images as splits."""
    splits = {name: ImageSplit(part.folder, part.paths, part.classes) for name, part in files.items()}
    jpeg = (NOTE,) if any(is_jpeg(path) for split in splits.values() for path in split.paths) else ()
    return replace(named, splits={**splits}, notes=(*named.notes, *jpeg))


def is_jpeg(path: Path) -> bool:
    """Tell by its name whether a file is a JPEG."""
    return path.suffix.lower() in (".jpg", ".jpeg")
