"""What labels mean for an output of the model, and their one form inside tfcompress.

========================  =====================================  ==========================================
output, without batch     labels                                 task
========================  =====================================  ==========================================
``(..., k)``, k > 1       whole numbers ``(...)`` or one-hot     classification: int32 ``(...)``
``(..., k)``, k > 1       other numbers ``(..., k)``             regression: float32, the output's shape
one value                 0 and 1                                binary: float32, the output's shape
one value                 other numbers                          regression: float32, the output's shape
========================  =====================================  ==========================================
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import TensorSpec

Task = Literal["classification", "binary", "regression"]


@dataclass(frozen=True)
class LabelCoder:
    """Brings the labels of one output into their one form, and refuses those that cannot be meant.

    Attributes:
        task: see the module's table.
        shape: the output's shape without the batch axis.
        one_hot: whether the labels come one-hot.
        where: what messages call the labels: ``y_train``.
    """

    task: Task
    shape: tuple[int | None, ...]
    one_hot: bool
    where: str

    @property
    def classes(self) -> int | None:
        """Number of classes; None in regression."""
        if self.task == "regression":
            return None
        return 2 if self.task == "binary" else self.shape[-1]

    def encode(self, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return one batch of labels in the form of the module's table.

        Args:
            y: labels as stored, shape (samples, ...).
            rows: the samples' numbers, for messages.

        Raises:
            DataError: text, values out of range or not finite, a shape that does not fit.
        """
        check_numbers(y, self.where)
        if self.task == "regression":
            return self._targets(y, rows)
        if self.task == "binary":
            flat = y.reshape(len(y), -1)
            self._check_range(flat, rows, 1)
            return flat.astype(np.float32).reshape(self._full_shape(y))
        return self._indices(y, rows)

    def _indices(self, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if self.one_hot:
            good = is_one_hot(y)
            bad = np.flatnonzero(~good.reshape(len(y), -1).all(axis=1))
            if len(bad):
                msg = (
                    f"data: {self.where} must be one-hot (a single 1, else 0) as other samples are, "
                    f"sample {rows[bad[0]]:,} is not; give class numbers instead"
                )
                raise DataError(msg)
            indices: np.ndarray = np.argmax(y, axis=-1).astype(np.int32)
            return indices
        positions = self.shape[:-1]
        if not shapes_match(_squeezed(y.shape[1:]), _squeezed(positions)):
            msg = f"data: {self.where} has shape {y.shape[1:]} for each sample, the model's output wants {positions}"
            raise DataError(msg)
        each = y.shape[1 : 1 + len(positions)] if None in positions else tuple(size or 1 for size in positions)
        self._check_range(y, rows, (self.shape[-1] or 1) - 1)
        return y.astype(np.int32).reshape((len(y), *each))

    def _check_range(self, y: np.ndarray, rows: np.ndarray, highest: int) -> None:
        good = (y >= 0) & (y <= highest)
        if y.dtype.kind == "f":
            good &= y == np.floor(y)
        bad = np.flatnonzero(~good.reshape(len(y), -1).all(axis=1))
        if len(bad):
            first = y[bad[0]].reshape(-1)
            value = first[~good[bad[0]].reshape(-1)][0]
            shift = " (labels that start at 1? subtract 1)" if value == highest + 1 else ""
            msg = (
                f"data: {self.where} must be whole numbers in 0..{highest} (the model's output has {highest + 1} "
                f"classes), sample {rows[bad[0]]:,} is {value}{shift}"
            )
            raise DataError(msg)

    def _targets(self, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        targets = y.astype(np.float32).reshape(self._full_shape(y))
        bad = np.flatnonzero(~np.isfinite(targets).reshape(len(y), -1).all(axis=1))
        if len(bad):
            msg = f"data: {self.where} holds NaN or Inf at sample {rows[bad[0]]:,}; mend or drop such samples"
            raise DataError(msg)
        return targets

    def _full_shape(self, y: np.ndarray) -> tuple[int, ...]:
        """The output's shape with *y*'s samples, where both are alike but for axes of one element."""
        if not shapes_match(_squeezed(y.shape[1:]), _squeezed(self.shape)):
            msg = f"data: {self.where} has shape {y.shape[1:]} for each sample, the model's output wants {self.shape}"
            raise DataError(msg)
        if None in self.shape:
            return y.shape
        return (len(y), *(size for size in self.shape if size is not None))


def infer(y: np.ndarray, output: TensorSpec, where: str) -> LabelCoder:
    """Tell from a sample of the labels what they mean for *output*.

    Args:
        y: some labels as stored, shape (samples, ...).
        output: the model's output.
        where: what messages call the labels.

    Raises:
        DataError: text, or a shape that fits no task.
    """
    check_numbers(y, where)
    shape, each = output.shape, y.shape[1:]
    classes = shape[-1] if shape else 1
    if classes is not None and classes > 1:
        positions = shape[:-1]
        if shapes_match(_squeezed(each), _squeezed(positions)):
            return LabelCoder("classification", shape, one_hot=False, where=where)
        if shapes_match(each, shape):
            one_hot = bool(is_one_hot(y).all())
            return LabelCoder("classification" if one_hot else "regression", shape, one_hot, where)
    elif shapes_match(_squeezed(each), _squeezed(shape)):
        single = np.prod([size or 2 for size in shape], dtype=np.int64) == 1
        binary = single and bool(np.all((y == 0) | (y == 1)))
        return LabelCoder("binary" if binary else "regression", shape, one_hot=False, where=where)
    msg = (
        f"data: {where} has shape {each} for each sample, the model's output {output.name!r} has {shape}; "
        f"give {_allowed(shape)}"
    )
    raise DataError(msg)


def _allowed(shape: tuple[int | None, ...]) -> str:
    if shape and shape[-1] is not None and shape[-1] > 1:
        return f"class numbers {shape[:-1] or '(one a sample)'}, or one-hot labels or targets {shape}"
    return f"numbers of shape {shape}"


def check_numbers(y: np.ndarray, where: str) -> None:
    """Refuse labels that are not numbers.

    Raises:
        DataError: saying what they are and what to give.
    """
    if y.dtype.kind in "USOT":
        example = f" such as {str(y.reshape(-1)[0])!r:.80}" if y.size and is_text(y[:1]) else ""
        msg = f"data: {where} holds labels as strings{example}; give whole numbers 0..k-1, as the model's outputs go"
        raise DataError(msg)
    if y.dtype.kind not in "biuf":
        msg = f"data: {where} must hold numbers, got dtype {y.dtype}"
        raise DataError(msg)


def is_text(y: np.ndarray) -> bool:
    """Tell whether every character of *y* (any text or bytes) is one: out of a file may come any 32 bits."""
    if y.dtype.kind != "U" or not y.size:
        return True
    codes = np.ascontiguousarray(y.astype(y.dtype.newbyteorder("="))).reshape(-1).view(np.uint32)
    return bool(codes.max() <= sys.maxunicode and not np.any((codes >= 0xD800) & (codes <= 0xDFFF)))


def is_one_hot(y: np.ndarray) -> np.ndarray:
    """Tell for each vector along the last axis whether it holds a single 1 and zeros; shape ``y.shape[:-1]``, bool."""
    result: np.ndarray = np.all((y == 0) | (y == 1), axis=-1) & (np.sum(y, axis=-1) == 1)
    return result


def shapes_match(given: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether *given* is *wanted*, where None stands for any size."""
    return len(given) == len(wanted) and all(w is None or g == w for g, w in zip(given, wanted, strict=True))


def _squeezed(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return tuple(size for size in shape if size != 1)
