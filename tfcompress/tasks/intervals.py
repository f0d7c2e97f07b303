"""The interval of a main figure that is a mean over the samples."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tfcompress.tasks.paired import mean_interval
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import Evaluation

if TYPE_CHECKING:
    import numpy as np


def mean_evaluation(score: Score, outcomes: np.ndarray, highest: float = 1.0) -> Evaluation:
    """Return the evaluation of which the main figure is the mean of *outcomes*, with its 95 % interval.

    Args:
        score: its main figure gets the interval of :func:`tfcompress.tasks.paired.mean_interval`.
        outcomes: a number a sample, float, (samples,).
        highest: what the figure can be at most; at least it is 0.
    """
    low, high = mean_interval(outcomes)
    main = dataclasses.replace(
        score.main_figure,
        low=None if low is None else max(0.0, low),
        high=None if high is None else min(highest, high),
    )
    return Evaluation(dataclasses.replace(score, figures={**score.figures, score.main: main}), outcomes)
