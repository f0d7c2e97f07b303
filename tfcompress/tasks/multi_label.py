"""Any number of tags a sample: labels are rows of 0 and 1, the output has a score for each tag.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
``(k)``, k > 1            rows of 0 and 1                        float32 ``(k)``
``(..., k)``, when said   0 and 1 for each position and tag      float32 ``(..., k)``
========================  =====================================  ==============================

Rows that all hold a single 1 are taken for classes, unless the output ends in a sigmoid, the model was compiled with a
binary cross-entropy, or the user says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.intervals import mean_evaluation
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, counted_score, present
from tfcompress.tasks.yes_no import crossentropy, decided_accuracy

if TYPE_CHECKING:
    import numpy as np

    from edge_runner.score_multi_label import MultiLabelScorer


class MultiLabel(Task):
    """See the module's docstring.

    Outputs are decided at 0.5 where all lie in [0, 1] (probabilities), else at 0 (logits).
    """

    name = "multi-label"
    figures = ("macro_f1", "micro_f1", "mean_ap")
    pipelines = MappingProxyType({1: "tabular-classification", 3: "image-classification"})
    teaching = "binary logits"
    constant = "always giving every tag"
    unlike = ("softmax",)
    kind = "tag"

    @property
    def has_classes(self) -> bool:
        """No: a sample has several tags, so that the largest output says little."""
        return False

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a 0 or a 1 for each of several tags; a single 1 in every row fits classes, too."""
        return self.takes(y, shape) and len(label_form.without_ones(shape)) == 1 and label_form.zeros_and_ones(y)

    def takes(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a label for each value of the output."""
        tags = self.classes(shape)
        return tags is not None and label_form.shapes_match(
            label_form.without_ones(y.shape[1:]), label_form.without_ones(shape)
        )

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return 0 and 1, float32, of the output's shape."""
        import numpy as np

        shape = label_form.full_shape(y, form)
        good = ((y == 0) | (y == 1)).reshape(len(y), -1)
        bad = np.flatnonzero(~good.all(axis=1))
        if len(bad):
            value = y.reshape(len(y), -1)[bad[0]][~good[bad[0]]][0]
            msg = (
                f"data: {form.where} must hold 0 or 1 for each of the model's {form.shape[-1]} tags, "
                f"sample {rows[bad[0]]:,} holds {value}"
            )
            raise DataError(msg)
        return y.astype(np.float32).reshape(shape)

    def kinds(self, labels: np.ndarray) -> np.ndarray:
        """Return the tags of each sample, (samples, tags) bool; of several positions, those that occur at one."""
        found: np.ndarray = (labels != 0).reshape(len(labels), -1, labels.shape[-1]).any(axis=1)
        return found

    def classes(self, shape: Shape) -> int | None:
        """Return the number of tags, the extent of the last axis; None where it is not known or a single value."""
        return shape[-1] if shape and (shape[-1] or 0) > 1 else None

    def occurring(self, y: np.ndarray, shape: Shape) -> np.ndarray | None:
        """Return None: of many tags, some are rare, and a row of zeros is a label too."""
        return None

    def allowed(self, shape: Shape) -> str | None:
        """Return the form."""
        return f"rows of 0 and 1 {shape}" if self.classes(shape) and len(label_form.without_ones(shape)) == 1 else None

    def for_runner(self, y: np.ndarray) -> np.ndarray:
        """Return 0 and 1, uint8, (samples, ..., tags)."""
        import numpy as np

        return y.astype(np.uint8)

    def trained_by(self, loss: str) -> bool:
        """Tell whether it is a cross-entropy of yes and no."""
        return "crossentropy" in loss and "binary" in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the cross-entropy of yes and no, averaged over the tags."""
        return crossentropy(outputs, keras)

    def metrics(self, outputs: np.ndarray, keras: Any) -> list[Any]:
        """Return the share of tags decided rightly, where the scorer decides."""
        return [decided_accuracy(outputs, keras)]

    def scorer(self) -> _Scorer:
        """Return what counts tags."""
        return _Scorer(self)

    def score(self, counted: Mapping[str, Any]) -> Score:
        """Return the score, with the F1 of each tag that has one."""
        found = counted_score({**counted, "per_class": None}, self.figures)
        return dataclasses.replace(found, per_class=counted.get("class_f1") or {})


class _Scorer:
    def __init__(self, task: MultiLabel) -> None:
        self._task = task
        self._counts: MultiLabelScorer | None = None

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        from edge_runner.score_multi_label import MultiLabelScorer

        labels = present(labels)
        if outputs.shape != labels.shape:
            msg = f"predictions of shape {outputs.shape} do not fit labels of shape {labels.shape}"
            raise DataError(msg)
        if self._counts is None:
            self._counts = MultiLabelScorer(outputs.shape[-1], each=True)
        self._counts.add(labels, outputs)

    def evaluation(self) -> Evaluation:
        if self._counts is None or not self._counts.samples:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        counts = self._counts
        score = self._task.score(counts.result())
        return mean_evaluation(dataclasses.replace(score, chance=counts.constant), counts.outcomes)
