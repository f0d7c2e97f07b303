"""What a rewriting stage is given beside the model, and what it gives back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tfcompress.progress import SILENT, Progress

if TYPE_CHECKING:
    from tfcompress.models.samples import Samples
    from tfcompress.stages.stage import RewritingStage


_Choice = TypeVar("_Choice")

NEAR = 0.02
"""What is left may differ from what was asked by this share of the whole: nobody looks further, and nothing is said."""

LATENCY_ROUNDS = 6
"""Smaller models that are measured on the way to a latency, at most."""


@dataclass(frozen=True, kw_only=True)
class RewritingContext:
    """What a rewriting stage may use.

    Attributes:
        samples: representative training data; None: there is none.
        original: the model that the stage was given in the first cycle; None: the one that is rewritten.
        left: of what the stage shrinks, the share that its own earlier cycles left; what others took in between is not
            its to count.
        latency_ratio: from two Keras models to the second one's latency over the first one's, measured side by side;
            None: no latency can be measured.
        cache: folder that keeps what is dear to find out; None: nothing is kept.
        seed: of everything random.
        progress: where progress goes.
    """

    samples: Samples | None = None
    original: Any | None = None
    left: float = 1.0
    latency_ratio: Callable[[Any, Any], float] | None = None
    cache: Path | None = None
    seed: int = 0
    progress: Progress = SILENT


@dataclass(frozen=True)
class Rewritten:
    """What became of a model.

    Attributes:
        model: the new model, not compiled; the given one is as it was.
        notes: sentences for the report.
        left: of what the stage shrinks, the share that this cycle and its earlier ones left; 1 where nothing counts it.
    """

    model: Any
    notes: tuple[str, ...] = ()
    left: float = 1.0


def apply_rewriting(model: Any, stage: RewritingStage, context: RewritingContext) -> Rewritten:
    """Do what a rewriting stage asks for, by the function that its class names.

    Args:
        model: a Keras 3 model; it stays as it is.
        stage: what is asked.
        context: what it may use.

    Raises:
        TfcompressError: what the stage's own function raises.
    """
    implementation: Callable[[Any, RewritingStage, RewritingContext], Rewritten] = _named(stage.implementation)
    return implementation(model, stage, context)


def prepare_training_(model: Any, stage: RewritingStage, tell: Callable[[str], None]) -> list[Any]:
    """Make a model ready for a training that is followed by a part of a stage, by the function that its class names.

    Args:
        model: the Keras 3 model that is trained; how it trains is changed.
        stage: what asks for it (:attr:`~tfcompress.stages.stage.RewritingStage.preparation`).
        tell: takes sentences for the report.

    Returns:
        Callbacks for ``fit``.

    Raises:
        TfcompressError: what the stage's own function raises.
    """
    prepare: Callable[[Any, RewritingStage, Callable[[str], None]], list[Any]] = _named(stage.prepares)
    return prepare(model, stage, tell)


def check_rewritable(model: Any, stage: RewritingStage) -> None:
    """Refuse what a stage cannot do to a model, as far as a look at the model shows that.

    Args:
        model: a functional or sequential Keras 3 model.
        stage: what would be asked.

    Raises:
        UnsupportedError: there is nothing of the kind in the model.
        UsageError: there is less of it than is asked for.
    """
    if stage.checks:
        check: Callable[[Any, RewritingStage], None] = _named(stage.checks)
        check(model, stage)


def _named(place: str) -> Any:
    """Return what ``module:function`` names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def bisected(
    at: Callable[[float], tuple[_Choice, float]], first: _Choice, *, goal: float, kept_at: float, missed_at: float
) -> _Choice:
    """Find by bisection the choice that loses least and keeps a latency.

    Args:
        at: from a share of the costs to what is chosen there and its latency in that of the whole.
        first: what is chosen at *kept_at*.
        goal: the latency that is to be kept.
        kept_at: a share where it is.
        missed_at: one where it need not be.

    Returns:
        The last choice that kept it, after :data:`LATENCY_ROUNDS` measurements, or fewer where one came :data:`NEAR`.
    """
    best = first
    for _ in range(LATENCY_ROUNDS):
        middle = (kept_at + missed_at) / 2.0
        choice, latency = at(middle)
        if latency <= goal:
            best, kept_at = choice, middle
        else:
            missed_at = middle
        if abs(latency - goal) <= NEAR / 2.0:
            break
    return best
