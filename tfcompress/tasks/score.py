"""How well a model does, as frozen values: a figure, the score it belongs to, and the difference of two scores.

Nothing here imports numpy: scores are read from reports and printed on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tfcompress.tasks.figures import FRACTION, Better

DifferenceVerdict = Literal["better", "worse", "same", "cannot tell"]
"""Of a paired test: a significant difference, one that is too small to matter, or too few samples to say."""

SIGNIFICANT = 0.05
"""A p-value below this is called a significant difference."""


@dataclass(frozen=True)
class Figure:
    """One number about a model.

    Attributes:
        value: the number; None where it could not be computed.
        low: lower end of its 95 % interval; None where it has none.
        high: upper end.
        unit: see :mod:`tfcompress.tasks.figures`.
        better: which way is better.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = FRACTION
    better: Better = "higher"

    @property
    def merit(self) -> float | None:
        """The value, with its sign turned where lower is better."""
        return self.value if self.value is None or self.better == "higher" else -self.value

    def beats(self, level: float) -> bool | None:
        """Tell whether the figure is better than *level*: with its whole interval where it has one; None without."""
        end = self.low if self.better == "higher" else self.high
        known = self.value if end is None else end
        if known is None:
            return None
        return known > level if self.better == "higher" else known < level


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a model does on a data split; of several scored outputs, the figures of the first.

    Attributes:
        task: what the labels are, see :data:`tfcompress.tasks.task_table.TASKS`.
        samples: how many were scored.
        main: which of *figures* is compared.
        figures: by name, see :data:`tfcompress.tasks.figures.FIGURES`.
        per_class: fraction right of each class's samples, by class number; classes without samples are not there.
        confusion: which class was taken for which most often: ``(class, taken for, how often)``, most often first.
        chance: the main figure of the best constant prediction; None where it is not known.
        outputs: the score of each output that was scored, by name, the main one first; empty for a model with one
            output.
    """

    task: str
    samples: int
    main: str
    figures: Mapping[str, Figure]
    per_class: Mapping[str, float] = field(default_factory=dict)
    confusion: tuple[tuple[int, int, int], ...] = ()
    chance: float | None = None
    outputs: Mapping[str, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a main figure that is not there."""
        if self.main not in self.figures:
            msg = f"main must be one of {', '.join(self.figures) or 'no figures'}, got {self.main!r}"
            raise ValueError(msg)

    def __repr__(self) -> str:
        """Say in a line how well: ``Score(classification, 2,000 samples: top1 0.929, top5 0.999)``."""
        known = (f"{name} {figure.value:.4g}" for name, figure in self.figures.items() if figure.value is not None)
        return f"Score({self.task}, {self.samples:,} samples: {', '.join(known)})"

    @property
    def main_figure(self) -> Figure:
        """The figure that is compared."""
        return self.figures[self.main]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The main figure of one model minus that of another on the same samples.

    Attributes:
        figure: its name.
        value: the difference, in *unit*.
        unit: see :mod:`tfcompress.tasks.figures`.
        better: which way is better.
        low: lower end of the 95 % interval of the difference; None where it was not computed.
        high: upper end.
        p: probability of a difference at least like that between equally good models; None where it was not tested.
        test: what was tested with: ``McNemar``, ``paired t``; empty where nothing was.
        verdict: None where nothing was tested.
    """

    figure: str
    value: float
    unit: str = FRACTION
    better: Better = "higher"
    low: float | None = None
    high: float | None = None
    p: float | None = None
    test: str = ""
    verdict: DifferenceVerdict | None = None

    @property
    def gain(self) -> bool:
        """Whether the difference is one for the better."""
        return (self.value > 0) == (self.better == "higher")


def untested(before: Score | None, after: Score | None) -> Difference | None:
    """Return how the main figures of two scores differ, without a verdict; None unless both have the same one."""
    if before is None or after is None or before.main != after.main:
        return None
    one, two = before.main_figure, after.main_figure
    if one.value is None or two.value is None:
        return None
    return Difference(figure=before.main, value=two.value - one.value, unit=one.unit, better=one.better)
