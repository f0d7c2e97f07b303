"""Figures besides a task's own: metrics of Keras by name, and functions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tfcompress.errors import DataError, UsageError, nearest
from tfcompress.references import imported
from tfcompress.tasks.figures import AREA, FIGURES, FRACTION, LABEL, NUMBER, FigureKind
from tfcompress.tasks.label_form import Shape, shapes_match, without_ones

if TYPE_CHECKING:
    import numpy as np

Wants = Literal["anything", "values", "probabilities", "classes"]
"""What a metric compares: anything; outputs and labels of one shape; the same, the outputs in [0, 1]; class numbers and
the probability of each class."""


@dataclass(frozen=True)
class Metric:
    """A figure of outputs and labels.

    Attributes:
        name: what scores call it.
        kind: what is known of it.
        wants: what it compares.
        function: from all outputs and labels, (samples, ...) each, to a number; None: the metric of Keras of that name.
    """

    name: str
    kind: FigureKind
    wants: Wants = "anything"
    function: Callable[[np.ndarray, np.ndarray], float] | None = None

    def suits(self, labels: Shape, output: Shape, activation: str | None) -> bool:
        """Tell whether the metric can compare outputs that end in *activation*; see :meth:`check_shapes`."""
        try:
            self.check_shapes(labels, output, "")
        except DataError:
            return False
        return self.wants in ("anything", "values") or activation in ("sigmoid", "softmax")

    def check_shapes(self, labels: Shape, output: Shape, where: str) -> None:
        """Refuse labels and outputs that the metric cannot compare.

        Args:
            labels: the shape of one sample's labels in the task's one form.
            output: the output's, without the batch axis.
            where: the output's name.

        Raises:
            DataError: saying what it compares.
        """
        same = shapes_match(without_ones(labels), without_ones(output))
        classes = bool(output) and shapes_match(without_ones(labels), without_ones(output[:-1])) and not same
        if {"anything": True, "classes": classes}.get(self.wants, same):
            return
        wanted = "class numbers with a score for each class" if self.wants == "classes" else "values of one shape"
        msg = f"--metric {self.name} compares {wanted}; output {where!r} has shape {output} and its labels {labels}"
        raise DataError(msg)


def _number(title: str, meaning: str) -> FigureKind:
    return FigureKind(title, meaning, NUMBER, "lower")


KERAS_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("Precision", FigureKind("precision", "precision at 0.5"), "probabilities"),
            Metric("Recall", FigureKind("recall", "recall at 0.5"), "probabilities"),
            Metric("AUC", FigureKind("AUC (Keras)", "area under the ROC curve, 200 thresholds", AREA), "probabilities"),
            Metric("BinaryAccuracy", FigureKind("binary accuracy", "values on the right side of 0.5"), "probabilities"),
            Metric("BinaryCrossentropy", _number("cross-entropy", "binary cross-entropy, nats"), "probabilities"),
            Metric("SparseCategoricalCrossentropy", _number("cross-entropy", "cross-entropy, nats"), "classes"),
            Metric("KLDivergence", _number("KL divergence", "Kullback-Leibler divergence, nats"), "probabilities"),
            Metric("MeanSquaredError", _number("MSE", "mean square error"), "values"),
            Metric("MeanAbsolutePercentageError", _number("MAPE", "mean absolute error, % of the label"), "values"),
            Metric("MeanSquaredLogarithmicError", _number("MSLE", "mean square error of logarithms"), "values"),
            Metric("LogCoshError", FigureKind("log-cosh", "mean log-cosh of the error", LABEL, "lower"), "values"),
            Metric("CosineSimilarity", FigureKind("cosine", "mean cosine similarity", NUMBER), "values"),
        )
    }
)
"""By the name of the class in ``keras.metrics``, which is made with its defaults."""

FUNCTION_UNITS = (FRACTION, AREA, LABEL, NUMBER)
"""What a function may say its figure's ``unit`` is; :data:`NUMBER` where it says nothing."""


def metric_of(said: Any) -> Metric:
    """Return the metric that a name stands for, or a function.

    A function's figure is called by the function's name. Its attributes ``better`` (``"higher"`` or ``"lower"``;
    default: higher) and ``unit`` (one of :data:`FUNCTION_UNITS`) say more.

    Args:
        said: a name of :data:`KERAS_METRICS`, ``module:function``, or a function of outputs and labels.

    Raises:
        UsageError: there is no such metric, or it is no function.
    """
    if isinstance(said, str) and said in KERAS_METRICS:
        return KERAS_METRICS[said]
    if isinstance(said, str) and ":" not in said:
        known = [*KERAS_METRICS, *FIGURES]
        hint = (
            ", which the task reports anyway where it has it; --main-metric makes it the main one"
            if said in FIGURES
            else nearest(said, known)
        )
        msg = f"--metric must be one of {', '.join(KERAS_METRICS)}, or module:function, got {said!r}{hint}"
        raise UsageError(msg)
    function = imported(said, "--metric") if isinstance(said, str) else said
    name = getattr(function, "__name__", type(function).__name__)
    better: Any = getattr(function, "better", "higher")
    unit = getattr(function, "unit", NUMBER)
    if not callable(function) or better not in ("higher", "lower") or unit not in FUNCTION_UNITS:
        msg = (
            f"--metric {said!r} must be a function of outputs and labels; its attribute better may be 'higher' or "
            f"'lower', unit one of {', '.join(FUNCTION_UNITS)}"
        )
        raise UsageError(msg)
    return Metric(name, FigureKind(name, name, unit, better), function=function)
