"""A class for each pixel: labels are maps of class numbers, masks of 0 and 1, or one-hot maps.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
``(h, w, k)``, k > 1      whole numbers ``(h, w)`` or one-hot    int32 ``(h, w)``
``(h, w, 1)``             0 and 1, ``(h, w)``                    int32 ``(h, w, 1)``
``(h, w)``, when said     0 and 1                                int32 ``(h, w)``
========================  =====================================  ==============================

One number, 255 unless said otherwise, stands for pixels that don't count: neither in the loss nor in a figure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.classification import MOSTLY, are_probabilities
from tfcompress.tasks.intervals import mean_evaluation
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, counted_score, present
from tfcompress.tasks.yes_no import in_unit_interval

if TYPE_CHECKING:
    import numpy as np

    from edge_runner.segmentation import SegmentationScorer
    from tfcompress.tasks.labelling import Labelling

VOID = 255
"""The usual label of pixels that don't count (Everingham et al. 2015, IJCV 111:98: PASCAL VOC's)."""


class Segmentation(Task):
    """See the module's docstring.

    Args:
        void: the label of pixels that don't count.
        said: whether it was given, and not taken for granted.
    """

    name = "segmentation"
    figures = ("mean_iou", "pixel_accuracy")
    pipelines = MappingProxyType({3: "image-segmentation"})
    teaching = "logits"
    constant = "guessing classes without looking at the picture"
    in_pixels = True
    heeds = ("ignore_label",)

    def __init__(self, void: int = VOID, *, said: bool = False) -> None:
        self.void = void
        self._said = said

    def configured(self, labelling: Labelling) -> Segmentation:
        """Return the task with the label of pixels that don't count that the user gave."""
        return self if labelling.ignore_label is None else Segmentation(labelling.ignore_label, said=True)

    def options(self) -> dict[str, Any]:
        """Return the label of pixels that don't count."""
        return {"ignore_label": self.void}

    def suits(self, inputs: Mapping[str, Shape], shape: Shape) -> bool:
        """Tell whether the output is a plane with an axis of classes."""
        return len(shape) == 3

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a class for each pixel of a plane with an axis of classes."""
        import numpy as np

        if len(shape) != 3 or not self.takes(y, shape):
            return False
        if self._one_hot(y, shape):  # a few that are not are mistakes, which are told by their samples
            return label_form.zeros_and_ones(y) and float(label_form.is_one_hot(y).mean()) >= MOSTLY
        whole = bool((y == y.round()).all())
        return whole and (shape[-1] != 1 or label_form.zeros_and_ones(np.where(y == self.void, 0, y)))

    def takes(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a label for each pixel of the output, or a vector of one for each."""
        planes = _planes(shape)
        if planes is None:
            return False
        given = y.shape[1:-1] if y.ndim == 4 and y.shape[-1] == 1 else y.shape[1:]
        return label_form.shapes_match(given, planes) or self._one_hot(y, shape)

    def _one_hot(self, y: np.ndarray, shape: Shape) -> bool:
        return len(shape) == 3 and (shape[-1] or 0) > 1 and label_form.shapes_match(y.shape[1:], shape)

    def form(self, y: np.ndarray, shape: Shape, where: str) -> LabelForm:
        """Say whether they come one-hot, and which number stands for yes in a mask.

        Raises:
            DataError: the label of pixels that don't count is a class's.
        """
        classes = self.classes(shape) or 2
        if self._said and 0 <= self.void < classes:
            msg = (
                f"data: --ignore-label {self.void} is one of the {classes} classes (0..{classes - 1}) that the model "
                f"tells apart; give a number that {where} uses for pixels that don't count, or leave it out"
            )
            raise DataError(msg)
        one_hot = self._one_hot(y, shape)
        return LabelForm(shape, where, one_hot=one_hot, on=1 if one_hot or classes > 2 or self._said else _on(y))

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return class numbers, int32, of the output's shape without its axis of classes."""
        import numpy as np

        if form.one_hot:
            return _from_one_hot(y, rows, form)
        planes = _planes(form.shape) or ()
        given = y.shape[1:-1] if y.ndim == 4 and y.shape[-1] == 1 else y.shape[1:]
        if not label_form.shapes_match(given, planes):
            raise label_form.wrong_shape(y, form, planes)
        if form.on != 1:
            y = _switched(y, rows, form)
        classes = self.classes(form.shape) or 2
        # void is looked for before the range: where 255 is a class, nothing is void
        void = y == self.void if self.void < 0 or self.void >= classes else np.zeros(y.shape, bool)
        try:
            label_form.check_whole(np.where(void, 0, y), rows, form, classes - 1)
        except DataError as error:
            msg = f"{error}; pixels that don't count hold {self.void}, or what --ignore-label says"
            raise DataError(msg) from None
        single = len(form.shape) == 3 and form.shape[-1] == 1
        return y.astype(np.int32).reshape((len(y), *given, 1) if single else (len(y), *given))

    def classes(self, shape: Shape) -> int | None:
        """Return the extent of the last of three axes; two for a single value, or a plane."""
        if _planes(shape) is None:
            return None
        if len(shape) == 2 or shape[-1] == 1:
            return 2
        return shape[-1]

    def occurring(self, y: np.ndarray, shape: Shape) -> np.ndarray | None:
        """Return None: of many classes, some are in few pictures."""
        return None

    def allowed(self, shape: Shape) -> str | None:
        """Return the forms."""
        planes, classes = _planes(shape), self.classes(shape)
        if planes is None or classes is None:
            return None
        return f"maps {planes} of class numbers 0..{classes - 1}, and {self.void} for pixels that don't count"

    def doubt(self, form: LabelForm, *, whole: bool) -> str | None:
        """Say where 255 was taken for yes."""
        if form.on == 1:
            return None
        return (
            f"{form.where} holds 0 and {form.on} and no 1, so {form.on} was taken for the class 1; "
            f"--ignore-label {form.on} says that it means pixels that don't count"
        )

    def for_runner(self, y: np.ndarray) -> np.ndarray:
        """Return class numbers, int16 where the label of pixels that don't count is in its range."""
        import numpy as np

        return y.astype(np.int16 if -(1 << 15) <= self.void < 1 << 15 else np.int32)

    def compiled_with(self, loss: str) -> bool:
        """Tell whether it is a cross-entropy."""
        return "crossentropy" in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the cross-entropy over the pixels that count."""
        if _tells_classes(outputs):
            logits = not are_probabilities(outputs)
            void = self.void if not 0 <= self.void < outputs.shape[-1] else None
            return keras.losses.SparseCategoricalCrossentropy(from_logits=logits, ignore_class=void)
        from tfcompress.tasks.mask_loss import mask_crossentropy

        return mask_crossentropy(self.void, from_logits=not in_unit_interval(outputs), keras=keras)

    def scorer(self) -> _Scorer:
        """Return what counts pixels."""
        return _Scorer(self)

    def score(self, counted: Mapping[str, Any]) -> Score:
        """Return the score, with the intersection over union of each class that has one."""
        found = counted_score({**counted, "per_class": None}, self.figures)
        return dataclasses.replace(found, per_class=counted.get("class_iou") or {})


class _Scorer:
    def __init__(self, task: Segmentation) -> None:
        self._task = task
        self._counts: SegmentationScorer | None = None

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        from edge_runner.segmentation import SegmentationScorer

        labels = present(labels)
        tells = _tells_classes(outputs)
        if labels.shape != (outputs.shape[:-1] if tells else outputs.shape):
            msg = f"predictions of shape {outputs.shape} do not fit labels of shape {labels.shape}"
            raise DataError(msg)
        if self._counts is None:
            classes, kind = (outputs.shape[-1], "scores") if tells else (2, "mask")
            self._counts = SegmentationScorer(classes, kind, self._task.void, each=True)
        self._counts.add(labels, outputs)

    def evaluation(self) -> Evaluation:
        if self._counts is None or not self._counts.samples:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        score = self._task.score(self._counts.result())
        return mean_evaluation(dataclasses.replace(score, chance=self._counts.constant), self._counts.outcomes)


def _planes(shape: Shape) -> Shape | None:
    """Return height and width of an output of pixels; None for another one, or one of a single row or column."""
    planes = shape[:2]
    return planes if len(shape) in (2, 3) and 1 not in planes else None


def _tells_classes(outputs: np.ndarray) -> bool:
    """Tell whether the last axis of a batch of outputs is that of classes."""
    return outputs.ndim == 4 and outputs.shape[-1] > 1


def _on(y: np.ndarray) -> int:
    """Return which number stands for yes in a mask: 255 where there is no other than 0 and 255."""
    return VOID if bool((y == VOID).any()) and bool(((y == 0) | (y == VOID)).all()) else 1


def _switched(y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
    """Return a mask of 0 and 1 for one of 0 and another number."""
    import numpy as np

    bad = np.flatnonzero(~((y == 0) | (y == form.on)).reshape(len(y), -1).all(axis=1))
    if len(bad):
        msg = (
            f"data: {form.where} must hold 0 and {form.on} as its first samples do, sample {rows[bad[0]]:,} holds "
            f"others; give masks of 0 and 1, or say --ignore-label {form.on} if that means pixels that don't count"
        )
        raise DataError(msg)
    found: np.ndarray = (y == form.on).astype(np.int32)
    return found


def _from_one_hot(y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
    import numpy as np

    bad = np.flatnonzero(~label_form.is_one_hot(y).reshape(len(y), -1).all(axis=1))
    if len(bad):
        msg = (
            f"data: {form.where} must be one-hot at each pixel (a single 1, else 0), sample {rows[bad[0]]:,} is not; "
            f"give class numbers instead, and {VOID} for pixels that don't count"
        )
        raise DataError(msg)
    indices: np.ndarray = np.argmax(y, axis=-1).astype(np.int32)
    return indices
