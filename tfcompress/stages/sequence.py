"""What stages mean together, one after the other: in a recipe, and in a job."""

from __future__ import annotations

from collections.abc import Sequence

from tfcompress.errors import UsageError
from tfcompress.stages.stage import Stage


def check_sequence(stages: Sequence[Stage], where: str, error: type[UsageError]) -> None:
    """Check that stages can be meant in this order.

    Rewriting stages do their work one after the other, in the order given; then everything that trains trains at once.

    Args:
        stages: in the order given.
        where: how the message calls what holds them, with its verb: ``recipe.stages must hold``.
        error: the class of what is raised.

    Raises:
        UsageError: a kind that stands there twice, or a rewriting stage behind one that trains.
    """
    kinds = [stage.kind for stage in stages]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice:
        msg = f"{where} each kind at most once, got {twice!r} twice"
        raise error(msg)
    training: Stage | None = None
    for stage in stages:
        if stage.phase == "train":
            training = stage
        elif training is not None:
            msg = (
                f"{where} {stage.kind} before {training.kind}: {stage.kind} gives another model before the training, "
                f"and {training.kind} works while that one trains; got {' after '.join((stage.kind, training.kind))}"
            )
            raise error(msg)


def learning_rate_of(stages: Sequence[Stage]) -> float | None:
    """Return the learning rate of a recipe that gives none: the highest of its stages'; None without stages."""
    return max((stage.default_rate for stage in stages), default=None)
