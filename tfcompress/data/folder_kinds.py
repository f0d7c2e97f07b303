"""What a folder of samples holds, by its files: images, recordings, or images with masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfcompress.data import folders, images, mask_folders, reading, recordings
from tfcompress.data.class_names import Named
from tfcompress.data.reading import Reading


def open_folder(folder: Path, given: Sequence[str], how: Reading, *, computed: bool) -> tuple[Named, tuple[Path, ...]]:
    """Open a folder of class folders (images or ``.wav`` files), or of ``images/`` and ``masks/``.

    Args:
        folder: where.
        given: names of the classes in the model's order; ``()``: alphabetical.
        how: the options.
        computed: whether a function of the user's computes the model's input.

    Returns:
        The splits, and every file.

    Raises:
        DataError: what :func:`folders.class_files`, :func:`mask_folders.mask_splits` and
            :func:`recordings.recording_splits` refuse.
        UsageError: an option that means nothing for what is there.
    """
    what = repr(str(folder))
    if mask_folders.has_masks(folder):
        how.check_kind(reading.MASKS, f"{what}, a folder of images and masks")
        return mask_folders.mask_splits(folder, given)
    files, named = folders.class_files(folder, given)
    paths = tuple(path for part in files.values() for path in part.paths)
    if paths[0].suffix.lower() in folders.RECORDINGS:
        how.check_kind(reading.RECORDINGS, f"{what}, a folder of recordings")
        opened = recordings.recording_splits(files, named, how.window, computed=computed, skip_corrupt=how.skip_corrupt)
        return opened, paths
    how.check_kind(reading.IMAGES, f"{what}, a folder of images")
    return images.image_splits(files, named), paths
