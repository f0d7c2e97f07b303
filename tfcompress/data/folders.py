"""Folders of files: which split each lies in, and the folder of its class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfcompress.data import hidden
from tfcompress.data.arrays import ALL
from tfcompress.data.class_names import Named, in_order, ordered, said
from tfcompress.data.objects import SPLIT_NAMES
from tfcompress.errors import DataError

IMAGES = (".bmp", ".jpeg", ".jpg", ".png")
"""Files that count as images."""

RECORDINGS = (".wav",)
"""Files that count as recordings."""


@dataclass(frozen=True)
class ClassFiles:
    """The files of one split, sorted by class and path.

    Attributes:
        folder: the split's folder, for messages.
        paths: the files.
        classes: the class number of each, int64.
    """

    folder: Path
    paths: tuple[Path, ...]
    classes: np.ndarray

    @property
    def x_name(self) -> str:
        """What messages call the files."""
        return f"{self.folder.name}/"

    @property
    def y_name(self) -> str:
        """What messages call the labels."""
        return f"the class folders of {self.folder.name}/"


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each split (``train/``, ``test/``, ``val/``); without any, *folder* itself as all."""
    return {SPLIT_NAMES[each.name]: each for each in subfolders(folder) if each.name in SPLIT_NAMES} or {ALL: folder}


def class_files(folder: Path, given: Sequence[str] = ()) -> tuple[dict[str, ClassFiles], Named]:
    """Find the images or recordings of class folders: ``train/CLASS/*`` and ``test/CLASS/*``, or ``CLASS/*``.

    Hidden files (``.DS_Store``, ``._NAME``) and folders (``__MACOSX``) are left out.

    Args:
        folder: where.
        given: names of the classes in the model's order; ``()``: alphabetical, as Keras numbers class folders.

    Returns:
        The files of each split (``all`` without split folders); and names, warnings and notes, without splits.

    Raises:
        DataError: no class folders, nothing in them, images and recordings together, a class that is none of those
            given, or names that are no text.
    """
    parts = split_folders(folder)
    found = {child.name for part in parts.values() for child in subfolders(part)}
    if not found:
        msg = (
            f"data {str(folder)!r} must hold a folder of images for each class (or of .wav files), in train/ and test/ "
            "or directly; or images/ and masks/; or train.csv, train.parquet, train.tfrecord"
        )
        raise DataError(msg)
    names = in_order(found, given, f"the folder {str(folder)!r}")
    searched = {name: _searched(part, names) for name, part in parts.items()}
    files = {name: split for name, (split, _) in searched.items()}
    _check_kind(folder, files)
    for split in files.values():
        for path in split.paths:
            check_name(path)
    notes = (*said(given), *hidden.note(sum(left_out for _, left_out in searched.values())))
    return files, ordered(Named({}, names, notes=notes), "class folders", given)


def _check_kind(folder: Path, files: Mapping[str, ClassFiles]) -> None:
    first = {path.suffix.lower() in RECORDINGS: path for split in files.values() for path in split.paths}
    if len(first) > 1:
        image, sound = (str(first[kind].relative_to(folder)) for kind in (False, True))
        msg = f"data {str(folder)!r} holds images ({image!r}) and recordings ({sound!r}); keep one kind"
        raise DataError(msg)


def _searched(folder: Path, names: Sequence[str]) -> tuple[ClassFiles, int]:
    """Return the files of one split, and how many hidden ones were left out."""
    present = {child.name for child in subfolders(folder)}
    searched = [files_below(folder / label, IMAGES + RECORDINGS) if label in present else ([], 0) for label in names]
    numbers = np.repeat(np.arange(len(names)), [len(paths) for paths, _ in searched])
    paths = tuple(path for paths, _ in searched for path in paths)
    if not paths:
        msg = (
            f"data {str(folder)!r} holds zero images or recordings; its class folders need "
            f"{', '.join(IMAGES)} or {', '.join(RECORDINGS)} files"
        )
        raise DataError(msg)
    return ClassFiles(folder, paths, numbers.astype(np.int64)), sum(left_out for _, left_out in searched)


def subfolders(folder: Path) -> Iterator[Path]:
    """Yield the folders directly in *folder*, but hidden ones."""
    return (
        child
        for child in folder.iterdir()
        if child.is_dir() and not hidden.is_hidden(child.name) and not child.name.startswith("__")
    )


def files_below(folder: Path, extensions: Sequence[str]) -> tuple[list[Path], int]:
    """Return the files below a folder that end so, sorted, and how many hidden ones there are.

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
                elif Path(entry.name).suffix.lower() not in extensions:
                    continue
                elif hidden.is_hidden(entry.name):
                    left_out += 1
                elif Path(entry.path).is_file():
                    found.append(Path(entry.path))
    return sorted(found), left_out


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
