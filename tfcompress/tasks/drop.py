"""What a model loses against another one, in points: one number that means something for every figure.

A **point** is a hundredth of the figure where that lies in 0 .. 1 (a percentage point of accuracy, 0.01 of an area
under a curve), and one percent of the first model's figure where it has a unit of its own or none (a mean absolute
error, a perplexity). A drop is positive where the second model is worse, whichever way is better for the figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfcompress.tasks.figures import AREA, FRACTION, figure_kind
from tfcompress.tasks.score import Difference, Score

HUNDRED = 100.0
"""Points of a whole."""


@dataclass(frozen=True)
class Drop:
    """What is lost.

    Attributes:
        figure: by which figure.
        points: the drop on the samples that were scored; below 0: a gain.
        low: lower end of its 95 % interval, in points.
        high: upper end.
        point: what a point is, in words.
    """

    figure: str
    points: float
    low: float
    high: float
    point: str

    @property
    def bound(self) -> float:
        """What it is at most, in points: the upper end, or what was measured, should that lie beyond.

        (A figure of all samples together, such as the mean IoU, need not be the mean of the samples' own.)
        """
        return max(self.high, self.points)


def drop_of(found: Difference, before: Score) -> Drop | str:
    """Return a difference as a drop, or in half a sentence why that means nothing.

    Args:
        found: second model minus first, on the same samples.
        before: the first model's score.
    """
    scale = _scale(found.unit, before)
    if scale is None:
        value = before.main_figure.value or 0
        return f"{found.figure} of the float model is {value:g}, and a percentage of that means nothing"
    if found.low is None or found.high is None or not math.isfinite(found.high - found.low):
        return f"the difference of two models in {found.figure} has no interval on these samples"
    ends = [scale * end if found.better == "lower" else -scale * end for end in (found.low, found.high)]
    value = scale * found.value if found.better == "lower" else -scale * found.value
    return Drop(found.figure, value + 0.0, min(ends), max(ends), point_of(found.figure, found.unit, before))


def points_lost(before: Score, after: Score) -> float | None:
    """Return how many points a score lies below another one, in its worst output; None where that means nothing.

    Args:
        before: the first model's score.
        after: the second one's, of the same figure and outputs.
    """
    if before.outputs and before.outputs.keys() == after.outputs.keys():
        each = [points_lost(score, after.outputs[name]) for name, score in before.outputs.items()]
        known = [points for points in each if points is not None]
        return max(known) if len(known) == len(each) else None
    scale, one, two = _scale(before.main_figure.unit, before), before.main_figure.merit, after.main_figure.merit
    if before.main != after.main or scale is None or one is None or two is None:
        return None
    return scale * (one - two) + 0.0


def nothing_lost(score: Score) -> Drop:
    """Return the drop of a file that is the float file itself."""
    return Drop(score.main, 0.0, 0.0, 0.0, point_of(score.main, score.main_figure.unit, score))


def point_of(figure: str, unit: str, before: Score) -> str:
    """Say what points of a figure are: ``percentage points of accuracy``, ``% of float's MAE of 1.33``."""
    title = figure_kind(figure).title
    if unit == FRACTION:
        return f"percentage points of {title}"
    return f"hundredths of {title}" if unit == AREA else f"% of float's {title} of {before.main_figure.value or 0:.3g}"


def _scale(unit: str, before: Score) -> float | None:
    """Return how many points one is in the unit of the figure; None where a percentage of the figure means nothing."""
    if unit in (FRACTION, AREA):
        return HUNDRED
    value = before.main_figure.value
    return HUNDRED / abs(value) if value else None
