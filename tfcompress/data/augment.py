"""Images varied at random while training, so that a small fine-tune does not learn the training set by heart."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from tfcompress.errors import DataError

SHIFT = 8
"""An image is moved by up to one part in so many of its height and width."""


def check_images(x: Any, augment: str) -> None:
    """Refuse inputs that are no images.

    Args:
        x: a batch of inputs: an array, or a dict by input name.
        augment: what was asked for.

    Raises:
        DataError: several inputs, or one that is not of shape (batch, height, width, channels).
    """
    if isinstance(x, dict) or np.ndim(x) != 4:
        got = f"{len(x)} inputs" if isinstance(x, dict) else f"shape {np.shape(x)}"
        msg = (
            f"train.augment {augment!r} needs images of shape (batch, height, width, channels), got {got}; leave it out"
        )
        raise DataError(msg)


def augmented(x: np.ndarray, augment: str, seed: tuple[int, int, int]) -> np.ndarray:
    """Return varied copies of images.

    Args:
        x: images of shape (batch, height, width, channels), any dtype.
        augment: ``flip`` mirrors every image left to right with probability 1/2; ``alternating-flip`` in every other
            epoch, by the image's bytes which; with ``-shift`` it is also moved, each way by up to an eighth of its
            side, repeating the edge.
        seed: determines everything that is random: a seed, the epoch, and the number of the block in it.

    Returns:
        An array of the same shape and dtype; the argument is left alone.
    """
    rng = np.random.default_rng(seed)
    count, height, width = x.shape[:3]
    rows, columns = (np.broadcast_to(np.arange(side), (count, side)) for side in (height, width))
    mirrored = _alternating(x, seed) if augment.startswith("alternating") else np.less(rng.random(count), 0.5)
    columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    if augment.endswith("shift"):
        down, right = (rng.integers(-(side // SHIFT), side // SHIFT + 1, count) for side in (height, width))
        rows = np.clip(rows + down[:, None], 0, height - 1)
        columns = np.take_along_axis(columns, np.clip(np.arange(width) + right[:, None], 0, width - 1), axis=1)
    return np.asarray(x[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]])


def _alternating(x: np.ndarray, seed: tuple[int, int, int]) -> np.ndarray:
    """Tell which images are mirrored in this epoch, shape (batch,): in the next one, the others are."""
    of_bytes = np.array([zlib.crc32(np.ascontiguousarray(image).tobytes(), seed[0]) for image in x])
    mirrored: np.ndarray = (of_bytes + seed[1]) % 2 == 1
    return mirrored
