"""What stages mean together, one after the other: in a recipe, and in a job."""

from __future__ import annotations

from collections.abc import Sequence

from tfcompress.errors import UsageError
from tfcompress.stages.stage import RewritingStage, Stage


def check_sequence(stages: Sequence[Stage], where: str, error: type[UsageError]) -> None:
    """Check that stages can be meant in this order.

    Rewriting stages do their work one after the other, in the order given; then everything that trains trains at once.

    Args:
        stages: in the order given.
        where: how the message calls what holds them, with its verb: ``recipe.stages must hold``.
        error: the class of what is raised.

    Raises:
        UsageError: a kind that stands there twice, a rewriting stage behind one that trains or before one whose
            network has nothing of it, or rewriting stages that want different numbers of turns.
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
    _check_turns([stage for stage in stages if isinstance(stage, RewritingStage)], where, error)


def _check_turns(stages: Sequence[RewritingStage], where: str, error: type[UsageError]) -> None:
    for stage in stages[1:]:
        if stage.builds:
            first = stages[0].kind
            msg = (
                f"{where} {stage.kind} before {first}: its network takes nothing from the one that {first} made; "
                f"got {stage.kind} after {first}"
            )
            raise error(msg)
    for name in ("cycles", "tune_epochs"):
        asked = {stage.kind: getattr(stage, name) for stage in stages}
        if len(set(asked.values())) > 1:
            got = ", ".join(f"{kind}.{name} {number}" for kind, number in asked.items())
            msg = f"stages that rewrite the model go in turns and must have the same {name}, got {got}"
            raise error(msg)


def learning_rate_of(stages: Sequence[Stage]) -> float | None:
    """Return the learning rate of a recipe that gives none: the highest of its stages'; None without stages."""
    return max((stage.default_rate for stage in stages), default=None)
