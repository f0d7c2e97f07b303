"""One class of several: labels are class numbers, one-hot or soft, the output has a score for each class.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
``(..., k)``, k > 1       whole numbers ``(...)`` or one-hot     int32 ``(...)``
``(..., k)``, k > 1       soft: shares that sum to 1             float32 ``(..., k)``
========================  =====================================  ==============================

Soft labels are what training compares outputs with; a score takes the class with the largest share.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.intervals import mean_evaluation
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, present
from tfcompress.tasks.yes_no import in_unit_interval

if TYPE_CHECKING:
    import numpy as np

    from edge_runner.scorers import ClassificationScorer


MOSTLY = 0.9
"""If so much of vectors of reals sums to 1, they are meant as soft labels, and others are mistakes."""

SUM_TOLERANCE = 1e-3
"""So far may the shares of a soft label sum from 1: they may have been rounded to float16."""

DIGITS = (2, 3, 4)
"""Digits behind the point that shares may have been rounded to, as the eye tells them."""

MOST_LOST = 0.1
"""So much of a label may be lost by rounding; where it may be more, little is left of the shares."""

PERCENT = (90.0, 110.0)
"""What whole percentages sum to."""


class Classification(Task):
    """See the module's docstring.

    Args:
        soft: of how many classes the labels are shares; None where they are class numbers.
    """

    name = "classification"
    figures = ("top1", "top5", "calibration_error")
    pipelines = MappingProxyType({1: "tabular-classification", 3: "image-classification"})
    teaching = "logits"
    constant = "always answering the most frequent class"
    unlike = ("sigmoid",)

    def __init__(self, *, soft: int | None = None) -> None:
        self.soft = soft

    def formed(self, form: LabelForm) -> Classification:
        """Return the task for labels that come like this."""
        return Classification(soft=form.shape[-1]) if form.soft else self

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a class number for each position of the output, or a vector of shares that sum to 1."""
        if not self.classes(shape):
            return False
        return self._numbered(y, shape) or (label_form.shapes_match(y.shape[1:], shape) and _mostly_shares(y))

    def takes(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a number for each position of the output, or a vector of the classes."""
        return bool(self.classes(shape)) and (self._numbered(y, shape) or label_form.shapes_match(y.shape[1:], shape))

    def _numbered(self, y: np.ndarray, shape: Shape) -> bool:
        return label_form.shapes_match(label_form.without_ones(y.shape[1:]), label_form.without_ones(shape[:-1]))

    def form(self, y: np.ndarray, shape: Shape, where: str) -> LabelForm:
        """Say whether they come one-hot, or soft."""
        if self._numbered(y, shape):
            return LabelForm(shape, where)
        one_hot = bool(label_form.is_one_hot(y).all())
        return LabelForm(shape, where, one_hot=one_hot, soft=not one_hot, digits=None if one_hot else _digits(y))

    def doubt(self, form: LabelForm, *, whole: bool) -> str | None:
        """Say how soft labels are taken."""
        if not form.soft:
            return None
        said = f"{form.where} holds soft labels: training compares all shares, scores take the class with the largest"
        if form.digits is None:
            return said
        return f"{said}; they are rounded to {form.digits} digits, so each is divided by its sum"

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return class numbers, int32, shape (samples, ...) without the axis of classes, or soft labels, float32."""
        import numpy as np

        if form.soft:
            return _shares(y, rows, form)
        if form.one_hot:
            bad = np.flatnonzero(~label_form.is_one_hot(y).reshape(len(y), -1).all(axis=1))
            if len(bad):
                msg = (
                    f"data: {form.where} must be one-hot (a single 1, else 0) as other samples are, "
                    f"sample {rows[bad[0]]:,} is not; give class numbers instead"
                )
                raise DataError(msg)
            indices: np.ndarray = np.argmax(y, axis=-1).astype(np.int32)
            return indices
        positions = form.shape[:-1]
        if not label_form.shapes_match(label_form.without_ones(y.shape[1:]), label_form.without_ones(positions)):
            raise label_form.wrong_shape(y, form, positions)
        each = y.shape[1 : 1 + len(positions)] if None in positions else tuple(size or 1 for size in positions)
        label_form.check_whole(y, rows, form, (self.classes(form.shape) or 1) - 1)
        return y.astype(np.int32).reshape((len(y), *each))

    def classes(self, shape: Shape) -> int | None:
        """Return the extent of the last axis; None where it is not known or a single value."""
        return shape[-1] if shape and (shape[-1] or 0) > 1 else None

    def allowed(self, shape: Shape) -> str | None:
        """Return the two forms."""
        if not self.classes(shape) or (len(shape) == 3 and 1 not in shape):  # of planes, segmentation tells
            return None
        return f"class numbers {shape[:-1] or '(one a sample)'}, or one-hot labels or shares of the classes {shape}"

    def occurring(self, y: np.ndarray, shape: Shape) -> np.ndarray | None:
        """Return how often each class occurs; of soft labels, that with the largest share."""
        return super().occurring(_numbers(y), shape)

    def targets(self, inputs: Inputs, labels: np.ndarray | None) -> np.ndarray:
        """Return the labels in one form: as shares of the classes where those to train on are soft, else as numbers."""
        import numpy as np

        labels = present(labels)
        if self.soft is None:
            return _numbers(labels)
        if labels.dtype.kind == "f":
            return labels
        shares: np.ndarray = np.eye(self.soft, dtype=np.float32)[labels]
        return shares

    def for_runner(self, y: np.ndarray) -> np.ndarray:
        """Return class numbers, int32, (samples, ...)."""
        return _numbers(y)

    def trained_by(self, loss: str) -> bool:
        """Tell whether it is a cross-entropy over classes."""
        return "crossentropy" in loss and "binary" not in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the cross-entropy over class numbers, or shares."""
        losses = keras.losses
        kind = losses.CategoricalCrossentropy if self.soft is not None else losses.SparseCategoricalCrossentropy
        return kind(from_logits=not are_probabilities(outputs))

    def metrics(self, outputs: np.ndarray, keras: Any) -> list[Any]:
        """Return the accuracy."""
        return ["accuracy"]

    def scorer(self) -> _Scorer:
        """Return what counts right answers."""
        return _Scorer(self)


class _Scorer:
    def __init__(self, task: Classification) -> None:
        self._task = task
        self._counts: ClassificationScorer | None = None

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        from edge_runner.scorers import ClassificationScorer

        labels, classes = _numbers(present(labels)), outputs.shape[-1]
        if outputs.size != labels.size * classes:
            msg = f"predictions of shape {outputs.shape} do not fit labels of shape {labels.shape}"
            raise DataError(msg)
        if self._counts is None:
            self._counts = ClassificationScorer(classes)
        self._counts.add(labels, outputs)

    def evaluation(self) -> Evaluation:
        if self._counts is None or not self._counts.cells:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        score, outcomes = self._task.score(self._counts.result()), self._counts.outcomes
        if self._counts.positions == 1:
            return Evaluation(score, outcomes == 1)
        # The positions of a sample go together, so the interval is that of the samples' mean.
        return mean_evaluation(score, outcomes)


def _numbers(labels: np.ndarray) -> np.ndarray:
    """Return encoded labels as class numbers: encoded class numbers are whole, soft labels are not."""
    import numpy as np

    return labels.argmax(axis=-1).astype(np.int32) if labels.dtype.kind == "f" else labels


def _are_shares(y: np.ndarray, tolerance: float = SUM_TOLERANCE) -> np.ndarray:
    """Tell for each vector along the last axis whether it holds shares that sum to 1; shape ``y.shape[:-1]``, bool."""
    found: np.ndarray = (y >= 0).all(axis=-1) & (abs(y.sum(axis=-1, dtype=float) - 1) <= tolerance)
    return found


def _mostly_shares(y: np.ndarray) -> bool:
    """Tell whether vectors are one-hot, each of them, or shares but for a few that were mistaken."""
    if label_form.zeros_and_ones(y):
        return bool(label_form.is_one_hot(y).all())
    return float(_are_shares(y).mean()) >= MOSTLY or _digits(y) is not None


def _digits(y: np.ndarray) -> int | None:
    """Return to how many digits shares were rounded, if that is why some of them fail to sum to 1; else None.

    Args:
        y: vectors along the last axis, (samples, ..., k).
    """
    import numpy as np

    if y.dtype.kind != "f" or bool(_are_shares(y).all()):
        return None
    for digits in DIGITS:
        scaled = y.astype(float) * 10**digits
        slack = 2 * 10**digits * float(np.finfo(y.dtype).eps)  # of the dtype that holds the rounded number
        if slack < 0.25 and bool((abs(scaled - np.rint(scaled)) <= slack).all()):
            return digits if bool(_are_shares(y, _lost(digits, y.shape[-1])).all()) else None
    return None


def _lost(digits: int, classes: int) -> float:
    """Return how far from 1 shares of *classes* classes sum at most that were rounded to *digits* digits."""
    return SUM_TOLERANCE + min(MOST_LOST, classes * 0.5 * 10.0**-digits)


def _shares(y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
    """Return soft labels, float32, of the output's shape.

    Raises:
        DataError: naming the first sample whose shares don't sum to 1.
    """
    import numpy as np

    shares = y.astype(np.float32).reshape(label_form.full_shape(y, form))
    tolerance = SUM_TOLERANCE if form.digits is None else _lost(form.digits, shares.shape[-1])
    good = _are_shares(shares, tolerance).reshape(len(y), -1)
    bad = np.flatnonzero(~good.all(axis=1))
    if len(bad):
        vector = shares[bad[0]].reshape(-1, shares.shape[-1])[~good[bad[0]]][0]
        raise _no_shares(vector, int(rows[bad[0]]), form)
    if form.digits is None:
        return shares
    whole: np.ndarray = shares / shares.sum(axis=-1, keepdims=True, dtype=np.float32)
    return whole


def _no_shares(vector: np.ndarray, row: int, form: LabelForm) -> DataError:
    """Return the error for a label of sample *row* that holds no shares that sum to 1."""
    total = float(vector.sum(dtype=float))
    negative = bool((vector < 0).any())
    got = "holds a negative share" if negative else f"sums to {total:.4g}"
    percent = not negative and PERCENT[0] <= total <= PERCENT[1]
    mend = "divide each label by 100 if it holds percentages" if percent else "divide each label by its sum"
    return DataError(
        f"data: {form.where} must hold shares of the classes that sum to 1, sample {row:,} {got}; "
        f"{mend}, or say --task regression if it means other numbers"
    )


def are_probabilities(outputs: np.ndarray) -> bool:
    """Tell whether every row of *outputs*, shape (..., k), lies in [0, 1] and sums to 1 (a softmax did that)."""
    import numpy as np

    return in_unit_interval(outputs) and bool(np.allclose(outputs.sum(-1), 1.0, atol=1e-3))
