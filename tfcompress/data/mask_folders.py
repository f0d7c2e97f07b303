"""Folders of images and masks: ``images/NAME.jpg`` and ``masks/NAME.png``, whose pixels are class numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data import folders, hidden, mask_pixels, memory
from tfcompress.data.class_names import Named, said
from tfcompress.data.decoding import NOTE
from tfcompress.data.images import ImageSplit, ImageTable, is_jpeg
from tfcompress.data.mask_pixels import MaskHeader
from tfcompress.data.raw import Labels, SampleWeights, Stored, Told
from tfcompress.errors import DataError
from tfcompress.plain import open_regular

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature, TensorSpec

PARTS = ("images", "masks")
"""The folders of a split."""

MASKS = (".png",)
"""Files that count as masks: what loses nothing."""

PEEK = 100
"""Masks that are looked at to decide whether 255 stands for 1."""


def has_masks(folder: Path) -> bool:
    """Tell whether a folder (or each split of it) holds ``images/`` and ``masks/``, and no other folder."""
    found = [{child.name for child in folders.subfolders(part)} for part in folders.split_folders(folder).values()]
    return all(names == set(PARTS) for names in found)


def mask_splits(folder: Path, given: Sequence[str]) -> tuple[Named, tuple[Path, ...]]:
    """Pair the images and masks of each split by what their names are before the ending.

    Args:
        folder: where.
        given: names of the classes in the order of their numbers; ``()``: they have none.

    Returns:
        The splits, and every file.

    Raises:
        DataError: an image without a mask, a mask without an image, two of one name, none at all.
    """
    paired, left_out = {}, 0
    for name, part in folders.split_folders(folder).items():
        (images, hidden_images), (masks, hidden_masks) = (
            folders.files_below(part / kind, endings)
            for kind, endings in zip(PARTS, (folders.IMAGES, MASKS), strict=True)
        )
        left_out += hidden_images + hidden_masks
        paired[name] = part, *_paired(part, images, masks)
    files = tuple(path for _, *kinds in paired.values() for paths in kinds for path in paths)
    every = [path for _, _, masks in paired.values() for path in masks]
    looked_at = tuple(every[place] for place in np.unique(np.linspace(0, len(every) - 1, PEEK).astype(np.int64)))
    splits = {name: MaskSplit(*parts, looked_at) for name, parts in paired.items()}
    for path in files:
        folders.check_name(path)
    jpeg = (NOTE,) if any(map(is_jpeg, files)) else ()
    notes = (*said(given), *hidden.note(left_out), "masks: pixels are class numbers (of a palette, its places)", *jpeg)
    return Named({**splits}, tuple(given), notes=notes), files


def _paired(part: Path, images: list[Path], masks: list[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    by_stem = [_by_stem(part / kind, paths) for kind, paths in zip(PARTS, (images, masks), strict=True)]
    for place, kind in enumerate(PARTS):
        mine, theirs, other = by_stem[place], by_stem[1 - place], PARTS[1 - place]
        lonely = sorted(mine.keys() - theirs.keys())
        if lonely:
            ending = "" if other == "images" else f" ({', '.join(MASKS)})"
            msg = (
                f"data {str(mine[lonely[0]])!r} has none of its name in {other}/{ending}, as {len(lonely):,} of "
                f"{len(mine):,} {kind}; each image needs its mask: add it or delete the other"
            )
            raise DataError(msg)
    stems = sorted(by_stem[0])
    if not stems:
        msg = (
            f"data {str(part)!r} holds zero images; images/ needs {', '.join(folders.IMAGES)} files, masks/ .png files"
        )
        raise DataError(msg)
    return tuple(by_stem[0][stem] for stem in stems), tuple(by_stem[1][stem] for stem in stems)


def _by_stem(folder: Path, paths: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        stem = str(path.relative_to(folder).with_suffix(""))
        if stem in found:
            msg = f"data {str(folder)!r} holds {found[stem].name} and {path.name}, two files of one name; keep one"
            raise DataError(msg)
        found[stem] = path
    return found


@dataclass(frozen=True, repr=False)
class MaskSplit:
    """Images and masks of one split, sorted by name.

    Attributes:
        folder: the split's folder, for messages.
        images: the images.
        masks: the mask of each.
        looked_at: masks of all splits, which decide whether 255 stands for 1.
    """

    folder: Path
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    looked_at: tuple[Path, ...]

    def __repr__(self) -> str:
        """Say how many there are, and where."""
        return f"MaskSplit({str(self.folder)!r}: {len(self.images):,} images with masks)"

    @property
    def x_name(self) -> str:
        """What messages call the images."""
        return f"{self.folder.name}/images"

    @property
    def y_name(self) -> str:
        """What messages call the masks."""
        return f"{self.folder.name}/masks"

    def fit(self, signature: Signature) -> MaskTable:
        """Take the sizes from the model's only input and only output.

        Raises:
            DataError: the model has several, or one that is no image.
        """
        output = signature.outputs[0]
        if len(signature.outputs) > 1 or len(output.shape) not in (2, 3):
            shapes = ", ".join(f"{spec.name!r} {spec.shape}" for spec in signature.outputs)
            msg = (
                f"data {str(self.folder)!r} holds masks, so the model must have one output of shape (height, width, "
                f"classes), it has {shapes}"
            )
            raise DataError(msg)
        split = ImageSplit(self.folder, self.images, np.zeros(len(self.images), np.int64))
        return MaskTable(self, split.fit(signature), output)


@dataclass(frozen=True)
class MaskTable:
    """Images and masks of the model's sizes, by row.

    A mask as large as the model's output is taken as it is; one as large as its image, where that is resized to the
    model's input, is resized with it, each pixel that of the nearest one (half-pixel centres, as images are).

    Attributes:
        split: which files.
        images: the images alone.
        output: the model's output.
    """

    split: MaskSplit
    images: ImageTable
    output: TensorSpec
    _headers: dict[Path, MaskHeader] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Number of images."""
        return self.images.size

    def read(self, rows: np.ndarray) -> Stored:
        """Decode the images and masks of *rows*.

        Raises:
            DataError: one that cannot be decoded, or is of a size that does not fit.
        """
        labels = self.labels(rows)  # first: a mask's header tells what is wrong at once
        return Stored(self.images.read(rows).x, labels)

    def labels(self, rows: np.ndarray) -> Labels:
        """Return the masks of *rows*, shape (samples, height, width), uint8 or uint16.

        Raises:
            DataError: one that cannot be decoded, or is of a size that does not fit.
        """
        masks = [self._mask(int(row)) for row in rows]
        if len({mask.shape for mask in masks}) > 1:
            msg = f"data {str(self.split.folder)!r}: masks of several sizes for a model that takes any; resize them"
            raise DataError(msg)
        return np.stack(masks) if masks else np.zeros((0, *self._size((0, 0))), np.uint8)

    def weights(self, rows: np.ndarray) -> SampleWeights:
        """Return None: all images count alike."""

    def doubtful(self, rows: np.ndarray, *, changed: bool) -> np.ndarray:
        """Return what :meth:`ImageTable.doubtful` does; of every mask the labels are read."""
        return self.images.doubtful(rows, changed=changed)

    def groups(self, rows: np.ndarray) -> None:
        """Return None: images have no groups."""

    def called(self, row: int) -> str:
        """Return the file of an image."""
        return self.images.called(row)

    @property
    def told(self) -> Told:
        """Whether masks are resized, and whether 255 stands for 1."""
        notes = []
        resized = self._resized
        if resized:
            height, width = self._size((0, 0))
            notes.append(
                f"{self.split.y_name}: {resized:,} of {self.size:,} masks are resized to {width} x {height} with their "
                "images, each pixel that of the nearest one"
            )
        if self._is_black_and_white:
            notes.append(f"{self.split.y_name}: 255 is read as class 1, for masks hold only 0 and 255")
        return Told(tuple(notes))

    @property
    def _resized(self) -> int:
        """How many masks are not of their own size; unreadable ones are reported where they are read."""
        found = 0
        for path in self.split.masks:
            with contextlib.suppress(DataError):
                size = self._header(path).size
                found += size != self._size(size)
        return found

    @cached_property
    def _is_black_and_white(self) -> bool:
        """Whether masks hold 0 and 255 alone, as black-and-white drawings do; others are reported elsewhere."""
        values: set[int] = set()
        for path in self.split.looked_at:
            with contextlib.suppress(DataError):
                values |= set(np.unique(self._decoded(path)).tolist())
        classes = self.output.shape[2] if len(self.output.shape) == 3 else 1
        return values == {0, 255} and (classes or 0) < 256

    def _mask(self, row: int) -> np.ndarray:
        path = self.split.masks[row]
        pixels = self._decoded(path)
        if self._is_black_and_white:
            if not np.isin(pixels, (0, 255)).all():
                value = pixels[~np.isin(pixels, (0, 255))].reshape(-1)[0]
                msg = f"mask {str(path)!r} holds {value}, the others 0 and 255; write class numbers"
                raise DataError(msg)
            pixels = (pixels == 255).astype(np.uint8)
        height, width = self._fitting(row, (pixels.shape[0], pixels.shape[1]))
        return mask_pixels.resized(pixels, height, width)

    def _size(self, mask: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of labels, where the model takes any that of the mask."""
        height, width = self.output.shape[:2]
        return (mask[0] if height is None else height, mask[1] if width is None else width)

    def _fitting(self, row: int, mask: tuple[int, int]) -> tuple[int, int]:
        """Return the size that a mask gets, or refuse it."""
        wanted = self._size(mask)
        if mask == wanted:
            return wanted
        image = self.images.size_of(row)
        entry = (self.images.height or image[0], self.images.width or image[1])
        if image != entry and mask == image:
            return wanted
        why = "the model's input" if image == entry else f"{entry[1]} x {entry[0]} in the model's input"
        msg = (
            f"mask {str(self.split.masks[row])!r} has {mask[1]} x {mask[0]} pixels, its image {image[1]} x {image[0]} "
            f"({why}) and the model's output {wanted[1]} x {wanted[0]}; write the mask in one of the latter sizes"
        )
        raise DataError(msg)

    def _header(self, path: Path) -> MaskHeader:
        if path not in self._headers:
            with _named(path), open_regular(path) as stream:
                self._headers[path] = mask_pixels.read_header(stream)
        return self._headers[path]

    def _decoded(self, path: Path) -> np.ndarray:
        height, width = self._header(path).size
        memory.need(3 * height * width, f"the mask {path.name}")
        with _named(path), open_regular(path) as stream:
            return mask_pixels.decoded(stream)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the mask that cannot be decoded."""
    try:
        yield
    except (OSError, ValueError) as error:
        msg = f"mask {str(path)!r} cannot be decoded ({error}); replace or delete it"
        raise DataError(msg) from error
