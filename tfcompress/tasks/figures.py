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
        "mean_iou": FigureKind("mean IoU", "mean intersection over union"),
        "mae": FigureKind("MAE", "mean absolute error", LABEL, "lower"),
        "rmse": FigureKind("RMSE", "root mean square error", LABEL, "lower"),
    }
)
"""By the name that edge_runner gives them, in the order in which one is the main figure of a task not known here."""


def figure_kind(figure: str) -> FigureKind:
    """Return what is known of a figure; of one that is not in the table, its name."""
    return FIGURES.get(figure) or FigureKind(figure, figure)
