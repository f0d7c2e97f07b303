"""Vectors whose directions identify who is who: faces, speakers, products, places.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
any, two values or more   whole numbers: identities              int64 ``()``
========================  =====================================  ==============================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.figures import figure_kind
from tfcompress.tasks.label_form import LabelForm, Numbering, Shape
from tfcompress.tasks.score import Figure, Score
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, present

if TYPE_CHECKING:
    import numpy as np


_COSINE = "cosine_agreement"


class Embedding(Task):
    """See the module's docstring."""

    name = "embedding"
    figures = ("verification_auc", "recall_at_1", "cosine_agreement")
    pipelines = MappingProxyType({1: "feature-extraction", 3: "image-feature-extraction"})
    teaching = "directions"
    constant = "judging pairs at random"
    taught = True
    kind = "identity"
    by_likeness = True

    def suits(self, inputs: Mapping[str, Shape], shape: Shape) -> bool:
        """Tell that it is never guessed: identities look like classes."""
        return False

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a whole number for each sample and a vector for each output."""
        import numpy as np

        whole = y.dtype.kind != "f" or bool(np.all((y == np.floor(y)) | np.isnan(y)))
        return whole and not label_form.without_ones(y.shape[1:]) and math.prod(size or 2 for size in shape) > 1

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return identities, int64, shape (samples,)."""
        import numpy as np

        if label_form.without_ones(y.shape[1:]):
            raise label_form.wrong_shape(y, form, ())
        numbers = y.reshape(len(y))
        if numbers.dtype.kind == "f":
            bad = np.flatnonzero(numbers != np.floor(numbers))
            if len(bad):
                msg = f"data: {form.where} must be whole numbers, sample {rows[bad[0]]:,} is {numbers[bad[0]]:g}"
                raise DataError(msg)
        return numbers.astype(np.int64)

    def allowed(self, shape: Shape) -> str | None:
        """Return them in words."""
        return "whole numbers that say who it is, one a sample" if math.prod(n or 2 for n in shape) > 1 else None

    def numbering(self, names: Sequence[str], shape: Shape, *, given: bool) -> Numbering:
        """Take any names for identities: their order means nothing."""
        return Numbering(tuple(names), ordered=False)

    def kinds(self, labels: np.ndarray) -> np.ndarray:
        """Return who each is, (samples,)."""
        return labels

    def trained_by(self, loss: str) -> bool:
        """Tell whether it looks at directions alone."""
        return "cosine" in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return minus the cosine of the angle, which is to the float model's own output."""
        return keras.losses.CosineSimilarity()

    def scorer(self) -> _Scorer:
        """Return what keeps vectors."""
        return _Scorer(self)

    def score(self, counted: Mapping[str, Any]) -> Score:
        """Return the score; of pairs at random one half is judged right."""
        return dataclasses.replace(super().score(counted), chance=0.5)

    def alike(self, score: Score | None, likeness: Mapping[str, Any], samples: int) -> Score | None:
        """Return the score with the mean cosine; without labels that is the main figure."""
        if likeness.get("cosine") is None:
            return score
        told = {_COSINE: Figure(float(likeness["cosine"]), unit=figure_kind(_COSINE).unit)}
        if score is None:
            return Score(task=self.name, samples=samples, main=_COSINE, figures=told)
        return dataclasses.replace(score, figures={**score.figures, **told})


class _Scorer:
    def __init__(self, task: Embedding) -> None:
        from edge_runner.score_embedding import EmbeddingScorer

        self._task = task
        self._kept = EmbeddingScorer()

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        self._kept.add(present(labels), outputs)

    def evaluation(self) -> Evaluation:
        if not self._kept.samples:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        score = self._task.score(self._kept.result())
        return Evaluation(score, None)  # of pairs no sample has a share by itself
