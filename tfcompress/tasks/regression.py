"""Numbers: labels are targets of the output's shape.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
any                       numbers of the output's shape          float32, the output's shape
========================  =====================================  ==============================
"""

from __future__ import annotations

import dataclasses
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, ModelError
from tfcompress.tasks import label_form
from tfcompress.tasks.intervals import mean_evaluation
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, present

if TYPE_CHECKING:
    import numpy as np

KEPT_VALUES = 1 << 22
"""So many targets are kept to find their median; of more, every second sample, every fourth, and so on."""


class Regression(Task):
    """See the module's docstring."""

    name = "regression"
    figures = ("mae", "rmse", "r2", "largest_error", "distinct")
    pipelines = MappingProxyType({1: "tabular-regression"})
    teaching = "numbers"
    constant = "always predicting the median of the labels"
    any_numbers = True

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a number for each value of the output."""
        if shape and (shape[-1] or 0) > 1:
            return label_form.shapes_match(y.shape[1:], shape)
        return label_form.shapes_match(label_form.without_ones(y.shape[1:]), label_form.without_ones(shape))

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return targets, float32, of the output's shape."""
        import numpy as np

        targets = y.astype(np.float32).reshape(label_form.full_shape(y, form))
        bad = np.flatnonzero(~np.isfinite(targets).reshape(len(y), -1).all(axis=1))
        if len(bad):
            msg = f"data: {form.where} holds NaN or Inf at sample {rows[bad[0]]:,}; mend or drop such samples"
            raise DataError(msg)
        return targets

    def allowed(self, shape: Shape) -> str | None:
        """Return the shape."""
        return f"targets {shape}" if shape and (shape[-1] or 0) > 1 else f"numbers of shape {shape}"

    def doubt(self, form: LabelForm, *, whole: bool) -> str | None:
        """Say where targets look like classes."""
        if not whole:
            return None
        return (
            f"{form.where} holds only whole numbers, yet was taken as targets of a regression; classes are given as "
            "numbers 0..k-1 or one-hot, tags as rows of 0 and 1, yes or no as 0 and 1 for one output value; --task "
            "says what is meant"
        )

    def trained_by(self, loss: str) -> bool:
        """Tell that any loss but a cross-entropy compares numbers, which the tasks of other losses are asked before."""
        return "entropy" not in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the mean squared error."""
        return keras.losses.MeanSquaredError()

    def scorer(self) -> _Scorer:
        """Return what adds errors up."""
        return _Scorer(self)


class _Scorer:
    def __init__(self, task: Regression) -> None:
        from edge_runner.scorers import RegressionScorer

        self._task = task
        self._errors = RegressionScorer()
        self._median = _Median()

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        import numpy as np

        labels = present(labels)
        if outputs.size != labels.size:
            msg = f"predictions of shape {outputs.shape} do not fit targets of shape {labels.shape}"
            raise DataError(msg)
        if not np.isfinite(outputs).all():
            msg = "the model predicts NaN or Inf, so it has no error; check its weights and the preprocessing"
            raise ModelError(msg)
        self._errors.add(labels, outputs)
        self._median.add(labels)

    def evaluation(self) -> Evaluation:
        if not self._errors.values:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        score, outcomes = self._task.score(self._errors.result()), self._errors.outcomes
        return mean_evaluation(dataclasses.replace(score, chance=self._median.error()), outcomes, highest=math.inf)


class _Median:
    """Targets, thinned out evenly where there are too many to keep."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []
        self._seen = 0
        self._stride = 1

    def add(self, targets: np.ndarray) -> None:
        size = math.prod(targets.shape[1:])
        taken = targets[-self._seen % self._stride :: self._stride]
        self._kept.append(taken.reshape(len(taken), size).copy())
        self._seen += len(targets)
        while sum(part.size for part in self._kept) > KEPT_VALUES and self._stride < self._seen:
            self._thin_out_()

    def _thin_out_(self) -> None:
        place, parts = 0, []
        for part in self._kept:
            parts.append(part[place % 2 :: 2].copy())
            place += len(part)
        self._kept, self._stride = parts, self._stride * 2

    def error(self) -> float | None:
        """Return the mean absolute error of predicting each value's median; None for targets of several sizes."""
        import numpy as np

        if len({part.shape[1] for part in self._kept}) != 1:
            return None
        targets = np.concatenate(self._kept).astype(np.float64)
        return float(np.abs(targets - np.median(targets, axis=0)).mean())
