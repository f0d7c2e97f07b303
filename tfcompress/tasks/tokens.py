"""A class for each step of a sequence: tags of words, phonemes, activities, the next character.

========================  =====================================  ==============================
output, without batch     labels                                 their one form
========================  =====================================  ==============================
``(steps, k)``, k > 1     whole numbers ``(steps)``, some of     int32 ``(steps)``, padding -1
                          them padding, or one-hot, zeros
                          alone for padding
========================  =====================================  ==============================
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError
from tfcompress.tasks import label_form
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.paired import student_quantile
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task, present
from tfcompress.tasks.yes_no import in_unit_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from edge_runner.score_tokens import TokenScorer
    from tfcompress.tasks.labelling import Labelling

PADDING = -1
"""The label of a step that does not count, in the one form."""


class Tokens(Task):
    """See the module's docstring.

    Args:
        ignore_label: a label that is padding, beside -1.
        perplexity: whether to report it; None: where the labels are the model's input one step later.
    """

    name = "tokens"
    figures = ("step_accuracy", "macro_f1", "perplexity")
    teaching = "logits"
    constant = "always answering the most frequent class"
    heeds = ("ignore_label",)
    pads = True

    def __init__(self, ignore_label: int = PADDING, *, perplexity: bool | None = None) -> None:
        self.ignore_label = ignore_label
        self.perplexity = perplexity

    def configured(self, labelling: Labelling) -> Task:
        """Return the task with another label for padding, and with perplexity where that is asked for."""
        perplexity = labelling.main_metric == "perplexity"
        if labelling.ignore_label is None and not perplexity:
            return self
        ignored = PADDING if labelling.ignore_label is None else labelling.ignore_label
        return type(self)(ignored, perplexity=perplexity or self.perplexity)

    def options(self) -> dict[str, Any]:
        """Return whether perplexity is reported, if that is settled; labels go to devices with -1 for padding."""
        return {} if self.perplexity is None else {"perplexity": self.perplexity}

    def as_told(self, options: Mapping[str, Any]) -> Task:
        """Return the task that reports perplexity, or does not, as it was settled."""
        told = options.get("perplexity")
        return type(self)(self.ignore_label, perplexity=told) if isinstance(told, bool) else self

    def as_scored(self, score: Score) -> Task:
        """Return the task that reports perplexity where this score does."""
        return type(self)(self.ignore_label, perplexity="perplexity" in score.figures)

    def suits(self, inputs: Mapping[str, Shape], shape: Shape) -> bool:
        """Tell whether the output has an axis of steps, of more than one."""
        return len(shape) == 2 and shape[0] != 1 and self.classes(shape) is not None

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there is a whole number, or a one-hot vector, for each step."""
        import numpy as np

        if len(shape) != 2 or self.classes(shape) is None:
            return False
        if label_form.shapes_match(y.shape[1:], shape):
            return _are_one_hot(y)
        whole = y.dtype.kind != "f" or bool(np.all((y == np.floor(y)) | np.isnan(y)))
        return whole and self._numbers(y, shape)

    def _numbers(self, y: np.ndarray, shape: Shape) -> bool:
        each = y.shape[1:-1] if y.ndim == 3 and y.shape[-1] == 1 else y.shape[1:]
        return label_form.shapes_match(each, shape[:1])

    def form(self, y: np.ndarray, shape: Shape, where: str) -> LabelForm:
        """Say whether they come one-hot.

        Raises:
            DataError: what is to be ignored is a class. (0 may be: many models mask it.)
        """
        classes = self.classes(shape) or 1
        if 0 < self.ignore_label < classes:
            msg = (
                f"--ignore-label must be no class of the output (1..{classes - 1}), got {self.ignore_label}; "
                f"label padding {PADDING}, or 0 where the model masks zero"
            )
            raise DataError(msg)
        one_hot = not self._numbers(y, shape)
        return LabelForm(shape, where, one_hot=one_hot, padded=one_hot and bool((~y.any(axis=-1)).any()))

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return class numbers, int32, shape (samples, steps), :data:`PADDING` for steps that do not count."""
        import numpy as np

        if form.one_hot:
            return self._of_one_hot(y, rows, form)
        if not self._numbers(y, form.shape):
            raise label_form.wrong_shape(y, form, form.shape[:1])
        y = y.reshape(y.shape[:2])
        padding = (y == self.ignore_label) | (y == PADDING)
        numbers = np.where(padding, 0, y)
        below = np.flatnonzero((numbers < 0).any(axis=1))
        if len(below):
            msg = (
                f"data: {form.where} must hold class numbers, and {PADDING} for padding, sample {rows[below[0]]:,} has "
                f"{numbers[below[0]].min():g}; give --ignore-label {numbers[below[0]].min():g} if that is padding"
            )
            raise DataError(msg)
        label_form.check_whole(numbers, rows, form, (self.classes(form.shape) or 1) - 1)
        return np.where(padding, PADDING, numbers).astype(np.int32)

    def _of_one_hot(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        import numpy as np

        padding = ~y.any(axis=-1) & form.padded
        bad = np.flatnonzero(~(label_form.is_one_hot(y) | padding).all(axis=1))
        if len(bad):
            msg = (
                f"data: {form.where} must be one-hot at each step (a single 1, else 0), sample {rows[bad[0]]:,} is "
                f"not; where there is padding, give class numbers and {PADDING}"
            )
            raise DataError(msg)
        numbers: np.ndarray = np.argmax(y, axis=-1).astype(np.int32)
        return np.where(padding | (numbers == self.ignore_label), np.int32(PADDING), numbers)

    def doubt(self, form: LabelForm, *, whole: bool) -> str | None:
        """Say that vectors of zeros were taken for padding."""
        if not form.padded:
            return None
        return (
            f"{form.where} is one-hot but for steps of zeros alone, which were taken for padding; --task multi-label "
            "says that they are steps without a tag"
        )

    def padded(self, y: np.ndarray, padding: np.ndarray) -> np.ndarray:
        """Return class numbers, int32, (samples, steps), :data:`PADDING` for the steps that are padding, too."""
        import numpy as np

        return np.where(padding, np.int32(PADDING), y)

    def classes(self, shape: Shape) -> int | None:
        """Return the extent of the last axis; None where it is not known or a single value."""
        return shape[-1] if shape and (shape[-1] or 0) > 1 else None

    def occurring(self, y: np.ndarray, shape: Shape) -> np.ndarray | None:
        """Return None: of a thousand words many do not occur in a split."""
        return None

    def allowed(self, shape: Shape) -> str | None:
        """Return the two forms."""
        if len(shape) != 2 or self.classes(shape) is None:
            return None
        return f"class numbers {shape[:1]}, {self.ignore_label} for padding, or one-hot labels {shape}"

    def compiled_with(self, loss: str) -> bool:
        """Tell whether it is a cross-entropy over classes."""
        return "crossentropy" in loss and "binary" not in loss

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the cross-entropy over class numbers, averaged over the steps that count."""
        logits = not in_unit_interval(outputs)
        return _step_cross_entropy(keras, from_logits=logits)

    def metrics(self, outputs: np.ndarray, keras: Any) -> list[Any]:
        """Return the accuracy over the steps that count."""
        return [_step_accuracy(keras)]

    def scorer(self) -> _Scorer:
        """Return what counts right steps."""
        return _Scorer(self)


def _are_one_hot(y: np.ndarray) -> bool:
    """Tell whether the vectors of all steps are one-hot but for padding, which may be zeros alone."""
    one_hot = label_form.is_one_hot(y)
    return bool(one_hot.any() or not y.size) and bool((one_hot | ~y.any(axis=-1)).all())


def _step_cross_entropy(keras: Any, *, from_logits: bool) -> Any:
    """Return a loss of either Keras: the cross-entropy of each step, whose mean is that over the steps that count.

    (Keras's own with ``ignore_class`` takes no weight for a whole sample, shape (samples,).)
    """

    class StepCrossEntropy(keras.losses.Loss):  # type: ignore[misc]  # of either Keras
        def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            import tensorflow as tf

            if sample_weight is not None:
                sample_weight = tf.reshape(sample_weight, [tf.shape(y_true)[0], -1])
            # a copy has no mask of Keras's, by which it would average once more: labels tell padding
            return super().__call__(y_true, tf.identity(y_pred), sample_weight)

        def call(self, y_true: Any, y_pred: Any) -> Any:
            import tensorflow as tf

            counted = tf.not_equal(tf.cast(y_true, tf.int32), PADDING)
            truth = tf.where(counted, tf.cast(y_true, tf.int32), 0)
            entropy = keras.losses.sparse_categorical_crossentropy(truth, y_pred, from_logits=from_logits)
            each = tf.cast(counted, entropy.dtype)
            share = tf.math.divide_no_nan(tf.cast(tf.size(each), entropy.dtype), tf.reduce_sum(each))
            return tf.where(counted, entropy * share, 0.0)

    return StepCrossEntropy(name="sparse_categorical_crossentropy")


def _step_accuracy(keras: Any) -> Any:
    """Return a metric of either Keras: the fraction right of the steps that are no padding."""

    class StepAccuracy(keras.metrics.Metric):  # type: ignore[misc]  # of either Keras
        def __init__(self) -> None:
            super().__init__(name="accuracy")
            self.right = self.add_weight(name="right", initializer="zeros")
            self.steps = self.add_weight(name="steps", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            import tensorflow as tf

            truth = tf.cast(y_true, tf.int32)
            counted = tf.not_equal(truth, PADDING)
            right = tf.equal(truth, tf.argmax(y_pred, axis=-1, output_type=tf.int32)) & counted
            self.right.assign_add(tf.reduce_sum(tf.cast(right, self.right.dtype)))
            self.steps.assign_add(tf.reduce_sum(tf.cast(counted, self.steps.dtype)))

        def result(self) -> Any:
            import tensorflow as tf

            return tf.math.divide_no_nan(tf.convert_to_tensor(self.right), tf.convert_to_tensor(self.steps))

    return StepAccuracy()


class _Scorer:
    def __init__(self, task: Tokens) -> None:
        self._task = task
        self._counts: TokenScorer | None = None
        self._inputs: Inputs = NO_INPUTS
        self._first = self._samples = 0

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        labels = present(labels)
        if outputs.shape[:-1] != labels.shape:
            msg = f"predictions of shape {outputs.shape} do not fit labels of shape {labels.shape}"
            raise DataError(msg)
        if self._counts is None:
            self._counts = self._counting(outputs.shape[-1], inputs)
        self._inputs, self._first = inputs, self._samples
        self._counts.add(labels, outputs)
        self._samples += len(outputs)

    def _counting(self, classes: int, inputs: Inputs) -> TokenScorer:
        from edge_runner.score_tokens import TokenScorer

        sample = self._sample if len(inputs) == 1 else None
        return TokenScorer(classes, perplexity=self._task.perplexity, sample=sample)

    def _sample(self, number: int) -> np.ndarray:
        """Return the input of a sample of the batch that is being scored."""
        found: np.ndarray = next(iter(self._inputs.values()))[number - self._first]
        return found

    def evaluation(self) -> Evaluation:
        if self._counts is None or not self._counts.steps.sum():
            what = "samples" if self._counts is None else "steps that are no padding"
            msg = f"a score needs {what}, got none"
            raise DataError(msg)
        score = self._task.score(self._counts.result())
        main = score.figures["step_accuracy"]
        low, high = _ratio_interval(self._counts.right_steps, self._counts.steps)
        figures = {**score.figures, "step_accuracy": dataclasses.replace(main, low=low, high=high)}
        outcomes = self._counts.right_steps / self._counts.steps.mean()
        return Evaluation(dataclasses.replace(score, figures=figures), outcomes)


def _ratio_interval(right: np.ndarray, steps: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of ``sum(right) / sum(steps)``, whose samples are sequences; None for fewer than two.

    The variance is that of ``right - ratio * steps`` over the squared mean of steps and the number of sequences
    (Cochran 1977, Sampling Techniques, equation 6.13, without the finite correction).

    Args:
        right: right steps of each sequence, shape (samples,).
        steps: steps of each, likewise.
    """
    if len(right) < 2:
        return None, None
    ratio = right.sum() / steps.sum()
    apart = float((right - ratio * steps).std(ddof=1)) / float(steps.mean())
    spread = student_quantile(len(right) - 1) * apart / math.sqrt(len(right))
    return max(0.0, float(ratio) - spread), min(1.0, float(ratio) + spread)
