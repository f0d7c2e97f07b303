"""How right a model is about every pixel: the intersection over union of each class, and their mean.

The intersection over union of a class is TP / (TP + FP + FN), counted over all pixels of all samples; the mean is over
the classes that occur in the labels or among the predictions (Everingham et al. 2015, IJCV 111:98, section 4.3).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runner.ndarray import Array
from edge_runner.ratios import Ratios
from edge_runner.scorers import NONE, empty

VOID = 255
"""The label of pixels that don't count, where there are no so many classes (PASCAL VOC's custom)."""


class SegmentationScorer:
    """Counts of pixels; labels are class numbers of shape (samples, height, width) or (samples, height, width, 1).

    Args:
        classes: how many there are.
        kind: of the output: ``scores`` (height, width, classes), ``classes`` (height, width), whole class numbers, or
            ``mask`` (height, width), one value a pixel for two classes: outputs all within 0..1 are probabilities
            (threshold 0.5), others logits (threshold 0).
        void: the label of pixels that don't count; no class's number.
        each: keep what :attr:`outcomes` needs of each sample.
    """

    task = "segmentation"
    predictions = None
    right = None

    def __init__(self, classes: int, kind: str, void: int = VOID, each: bool = False) -> None:
        self.classes = classes
        self.kind = kind
        self.void = void
        self.samples = 0
        self.probabilities = True
        self.thresholds = (0.5, 0.0) if kind == "mask" else (0.0,)
        self.cells = np.zeros((len(self.thresholds), classes, classes + 1), np.int64)
        self._ratios = [Ratios(classes, each=each) for _ in self.thresholds]

    def add(self, labels: Array, outputs: Array) -> None:
        """Score a batch: labels as the class's docstring has them, and the real-valued outputs of the samples."""
        for label, output in zip(labels, outputs):
            self._add(np.asarray(label).reshape(-1).astype(np.intp), output)  # bincount takes no wider ones

    def _add(self, truth: Array, output: Array) -> None:
        counted = (truth != self.void) & (truth < self.classes)
        for place, threshold in enumerate(self.thresholds):
            predicted = np.where(self._in_range(found := self._classes(output, threshold)), found, self.classes)
            pairs = truth[counted] * (self.classes + 1) + predicted[counted].astype(np.intp)
            cells = np.bincount(pairs, minlength=self.cells[0].size).reshape(self.cells[0].shape)
            self.cells[place] += cells
            both = np.diag(cells)
            self._ratios[place].add(both[None], (cells.sum(axis=1) + cells[:, : self.classes].sum(axis=0) - both)[None])
        self.probabilities &= bool(((output >= 0) & (output <= 1)).all()) if self.kind == "mask" else True
        self.samples += 1

    def _classes(self, output: Array, threshold: float) -> Array:
        if output.dtype.kind == "f" and np.isnan(output).any():
            return np.full(output.size // (self.classes if self.kind == "scores" else 1), NONE)
        if self.kind == "scores":
            best: Array = output.reshape(-1, self.classes).argmax(axis=1)
            return best
        return (output.reshape(-1) > threshold).astype(int) if self.kind == "mask" else output.reshape(-1).astype(int)

    def _in_range(self, predicted: Array) -> Array:
        inside: Array = (predicted >= 0) & (predicted < self.classes)
        return inside

    @property
    def _place(self) -> int:
        return 0 if self.probabilities else len(self.thresholds) - 1

    @property
    def outcomes(self) -> Array:
        """What each sample contributes to the mean, (samples,); see :attr:`edge_runner.ratios.Ratios.outcomes`."""
        return self._ratios[self._place].outcomes

    @property
    def constant(self) -> float | None:
        """The most that guessing without looking at the picture can give; None without pixels that count.

        Where class c is a share p of the pixels and guessed for a share q, its intersection over union is
        ``p q / (p + q - p q)``. The sum over the classes is largest where ``q = t p / (1 - p)``, ``t`` such that the q
        add up to 1 (all derivatives are alike there), and is ``1 / (1 + t)``.
        """
        pixels = self.cells[0].sum(axis=1)
        shares = pixels[pixels > 0] / max(int(pixels.sum()), 1)
        if len(shares) < 2:
            return float(len(shares)) if len(shares) else None
        return float(1 / (1 + 1 / (shares / (1 - shares)).sum()) / len(shares))

    def result(self) -> dict[str, Any]:
        """Return the intersections over unions, the share of pixels that are right, and what was taken for what."""
        cells, ratios = self.cells[self._place], self._ratios[self._place]
        pixels = int(cells.sum())
        confusion = [
            [int(t), NONE if p == self.classes else int(p), int(cells[t, p])] for t, p in zip(*np.nonzero(cells))
        ]
        return {
            **empty(self.task, self.samples),
            "mean_iou": ratios.mean,
            "class_iou": ratios.by_class,
            "pixel_accuracy": int(np.trace(cells)) / pixels if pixels else None,
            "threshold": self.thresholds[self._place] if self.kind == "mask" else None,
            "confusion": sorted(confusion),
        }
