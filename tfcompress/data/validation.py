"""Which split judges: a validation split made of training data, and one in the test split's place."""

from __future__ import annotations

from dataclasses import replace

from tfcompress.data.bound import BoundData, missing
from tfcompress.data.holdout import divided
from tfcompress.errors import DataError

_SEED = 1 << 20
"""Added to the seed that draws a validation split, so that it is not drawn as the test split was."""


def with_validation(data: BoundData, fraction: float, seed: int) -> BoundData:
    """Return the same with a part of the training split kept apart as the validation split.

    Args:
        data: the bound data.
        fraction: of the training split, in (0, 1).
        seed: draws it; another part than the test split of the same seed.

    Raises:
        DataError: there is a validation split, or no training split that could be divided.
    """
    if data.val is not None:
        msg = f"data {data.dataset.source!r} has a validation split of its own; leave --validation {fraction:g} out"
        raise DataError(msg)
    if data.train is None:
        raise missing(data.dataset.source, "train", data.splits)
    train, val, _ = divided(data.train, fraction, seed + _SEED, data.dataset.labelling.windows_of)
    return replace(data, train=train, val=replace(val, name="val"))


def judged_by_validation(data: BoundData) -> BoundData:
    """Return the same with the validation split in the test split's place: nothing then reads the test split.

    Raises:
        DataError: there is no validation split.
    """
    if data.val is None:
        raise missing(data.dataset.source, "val", data.splits)
    return replace(data, test=replace(data.val, name="test"))


def unjudged(data: BoundData) -> BoundData:
    """Return the same without the split that files are scored on: what a training depends on."""
    return replace(data, test=None)
