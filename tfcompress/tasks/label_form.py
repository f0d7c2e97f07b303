"""How the labels of one output come, and the checks that several tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcompress.errors import DataError

if TYPE_CHECKING:
    import numpy as np

Shape = tuple[int | None, ...]
"""Without the batch axis; None for any size."""


@dataclass(frozen=True)
class LabelForm:
    """How the labels of one output come.

    Attributes:
        shape: the output's shape without the batch axis.
        where: what messages call the labels: ``y_train``.
        one_hot: whether they come one-hot.
        soft: whether they come as shares of the classes.
        on: the number that means yes where labels are 0 and that number.
        digits: how many digits behind the point the shares of soft labels were rounded to; None: to none that matters.
        padded: whether one-hot vectors of zeros stand for what does not count.
    """

    shape: Shape
    where: str
    one_hot: bool = False
    soft: bool = False
    on: int = 1
    digits: int | None = None
    padded: bool = False


@dataclass(frozen=True)
class Numbering:
    """Which number each name of labels has.

    Attributes:
        names: in the order of their numbers.
        ordered: whether another order would be another meaning, so that one that nobody gave is told.
        line: what is said of how they are numbered; empty: nothing.
    """

    names: tuple[str, ...]
    ordered: bool = True
    line: str = ""


def shapes_match(given: Shape, wanted: Shape) -> bool:
    """Whether *given* is *wanted*, where None stands for any size."""
    return len(given) == len(wanted) and all(w is None or g == w for g, w in zip(given, wanted, strict=True))


def without_ones(shape: Shape) -> Shape:
    """Return the shape without its axes of one element."""
    return tuple(size for size in shape if size != 1)


def zeros_and_ones(y: np.ndarray) -> bool:
    """Whether every label is 0 or 1."""
    return bool(((y == 0) | (y == 1)).all())


def is_one_hot(y: np.ndarray) -> np.ndarray:
    """Tell for each vector along the last axis whether it holds a single 1 and zeros; shape ``y.shape[:-1]``, bool."""
    import numpy as np

    result: np.ndarray = np.all((y == 0) | (y == 1), axis=-1) & (np.sum(y, axis=-1) == 1)
    return result


def check_whole(y: np.ndarray, rows: np.ndarray, form: LabelForm, highest: int) -> None:
    """Refuse labels that are no whole numbers in 0..*highest*.

    Args:
        y: labels, shape (samples, ...).
        rows: the samples' numbers, for the message.
        form: says what the message calls the labels.
        highest: the number of the last class.

    Raises:
        DataError: naming the first such sample.
    """
    import numpy as np

    good = (y >= 0) & (y <= highest)
    if y.dtype.kind == "f":
        good &= y == np.floor(y)
    bad = np.flatnonzero(~good.reshape(len(y), -1).all(axis=1))
    if len(bad):
        first = y[bad[0]].reshape(-1)
        value = first[~good[bad[0]].reshape(-1)][0]
        shift = " (labels that start at 1? subtract 1)" if value == highest + 1 else ""
        msg = (
            f"data: {form.where} must be whole numbers in 0..{highest} (the model's output has {highest + 1} "
            f"classes), sample {rows[bad[0]]:,} is {value}{shift}"
        )
        raise DataError(msg)


def full_shape(y: np.ndarray, form: LabelForm) -> tuple[int, ...]:
    """Return the output's shape with the samples of *y* in front.

    Raises:
        DataError: *y*, shape (samples, ...), has another shape, axes of one element aside.
    """
    if not shapes_match(without_ones(y.shape[1:]), without_ones(form.shape)):
        raise wrong_shape(y, form, form.shape)
    if None in form.shape:
        return y.shape
    return (len(y), *(size for size in form.shape if size is not None))


def wrong_shape(y: np.ndarray, form: LabelForm, wanted: Shape) -> DataError:
    """Return the error that says which shape labels should have."""
    return DataError(f"data: {form.where} has shape {y.shape[1:]} for each sample, the model's output wants {wanted}")
