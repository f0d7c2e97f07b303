"""From epochs to training steps: when masks are updated, and refusing schedules that cannot finish."""

from __future__ import annotations

from dataclasses import dataclass

from tfcompress.errors import UsageError
from tfcompress.recipe import Prune

DEFAULT_END = 0.75
"""Part of the training after which a schedule without an end is over; the rest lets the remaining weights recover."""

LEAST_UPDATES = 8
"""Updates that a gradual schedule is given, where there are enough steps for them."""


@dataclass(frozen=True)
class Plan:
    """A schedule in steps; the first training step is step 1.

    Attributes:
        begin: step of the first update.
        end: step of the last update, at which the full sparsity is reached; ``begin + n * frequency``.
        frequency: steps between two updates.
        total: steps of the whole training.
    """

    begin: int
    end: int
    frequency: int
    total: int


def plan(stage: Prune, *, epochs: int, steps_per_epoch: int) -> Plan:
    """Lay a prune stage's schedule over a training.

    The frequency is lowered where the training is too short for it: with tfmot's own 100 steps, a small data set never
    sees an update at all.

    Raises:
        UsageError: the schedule begins or ends after the training, or the training has no steps.
    """
    total = epochs * steps_per_epoch
    known = f"the training has {total} steps ({epochs} epochs of {steps_per_epoch})"
    if total < 1:
        msg = f"pruning needs at least 1 training step, but {known}; train on more"
        raise UsageError(msg)
    begin = _step("begin", stage.begin_epoch, stage.begin_step, total, steps_per_epoch, known)
    if stage.end_epoch is None and stage.end_step is None:
        end = int(DEFAULT_END * total)
        end = end if end > begin else begin + int(DEFAULT_END * (total - begin))
    else:
        end = _step("end", stage.end_epoch, stage.end_step, total, steps_per_epoch, known)
    end = max(begin, end)
    frequency = min(stage.frequency, max(1, (end - begin) // LEAST_UPDATES))
    return Plan(begin, begin + (end - begin) // frequency * frequency, frequency, total)


def _step(name: str, epoch: float | None, step: int | None, total: int, steps_per_epoch: int, known: str) -> int:
    """Return the step that an epoch or a step stands for, counted from 1."""
    found = max(1, round((epoch or 0.0) * steps_per_epoch) if step is None else step)
    if found <= total:
        return found
    where = f"epoch {epoch:g} is step {found}, but {known}" if step is None else f"got step {step}, but {known}"
    field = f"{name}_epoch" if step is None else f"{name}_step"
    msg = f"prune.{field} must lie within the training: {where}; train longer or set it lower"
    raise UsageError(msg)


def sparsity_at(stage: Prune, plan: Plan, step: int) -> float:
    """Return the sparsity asked at a step: ``s + (s0 - s) (1 - t)^p`` with t rising from 0 to 1 between begin and end.

    The formula is equation 1 of Zhu & Gupta 2017, arXiv:1710.01878 (there with power 3).
    """
    if step < plan.begin:
        return 0.0
    if stage.schedule == "constant" or step >= plan.end:
        return stage.sparsity
    done = (step - plan.begin) / (plan.end - plan.begin)
    return float(stage.sparsity + (stage.initial_sparsity - stage.sparsity) * (1 - done) ** stage.power)
