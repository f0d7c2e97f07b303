"""The input again: what a model cannot put together again is unlike what it was trained on.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
the only input's shape    none, or 0 (normal) and 1 (anomalous)  int32 ``()``
========================  =====================================  ==============================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, ModelError
from tfcompress.tasks import label_form, paired
from tfcompress.tasks.label_form import LabelForm, Numbering, Shape
from tfcompress.tasks.score import Difference, Score, untested
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, counted_score
from tfcompress.tasks.traits import ERROR_LOSSES, OutputTraits

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.tasks.labelling import Labelling

_LEAST_VALUES = 3
"""An output of fewer values is rather one of classes."""

_LISTED = 10
"""Most names that a message lists."""

_NORMAL = ("normal", "good", "ok")
"""What normal samples are called, whatever the case of the letters."""


class Autoencoder(Task):
    """See the module's docstring.

    Args:
        windows_of: so many samples on end are the windows of one clip, which is scored by the mean of their errors.
    """

    name = "autoencoder"
    figures = ("auc", "partial_auc", "mse")
    teaching = "numbers"
    constant = "detecting anomalies at random"
    needs_labels = False
    in_pixels = True
    heeds = ("windows_of",)
    kind = "kind"

    def __init__(self, windows_of: int = 1) -> None:
        self.windows_of = windows_of

    def configured(self, labelling: Labelling) -> Task:
        """Return the task with windows that belong together."""
        return self if labelling.windows_of is None else type(self)(labelling.windows_of)

    @property
    def together(self) -> int:
        """How many samples are the windows of one clip."""
        return self.windows_of

    def options(self) -> dict[str, Any]:
        """Return how many windows belong together."""
        return {"windows_of": self.windows_of} if self.windows_of > 1 else {}

    def suits(self, inputs: Mapping[str, Shape], shape: Shape) -> bool:
        """Tell whether the output has the shape of the only input."""
        sizes = [size for size in shape if size is not None]
        return list(inputs.values()) == [shape] and len(sizes) == len(shape) and math.prod(sizes) >= _LEAST_VALUES

    def told_by(self, inputs: Mapping[str, Shape], shape: Shape, traits: OutputTraits) -> str:
        """Tell by a loss of errors, or of bits beside an output without axes.

        A map of bits, or an output of a model that was not compiled, may as well be one of classes.
        """
        bits = traits.loss == "BinaryCrossentropy" and len(shape) == 1
        if not self.suits(inputs, shape) or traits.activation == "softmax" or not (bits or traits.loss in ERROR_LOSSES):
            return ""
        return f"its shape, which is the input's, and the loss that the model was compiled with, {traits.loss}"

    def possible(self, inputs: Mapping[str, Shape], shape: Shape) -> str:
        """Tell that it has the input's shape."""
        return "it has the input's shape" if self.suits(inputs, shape) else ""

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a 0 or a 1 for each sample."""
        return not label_form.without_ones(y.shape[1:]) and bool(((y == 0) | (y == 1)).all())

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return 0 and 1, int32, shape (samples,)."""
        import numpy as np

        if label_form.without_ones(y.shape[1:]):
            raise label_form.wrong_shape(y, form, ())
        label_form.check_whole(y.reshape(len(y), 1), rows, form, 1)
        return y.reshape(len(y)).astype(np.int32)

    def allowed(self, shape: Shape) -> str | None:
        """Return them in words."""
        return "none, or 0 (normal) and 1 (anomalous), one a sample"

    def numbering(self, names: Sequence[str], shape: Shape, *, given: bool) -> Numbering:
        """Take two names, that of the normal samples first, or that alone; without an order the name itself may tell.

        Raises:
            DataError: other names than two; nobody, or none of them alone, says which is the normal one; or it comes
                second.
        """
        found = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        normal = [name for name in names if name.strip().casefold() in _NORMAL]
        if len(names) > 2 or not (len(normal) == 1 or (given and len(names) == 2)):
            msg = (
                f"data: task {self.name} takes labels of two names, normal and anomalous, got {found}; give "
                "--classes normal,anomaly, the name of the normal samples first"
                + (" (all anomalies under one name)" if len(names) > 2 else "")
            )
            raise DataError(msg)
        order = sorted(names, key=lambda name: name not in normal) if len(normal) == 1 else list(names)
        if not given:
            said = ", ".join(
                f"{name!r} {what}" for name, what in zip(order, ("normal (0)", "anomalous (1)"), strict=False)
            )
            return Numbering(tuple(order), ordered=False, line=f"by their names, samples are taken for: {said}")
        if order != list(names):
            msg = (
                f"data: task {self.name} numbers normal samples 0, so their name comes first, got {found}; give "
                f"--classes {','.join(order)}"
            )
            raise DataError(msg)
        return Numbering(tuple(order), ordered=False)

    def learnt(self, labels: np.ndarray) -> np.ndarray:
        """Tell which samples are normal, so that training may look at them; (samples,) bool."""
        found: np.ndarray = labels == 0
        return found

    def kinds(self, labels: np.ndarray) -> np.ndarray:
        """Return which samples are normal and which anomalous, (samples, 2) bool: there may be few of either."""
        import numpy as np

        return np.stack([labels == 0, labels != 0], axis=-1)

    def targets(self, inputs: Inputs, labels: np.ndarray | None) -> np.ndarray:
        """Return the input."""
        return only_input(inputs)

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the mean squared error."""
        return keras.losses.MeanSquaredError()

    def scorer(self) -> _Scorer:
        """Return what adds errors up."""
        return _Scorer(self)

    def score(self, counted: Mapping[str, Any]) -> Score:
        """Return the score; without labels of both kinds the error is all that is known."""
        known = counted.get("auc") is not None
        score = counted_score(counted, self.figures if known else self.figures[-1:])
        return dataclasses.replace(score, chance=0.5 if known else None)

    def compare(self, before: Evaluation, after: Evaluation) -> Difference | None:
        """Test the difference of two areas by DeLong's test, and of two errors by a paired t."""
        if not isinstance(before, _Told) or not isinstance(after, _Told) or before.truth is None:
            return super().compare(before, after)
        found = untested(before.score, after.score)
        if found is None or found.figure != self.main:
            return super().compare(before, after)
        if before.outcomes is None or after.outcomes is None:
            return found
        tested = paired.of_areas(before.outcomes, after.outcomes, before.truth)
        return self.judged(found, tested, before.score)


@dataclass(frozen=True)
class _Told(Evaluation):
    """Of outcomes that are errors of clips, with what each clip is, (clips,); None where nobody knows."""

    truth: np.ndarray | None


def only_input(inputs: Inputs) -> np.ndarray:
    """Return what the only input holds, (samples, ...).

    Raises:
        ModelError: there are several.
    """
    if len(inputs) != 1:
        msg = f"task autoencoder needs a model of one input, which its output is compared with, got {len(inputs)}"
        raise ModelError(msg)
    return next(iter(inputs.values()))


class _Scorer:
    def __init__(self, task: Autoencoder) -> None:
        import numpy as np

        from edge_runner.score_autoencoder import AutoencoderScorer

        self._task = task
        self._errors = AutoencoderScorer(self._sample, task.windows_of)
        self._batch: np.ndarray = np.empty(0)
        self._first = self._samples = 0

    def _sample(self, number: int) -> np.ndarray:
        """Return the input of a sample of the batch that is being scored."""
        found: np.ndarray = self._batch[number - self._first]
        return found

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        import numpy as np

        self._batch, self._first = only_input(inputs), self._samples
        if outputs.shape != self._batch.shape:
            msg = f"task autoencoder needs outputs of the input's shape {self._batch.shape}, got {outputs.shape}"
            raise ModelError(msg)
        if not np.isfinite(outputs).all():
            msg = "the model predicts NaN or Inf, so it has no error; check its weights and the preprocessing"
            raise ModelError(msg)
        self._errors.add(labels, outputs)
        self._samples += len(outputs)

    def evaluation(self) -> Evaluation:
        self._check_clips()
        score = self._task.score(self._errors.result())
        errors, truth = self._errors.errors, self._errors.truth
        main = score.main_figure
        ends: tuple[float | None, float | None]
        if truth is not None and score.main == self._task.main and main.value is not None:
            ones = int(truth.sum())
            ends = paired.area_interval(main.value, ones, len(truth) - ones)
        else:
            low, high = paired.mean_interval(errors)
            ends, truth = (None if low is None else max(0.0, low), high), None
        figures = {**score.figures, score.main: dataclasses.replace(main, low=ends[0], high=ends[1])}
        return _Told(dataclasses.replace(score, figures=figures), errors, truth)

    def _check_clips(self) -> None:
        if not self._samples:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        each = self._task.windows_of
        if self._samples % each:
            msg = f"data: --windows-of {each} needs whole clips, and there are {self._samples:,} samples; drop the rest"
            raise DataError(msg)
        mixed = self._errors.mixed_clip
        if mixed is not None:
            msg = (
                f"data: --windows-of {each} needs the windows of a clip to have one label, and samples "
                f"{mixed * each:,} to {(mixed + 1) * each - 1:,} have both"
            )
            raise DataError(msg)
