"""Yes or no: labels are 0 and 1, the output is one value.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
one value                 0 and 1                                float32, the output's shape
========================  =====================================  ==============================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.paired import area_interval
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, present
from tfcompress.tasks.yes_no import crossentropy, decided_accuracy

if TYPE_CHECKING:
    import numpy as np


class Binary(Task):
    """See the module's docstring.

    Outputs are decided at 0.5 where all lie in [0, 1] (probabilities), else at 0 (logits).

    Args:
        threshold: another one, found on the training split (:meth:`tuned`), at which the accuracy is reported, too.
    """

    name = "binary"
    figures = ("top1", "auc", "f1", "tuned_top1")
    pipelines = MappingProxyType({1: "tabular-classification", 3: "image-classification"})
    teaching = "binary logits"
    constant = "always giving the more frequent answer"

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = threshold

    @property
    def tunes(self) -> bool:
        """Whether no threshold was found yet."""
        return self.threshold is None

    def tuned(self, outputs: np.ndarray, labels: np.ndarray) -> Binary:
        """Return the task with the threshold at which most training samples are right."""
        from edge_runner.thresholds import best_threshold

        return Binary(best_threshold(outputs.reshape(-1), labels.reshape(-1)))

    def options(self) -> dict[str, Any]:
        """Return the threshold that the training split suggests, where it is known."""
        return {} if self.threshold is None else {"threshold": self.threshold}

    def as_told(self, options: Mapping[str, Any]) -> Task:
        """Return the task with the threshold that was found."""
        found = options.get("threshold")
        if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
            return self
        return Binary(float(found))

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a 0 or a 1 for an output of one value."""
        return self.takes(y, shape) and label_form.zeros_and_ones(y)

    def takes(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a label for an output of one value."""
        one = math.prod(size or 2 for size in shape) == 1
        return one and label_form.shapes_match(label_form.without_ones(y.shape[1:]), label_form.without_ones(shape))

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return 0 and 1, float32, of the output's shape."""
        import numpy as np

        label_form.check_whole(y.reshape(len(y), -1), rows, form, 1)
        return y.astype(np.float32).reshape(label_form.full_shape(y, form))

    def classes(self, shape: Shape) -> int | None:
        """Return two."""
        return 2

    def for_runner(self, y: np.ndarray) -> np.ndarray:
        """Return class numbers, int32, shape (samples,)."""
        import numpy as np

        return y.reshape(len(y)).astype(np.int32)

    def trained_by(self, loss: str) -> bool:
        """Tell whether it is a cross-entropy of yes and no."""
        return "crossentropy" in loss and "binary" in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the cross-entropy of yes and no."""
        return crossentropy(outputs, keras)

    def metrics(self, outputs: np.ndarray, keras: Any) -> list[Any]:
        """Return the accuracy, decided where the scorer decides."""
        return [decided_accuracy(outputs, keras)]

    def scorer(self) -> _Scorer:
        """Return what counts right answers."""
        return _Scorer(self)

    def score(self, counted: Mapping[str, Any]) -> Score:
        """Return the score, with an interval of the area under the curve where the classes were counted."""
        score, classes = super().score(counted), counted.get("per_class") or {}
        area = score.figures.get("auc")
        if area is None or area.value is None or set(classes) != {"0", "1"}:
            return score
        low, high = area_interval(area.value, classes["1"]["samples"], classes["0"]["samples"])
        figures = {**score.figures, "auc": dataclasses.replace(area, low=low, high=high)}
        return dataclasses.replace(score, figures=figures)

    def beats_chance(self, score: Score) -> bool | None:
        """Tell whether accuracy beats the more frequent answer, or the area under the curve beats one half.

        Where one answer is rare, a good model may be right no more often than one that never gives it.
        """
        area = score.figures.get("auc")
        found = super().beats_chance(score)
        return found if found is None or area is None else found or bool(area.beats(0.5))


class _Scorer:
    def __init__(self, task: Binary) -> None:
        from edge_runner.scorers import BinaryScorer

        self._task = task
        self._counts = BinaryScorer(task.threshold)

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        labels = present(labels)
        if outputs.size != labels.size:
            msg = f"predictions of shape {outputs.shape} do not fit labels of shape {labels.shape}"
            raise DataError(msg)
        self._counts.add(labels, outputs)

    def evaluation(self) -> Evaluation:
        if not len(self._counts.truth):
            msg = "a score needs samples, got none"
            raise DataError(msg)
        return Evaluation(self._task.score(self._counts.result()), self._counts.outcomes == 1)
