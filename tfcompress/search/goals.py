"""What a search makes smaller, and the limits that a file must keep: all figures here are the better the lower."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tfcompress.errors import UsageError
from tfcompress.reports import wording

Figures = Mapping[str, float]
"""What is known of a file, by the names of goals."""


@dataclass(frozen=True)
class Goal:
    """One figure that is made smaller.

    Attributes:
        name: in storages and JSON.
        title: what tables call it.
        unit: ``points``, ``bytes``, ``ms`` or ``joules``.
        gain: the field of :class:`~tfcompress.stages.stage.Gains` that says what helps; empty: nothing does, it is
            what the others cost.
        flag: what limits it on the command line.
    """

    name: str
    title: str
    unit: Literal["points", "bytes", "ms", "joules"]
    gain: str
    flag: str

    def text(self, value: float | None) -> str:
        """Return a value as people read it."""
        return wording.of_unit(value, self.unit)


GOALS: dict[str, Goal] = {
    goal.name: goal
    for goal in (
        Goal("drop", "drop", "points", "", "--max-drop"),
        Goal("size", "file", "bytes", "file", "--max-size"),
        Goal("download", "download", "bytes", "download", "--max-download"),
        Goal("flash", "flash", "bytes", "file", "--max-flash"),
        Goal("arena", "arena", "bytes", "latency", "--max-arena"),  # smaller tensors: what makes them, computes less
        Goal("p90", "p90", "ms", "latency", "--max-p90"),
        Goal("energy", "energy", "joules", "latency", "--max-energy"),
    )
}
"""Every goal by its name, in the order of tables."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the file must keep; None: it need not.

    Attributes:
        drop: points that it may lose against float, proven on the test split.
        size: bytes of the file.
        download: bytes of the file after gzip.
        flash: bytes that a microcontroller keeps: of the file, the one with look-up tables where that was asked for,
            the streaming one, or what Vela compiled.
        arena: bytes of the tensor arena there (for an Ethos-U, of the memory that Vela estimates).
        p90: milliseconds that nine of ten inferences take at most, on the device.
        energy: joules of an inference above idle, on the device.
    """

    drop: float | None = None
    size: float | None = None
    download: float | None = None
    flash: float | None = None
    arena: float | None = None
    p90: float | None = None
    energy: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep."""
        for name, limit in self.given.items():
            if not 0 < limit < math.inf:
                msg = f"{GOALS[name].flag} must be above 0, got {limit:g}"
                raise UsageError(msg)

    @property
    def given(self) -> dict[str, float]:
        """The limits that there are, by the goal's name."""
        found = {name: getattr(self, name) for name in GOALS}
        return {name: limit for name, limit in found.items() if limit is not None}

    def excess(self, figures: Figures) -> dict[str, float]:
        """Return by how much each known figure is above its limit, in parts of the limit; kept: at most 0."""
        return {name: figures[name] / limit - 1.0 for name, limit in self.given.items() if name in figures}

    def kept_by(self, figures: Figures) -> bool:
        """Say whether figures keep every limit; one that is not known keeps none."""
        excess = self.excess(figures)
        return len(excess) == len(self.given) and all(each <= 0 for each in excess.values())

    def violation(self, figures: Figures) -> float:
        """Return how far figures are from keeping all limits: the sum of what is in excess."""
        return sum(max(0.0, each) for each in self.excess(figures).values())


def goals_of(limits: Limits, *, smaller: Literal["size", "download"], known: Collection[str] = ()) -> tuple[Goal, ...]:
    """Return what a search makes smaller.

    Args:
        limits: a figure that is limited is one, too.
        smaller: which bytes count.
        known: names of further goals that are measured: on a device, or by a microcontroller's interpreter.
    """
    names = {"drop", smaller, *limits.given, *known}
    return tuple(goal for goal in GOALS.values() if goal.name in names)


def preference(limits: Limits, goals: Sequence[Goal]) -> Goal:
    """Return the goal that decides among files that keep all limits: the first one without a limit.

    The drop comes first, since the smallest file of all answers nothing right; then bytes of the file, and what is
    measured. Where everything is limited, bytes decide.
    """
    ordered = sorted(goals, key=lambda goal: goal.name not in ("size", "download"))
    unlimited = sorted(ordered, key=lambda goal: goal.name != "drop")
    return next((goal for goal in unlimited if goal.name not in limits.given), ordered[0])
