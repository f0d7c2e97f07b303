"""One class of several: labels are class numbers or one-hot, the output has a score for each class.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
``(..., k)``, k > 1       whole numbers ``(...)`` or one-hot     int32 ``(...)``
========================  =====================================  ==============================
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.paired import mean_interval
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, present

if TYPE_CHECKING:
    import numpy as np

    from edge_runner.scorers import ClassificationScorer


class Classification(Task):
    """See the module's docstring."""

    name = "classification"
    figures = ("top1", "top5")
    teaching = "logits"
    constant = "always answering the most frequent class"

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a class number for each position of the output, or a one-hot vector."""
        if not self.classes(shape):
            return False
        positions = label_form.without_ones(shape[:-1])
        return label_form.shapes_match(label_form.without_ones(y.shape[1:]), positions) or self._one_hot(y, shape)

    def form(self, y: np.ndarray, shape: Shape, where: str) -> LabelForm:
        """Say whether they come one-hot."""
        positions = label_form.without_ones(shape[:-1])
        numbers = label_form.shapes_match(label_form.without_ones(y.shape[1:]), positions)
        return LabelForm(shape, where, one_hot=not numbers)

    def _one_hot(self, y: np.ndarray, shape: Shape) -> bool:
        return label_form.shapes_match(y.shape[1:], shape) and bool(label_form.is_one_hot(y).all())

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return class numbers, int32, shape (samples, ...) without the axis of classes."""
        import numpy as np

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
        return f"class numbers {shape[:-1] or '(one a sample)'}, or one-hot labels" if self.classes(shape) else None

    def trained_by(self, loss: str) -> bool:
        """Tell whether it is a cross-entropy over classes."""
        return "crossentropy" in loss and "binary" not in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the cross-entropy over class numbers."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=not are_probabilities(outputs))

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

        labels, classes = present(labels), outputs.shape[-1]
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
        low, high = mean_interval(outcomes)
        main = dataclasses.replace(
            score.main_figure,
            low=None if low is None else max(0.0, low),
            high=None if high is None else min(1.0, high),
        )
        return Evaluation(dataclasses.replace(score, figures={**score.figures, score.main: main}), outcomes)


def are_probabilities(outputs: np.ndarray) -> bool:
    """Tell whether every row of *outputs*, shape (..., k), lies in [0, 1] and sums to 1 (a softmax did that)."""
    import numpy as np

    return in_unit_interval(outputs) and bool(np.allclose(outputs.sum(-1), 1.0, atol=1e-3))


def in_unit_interval(outputs: np.ndarray) -> bool:
    """Tell whether all *outputs* lie in [0, 1]."""
    return bool(outputs.min(initial=0.0) >= 0.0 and outputs.max(initial=0.0) <= 1.0)
