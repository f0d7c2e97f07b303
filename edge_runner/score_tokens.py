"""How right a model is about a class for each step of a sequence: words, phonemes, activities, the next character.

Steps that are padding (label :data:`PADDING`) count nowhere.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runner.ndarray import Array
from edge_runner.scorers import NONE, empty

PADDING = -1
"""The label of a step that does not count."""
LEAST_PROBABILITY = 1e-7
"""A probability below this counts as this, as it does in Keras's cross-entropy: of integer outputs many are zero."""


class TokenScorer:
    """Counts of right steps; labels are class numbers of shape (samples, steps), :data:`PADDING` where there is none.

    Outputs all within 0..1 are probabilities, others logits. Ties go to the lower class number, as numpy's argmax gives
    them. A step with a NaN among its outputs is wrong.

    Args:
        classes: how many there are.
        perplexity: whether to report it; None: where the model is seen to predict the next token, which is where the
            labels are the model's only input one step later.
        sample: returns the input of a sample by its number; None where that is not known.
    """

    task = "tokens"
    predictions = None
    right = None

    def __init__(
        self, classes: int, *, perplexity: bool | None = None, sample: Callable[[int], Array] | None = None
    ) -> None:
        self.classes = classes
        self.sample = sample
        self.next_token = True
        self._asked = perplexity
        self._probabilities = True
        # By class: steps that have it and were taken for it, that have it, and that were taken for it.
        self._both, self._true, self._taken = (np.zeros(classes, np.int64) for _ in range(3))
        self._steps, self._right = array("q"), array("q")
        self._entropy = {True: array("d"), False: array("d")}

    def add(self, labels: Array, outputs: Array) -> None:
        """Score the samples that come next.

        Args:
            labels: (samples, steps) class numbers.
            outputs: (samples, steps, classes) reals.
        """
        for label, output in zip(labels, outputs):
            truth = np.asarray(label).reshape(-1).astype(np.int64)
            if self.next_token:
                self.next_token = self.sample is not None and _one_step_later(truth, self.sample(len(self._steps)))
            self._add(truth, np.asarray(output).reshape(len(truth), self.classes))

    def _add(self, label: Array, output: Array) -> None:
        counted = label != PADDING
        truth, scores = label[counted], output[counted].astype(np.float64)
        bad = np.isnan(scores).any(axis=1)
        predicted = np.where(bad, NONE, scores.argmax(axis=1) if scores.size else NONE)
        right = truth == predicted
        self._both += np.bincount(truth[right], minlength=self.classes)
        self._true += np.bincount(truth, minlength=self.classes)
        self._taken += np.bincount(predicted[~bad], minlength=self.classes)
        self._steps.append(len(truth))
        self._right.append(int(np.count_nonzero(right)))
        self._probabilities &= bool(((scores >= 0) & (scores <= 1) | np.isnan(scores)).all())
        for known, entropies in self._entropy.items():
            entropies.append(_cross_entropy(scores, truth, probabilities=known))

    @property
    def steps(self) -> Array:
        """How many steps of each sample count, (samples,) int64."""
        return np.array(self._steps, np.int64)

    @property
    def right_steps(self) -> Array:
        """How many of them are right, (samples,) int64."""
        return np.array(self._right, np.int64)

    @property
    def perplexity(self) -> float | None:
        """``exp`` of the mean cross-entropy in nats, over all steps (Jelinek et al. 1977, JASA 62:S63)."""
        total = math.fsum(self._entropy[self._probabilities])
        steps = sum(self._steps)
        mean = total / steps if steps else math.nan
        return math.exp(mean) if mean < math.log(np.finfo(np.float64).max) else None

    def result(self) -> dict[str, Any]:
        """Return the fraction of steps that are right, and what else is known of them.

        ``macro_f1`` is the mean of ``2 TP / (2 TP + FP + FN)`` over the classes that occur in the labels or among the
        predictions (Opitz & Burst 2019, arXiv:1911.03347, equation 1); ``per_class`` counts steps.
        """
        steps = sum(self._steps)
        seen = self._true + self._taken
        scores = 2 * self._both[seen > 0] / seen[seen > 0]
        known = self.next_token and steps > 0 if self._asked is None else self._asked
        return {
            **empty(self.task, len(self._steps)),
            "step_accuracy": sum(self._right) / steps if steps else None,
            "macro_f1": math.fsum(scores) / len(scores) if len(scores) else None,
            "perplexity": self.perplexity if known else None,
            "per_class": {
                str(number): {"samples": int(self._true[number]), "right": int(self._both[number])}
                for number in np.flatnonzero(self._true).tolist()
            },
        }


def _cross_entropy(scores: Array, truth: Array, *, probabilities: bool) -> float:
    """Return the sum over steps of ``-log p(truth)`` in nats; of what is taken for probabilities, divided by their sum.

    Args:
        scores: (steps, classes).
        truth: (steps,) class numbers.
        probabilities: what the scores are taken for; else they are logits.
    """
    if not len(truth):
        return 0.0
    if probabilities:
        scores = np.log(np.clip(scores, LEAST_PROBABILITY, 1.0))
    top = scores.max(axis=1)
    with np.errstate(invalid="ignore"):  # infinite logits give NaN, which is what is known of them
        total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
        return float((total - scores[np.arange(len(truth)), truth]).sum())


def _one_step_later(labels: Array, given: Array) -> bool:
    """Whether *labels*, (steps,), are the sample's input *given* one step later, wherever they count."""
    if given.shape != labels.shape or len(labels) < 2:
        return False
    later = labels[:-1]
    return bool(((later == PADDING) | (later == given[1:])).all())
