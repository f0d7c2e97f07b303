"""A folder of class folders with images, decoded by TensorFlow and resized to the model's input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data import hidden, image_header, memory
from tfcompress.data.arrays import ALL
from tfcompress.data.class_names import Named, alphabet_warning, in_order, said
from tfcompress.data.decoding import NOTE, decoded
from tfcompress.data.objects import SPLIT_NAMES
from tfcompress.data.raw import Labels, Stored, Weights
from tfcompress.data.streams import reason_of
from tfcompress.errors import DataError
from tfcompress.plain import open_regular

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png")
"""Files that count as images; others are left alone."""

CHECKED_IMAGES = 2_000
"""Images of a split that are decoded before any work; a damaged one beyond these is reported when it is met."""


@dataclass(frozen=True, repr=False)
class ImageSplit:
    """Images of one split, sorted by class and path.

    Attributes:
        folder: the split's folder, for messages.
        paths: the images.
        classes: the class number of each, int64.
    """

    folder: Path
    paths: tuple[Path, ...]
    classes: np.ndarray

    def __repr__(self) -> str:
        """Say how many images there are, and where."""
        return f"ImageSplit({str(self.folder)!r}: {len(self.paths):,} images)"

    @property
    def x_name(self) -> str:
        """What messages call the images."""
        return f"{self.folder.name}/"

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return f"the class folders of {self.folder.name}/"

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

    def weights(self, rows: np.ndarray) -> Weights:
        """Return None: all images count alike."""

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return :data:`CHECKED_IMAGES` of *rows*: decoding every image of a large folder would take minutes."""
        if len(rows) <= CHECKED_IMAGES:
            return rows
        return np.sort(np.random.default_rng(0).choice(rows, CHECKED_IMAGES, replace=False))

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


def check_name(path: Path) -> None:
    """Refuse a path that is no UTF-8 text: reports name files and classes, and TensorFlow takes text.

    Raises:
        DataError: naming it, what is no text escaped.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        msg = f"data {str(path)!r} has a name that is no UTF-8 text; rename it"
        raise DataError(msg) from error


def _undecodable(path: Path, reason: object) -> DataError:
    return DataError(f"image {str(path)!r} cannot be decoded ({reason}); replace or delete it")


def open_folder(folder: Path, given: Sequence[str] = ()) -> tuple[Named, tuple[Path, ...]]:
    """Find the images of a folder: ``train/CLASS/*.png`` and ``test/CLASS/*.png``, or ``CLASS/*.png``.

    Hidden files (``.DS_Store``, ``._NAME``) and folders (``__MACOSX``) are left out.

    Args:
        folder: where.
        given: names of the classes in the model's order; ``()``: alphabetical, as Keras numbers class folders.

    Returns:
        The splits (``all`` without split folders) with the class names, and every image file.

    Raises:
        DataError: no class folders, no images in them, one that is no class given, or names that are no text.
    """
    parts = {SPLIT_NAMES[f.name]: f for f in _folders(folder) if f.name in SPLIT_NAMES} or {ALL: folder}
    found = {child.name for part in parts.values() for child in _folders(part)}
    if not found:
        msg = (
            f"data {str(folder)!r} must hold a folder of images for each class, in train/ and test/ or directly; "
            "or train.csv, train.parquet, train.tfrecord"
        )
        raise DataError(msg)
    names = in_order(found, given, f"the folder {str(folder)!r}")
    opened = {name: _open_part(part, names) for name, part in parts.items()}
    files = tuple(path for split, _ in opened.values() for path in split.paths)
    for path in files:
        check_name(path)
    jpeg = (NOTE,) if any(path.suffix.lower() in (".jpg", ".jpeg") for path in files) else ()
    notes = (*said(given), *hidden.note(sum(left_out for _, left_out in opened.values())), *jpeg)
    warnings = () if given else (alphabet_warning("class folders", names),)
    return Named({name: split for name, (split, _) in opened.items()}, names, warnings, notes), files


def _open_part(folder: Path, names: Sequence[str]) -> tuple[ImageSplit, int]:
    """Return the images of one split, and how many hidden ones were left out."""
    present = {child.name for child in _folders(folder)}
    searched = [_images(folder / label) if label in present else ([], 0) for label in names]
    numbers = np.repeat(np.arange(len(names)), [len(paths) for paths, _ in searched])
    paths = tuple(path for paths, _ in searched for path in paths)
    if not paths:
        msg = f"data {str(folder)!r} holds zero images; its class folders need {', '.join(EXTENSIONS)} files"
        raise DataError(msg)
    return ImageSplit(folder, paths, numbers.astype(np.int64)), sum(left_out for _, left_out in searched)


def _folders(folder: Path) -> Iterator[Path]:
    return (
        child
        for child in folder.iterdir()
        if child.is_dir() and not hidden.is_hidden(child.name) and not child.name.startswith("__")
    )


def _images(folder: Path) -> tuple[list[Path], int]:
    """Return the images below a folder, sorted, and how many hidden ones there are.

    Links to folders are not followed, and no depth is too deep.
    """
    found: list[Path] = []
    waiting, left_out = [str(folder)] if folder.is_dir() else [], 0
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not hidden.is_hidden(entry.name):
                        waiting.append(entry.path)
                elif Path(entry.name).suffix.lower() not in EXTENSIONS:
                    continue
                elif hidden.is_hidden(entry.name):
                    left_out += 1
                elif Path(entry.path).is_file():
                    found.append(Path(entry.path))
    return sorted(found), left_out
