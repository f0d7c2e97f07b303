"""The figures that a score may hold: what each is called, its unit, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Better = Literal["higher", "lower"]

FRACTION, AREA, LABEL, NUMBER = "fraction", "area", "label", "number"
"""Units: a part of a whole (written in percent), an area under a curve, the unit of the labels, and none."""


@dataclass(frozen=True)
class FigureKind:
    """What is true of a figure whatever its value.

    Attributes:
        title: what tables call it.
        meaning: the same in full.
        unit: :data:`FRACTION`, :data:`AREA`, :data:`LABEL` or :data:`NUMBER`.
        better: which way is better.
    """

    title: str
    meaning: str
    unit: str = FRACTION
    better: Better = "higher"


FIGURES: Mapping[str, FigureKind] = MappingProxyType(
    {
        "top1": FigureKind("accuracy", "accuracy"),
        "top5": FigureKind("top-5", "the label among the five highest outputs"),
        "auc": FigureKind("AUC", "area under the ROC curve", AREA),
        "f1": FigureKind("F1", "harmonic mean of precision and recall of the answer 1"),
        "tuned_top1": FigureKind("tuned accuracy", "accuracy at the threshold that suits the training split best"),
        "macro_f1": FigureKind("macro F1", "mean over classes of each one's F1"),
        "micro_f1": FigureKind("micro F1", "F1 of all tags together"),
        "mean_ap": FigureKind("mAP", "mean over the tags of the average precision", AREA),
        "mean_iou": FigureKind("mean IoU", "mean intersection over union"),
        "step_accuracy": FigureKind("accuracy by step", "steps that are right"),
        "perplexity": FigureKind("perplexity", "exp of the mean cross-entropy", NUMBER, "lower"),
        "partial_auc": FigureKind(
            "partial AUC", "area under the ROC curve up to 10 % false alarms, standardized", AREA
        ),
        "verification_auc": FigureKind("verification AUC", "area under the ROC curve of judging pairs", AREA),
        "recall_at_1": FigureKind("recall@1", "samples whose nearest neighbour is of their identity"),
        "cosine_agreement": FigureKind(
            "cosine agreement", "mean cosine between its vectors and the float file's", NUMBER
        ),
        "mse": FigureKind("MSE", "mean squared error", NUMBER, "lower"),
        "pixel_accuracy": FigureKind("pixel accuracy", "share of the pixels that are right"),
        "calibration_error": FigureKind("calibration error", "expected calibration error, 15 bins", FRACTION, "lower"),
        "mae": FigureKind("MAE", "mean absolute error", LABEL, "lower"),
        "rmse": FigureKind("RMSE", "root mean square error", LABEL, "lower"),
        "r2": FigureKind("R²", "share of the labels' variance that is explained", NUMBER),
        "largest_error": FigureKind("largest error", "largest absolute error of a single value", LABEL, "lower"),
        "distinct": FigureKind("different values", "different values of the channel that gives the fewest", NUMBER),
    }
)
"""By the name that edge_runner gives them, in the order in which one is the main figure of a task not known here."""


def figure_kind(figure: str) -> FigureKind:
    """Return what is known of a figure; of one that is not in the table, its name."""
    return FIGURES.get(figure) or FigureKind(figure, figure)
