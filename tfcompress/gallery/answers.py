"""Two files' answers to the same samples: what they say, where they differ, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfcompress.gallery.thumbnails import mask_thumbnail, numbers_text
from tfcompress.reports.pictures import Confusions, Thumbnail
from tfcompress.tasks.classification import are_probabilities
from tfcompress.tasks.task import Task

MOST_CLASSES = 40
"""More classes make no matrix that can be read."""

Kind = Literal["class", "tags", "mask", "steps", "numbers"]


@dataclass(frozen=True, eq=False)
class AnswerPair:
    """The answers of the float file and of the result.

    Attributes:
        kind: one ``class`` a sample, a set of ``tags``, a ``mask`` of classes, ``steps`` with a class each, or
            ``numbers``.
        before: of the float file: class numbers (samples, ...), bool (samples, tags), or the outputs.
        after: of the result.
        outputs: what both gave, float file first, (samples, ...).
        labels: in the form of the answers; None: not known.
        names: of the classes; empty: they have none.
        classes: how many there are; 0: none.
    """

    kind: Kind
    before: np.ndarray
    after: np.ndarray
    outputs: tuple[np.ndarray, np.ndarray]
    labels: np.ndarray | None
    names: tuple[str, ...]
    classes: int

    @property
    def moved(self) -> np.ndarray:
        """How far the answer to each sample moved, shape (samples,).

        The share of its classes that differ, or the RMS difference of its numbers over the spread of all that the float
        file answered.
        """
        size = len(self.before)
        if self.kind != "numbers":
            found: np.ndarray = (self.before != self.after).reshape(size, -1).mean(axis=1)
            return found
        one, two = (each.reshape(size, -1).astype(np.float64) for each in self.outputs)
        rms: np.ndarray = np.sqrt(np.mean((one - two) ** 2, axis=1)) / (float(one.std()) or 1.0)
        return rms

    @property
    def margins(self) -> np.ndarray:
        """How much of the float file's answer is gone, shape (samples,); for one class a sample."""
        one, two = (each.reshape(len(each), -1).astype(np.float64) for each in self.outputs)
        if one.shape[1] == 1:
            found: np.ndarray = np.abs(one - two)[:, 0]
            return found
        rows = np.arange(len(one))
        chosen = self.before.reshape(-1)
        gone: np.ndarray = one[rows, chosen] - two[rows, chosen]
        return gone

    def right(self, number: int) -> tuple[bool, bool] | None:
        """Tell whether both answers to a sample are right; None where that is not known, or no yes or no."""
        if self.labels is None or self.kind in ("numbers", "mask"):
            return None
        label = self.labels[number]
        return bool(np.all(self.before[number] == label)), bool(np.all(self.after[number] == label))

    def words(self, answers: np.ndarray, number: int, outputs: np.ndarray | None = None) -> str:
        """Return one answer in words, with how sure the file is of it where its *outputs* say that."""
        own = answers[number]
        if self.kind == "class":
            text = self.name(int(own))
            sure = None if outputs is None else _confidence(outputs[number : number + 1], int(own))
            return text if sure is None else f"{text}, {100 * sure:.0f} %"
        if self.kind == "tags":
            chosen = [self.name(int(tag)) for tag in np.flatnonzero(own)]
            return ", ".join(chosen[:8]) or "none"
        if self.kind == "numbers":
            return numbers_text(own.reshape(-1))
        if self.labels is None:
            return ""
        label = self.labels[number]
        if own is label or np.array_equal(own, label):
            return "all right" if outputs is not None else ""
        wrong = float(np.mean(own != label))
        return f"{100 * (1 - wrong):.1f} % of its {'pixels' if self.kind == 'mask' else 'steps'} right"

    def name(self, number: int) -> str:
        """Return what a class is called."""
        return self.names[number] if 0 <= number < len(self.names) else f"class {number}"

    def masks(self, number: int) -> tuple[Thumbnail, ...]:
        """Return a sample's masks as pictures: the label, the float file's answer, the result's."""
        if self.kind != "mask":
            return ()
        known = [("label", self.labels), ("float", self.before), ("result", self.after)]
        return tuple(mask_thumbnail(title, each[number]) for title, each in known if each is not None)

    def confusions(self) -> Confusions | None:
        """Return which class is taken for which; None without labels, classes, or with too many of them."""
        if self.labels is None or self.kind in ("numbers", "tags") or not 2 <= self.classes <= MOST_CLASSES:
            return None
        one, two = (_counted(self.labels, answers, self.classes) for answers in (self.before, self.after))
        return Confusions(before=one, after=two)


def answer_pair(
    before: np.ndarray, after: np.ndarray, labels: np.ndarray | None, task: Task, names: Sequence[str]
) -> AnswerPair:
    """Read two files' outputs as answers.

    Args:
        before: outputs of the float file, (samples, ...).
        after: of the result, the same shape.
        labels: in the task's one form; None: there are none.
        task: what they mean.
        names: of the classes.
    """
    if task.teaching == "logits" and before.shape[-1] > 1:
        one, two, classes = before.argmax(axis=-1), after.argmax(axis=-1), before.shape[-1]
        if labels is not None and labels.dtype.kind == "f" and labels.shape == before.shape:
            labels = labels.argmax(axis=-1)
    elif task.teaching in ("logits", "binary logits") and before.ndim > 1:
        level = 0.5 if before.min() >= 0 and before.max() <= 1 else 0.0
        one, two, classes = before > level, after > level, max(2, before.shape[-1])
        if before.shape[-1] == 1 or task.teaching == "logits":
            one, two = (each[..., 0].astype(np.int64) for each in (one, two))
    else:
        return AnswerPair("numbers", before, after, (before, after), _fitting(labels, before), (), 0)
    kind = _kind(one)
    return AnswerPair(kind, one, two, (before, after), _fitting(labels, one), tuple(names), classes)


def _kind(answers: np.ndarray) -> Kind:
    if answers.dtype == bool:
        return "tags"
    rest = [size for size in answers.shape[1:] if size != 1]
    return "class" if not rest else "mask" if len(rest) == 2 else "steps"


def _fitting(labels: np.ndarray | None, answers: np.ndarray) -> np.ndarray | None:
    """Return labels in the shape of the answers; None where they are of another kind."""
    if labels is None or labels.dtype.kind not in "iufb" or labels.size != answers.size:
        return None
    shaped = labels.reshape(answers.shape)
    return shaped > 0.5 if answers.dtype == bool else shaped


def _confidence(outputs: np.ndarray, answer: int) -> float | None:
    flat = outputs.reshape(1, -1)
    if flat.shape[1] > 1:
        return float(flat[0, answer]) if are_probabilities(flat) else None
    value = float(flat[0, 0])
    return (value if answer else 1 - value) if 0 <= value <= 1 else None


def _counted(labels: np.ndarray, answers: np.ndarray, classes: int) -> tuple[tuple[int, ...], ...]:
    flat, own = labels.reshape(-1).astype(np.int64), answers.reshape(-1).astype(np.int64)
    known = (flat >= 0) & (flat < classes) & (own < classes)
    counts = np.bincount(flat[known] * classes + own[known], minlength=classes * classes)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())
