"""The engine that works on Keras 3 models with nothing but Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.recipe import Prune, Stage
from tfcompress.techniques.batch_norm import Momentum
from tfcompress.techniques.engine import Samples
from tfcompress.techniques.native import prune as pruning
from tfcompress.techniques.native.copies import check_graph, copied, layers_with_kernels
from tfcompress.techniques.native.criteria import BATCHES, LossSensitivity
from tfcompress.techniques.promises import GROUPS, Promise
from tfcompress.techniques.promises import check as check_promises
from tfcompress.techniques.schedule import Plan, plan

NAME = "native"

KERAS = "keras3"
"""The Keras whose models :func:`open_session` takes."""


class NativeSession:
    """Stages at work on one Keras 3 model; see :class:`tfcompress.techniques.engine.Session`.

    Attributes:
        model: the trainable Keras 3 model.
        notes: what was left as it is and why, and what became of the schedule.
    """

    def __init__(self, model: Any, stages: Sequence[Stage], seed: int, samples: Samples | None) -> None:
        """Prepare the stages on a copy of *model*; see :func:`open_session`."""
        asked = {stage.kind: stage for stage in stages}
        check_graph(model)
        self.notes: list[str] = []
        self._plan: Plan | None = None
        self._base = copied(model)
        self.model = self._base
        self._pruning = self._to_prune(asked.get("prune"), samples)
        self._momentum = Momentum(self.model._flatten_layers())

    def _to_prune(self, stage: Stage | None, samples: Samples | None) -> pruning.Pruning | None:
        if not isinstance(stage, Prune):
            return None
        chosen = pruning.choice(stage, layers_with_kernels(self._base))
        self.notes += chosen.notes
        slots = [slot for path, layer in chosen.layers.items() for slot in pruning.prunable(stage, path, layer)]
        by_loss = stage.criterion in BATCHES
        sensitivities = LossSensitivity(stage.criterion, self.model, samples) if by_loss else None
        return pruning.Pruning(stage, slots, sensitivities)

    @property
    def needs_steps(self) -> bool:
        """Whether :meth:`after_step_` has anything to do."""
        return self._pruning is not None

    @property
    def unfinished(self) -> bool:
        """Whether a schedule is not over yet, so that the training should not be stopped early."""
        return self._pruning is not None and not self._pruning.over

    def plan_(self, *, epochs: int, steps_per_epoch: int, done_steps: int = 0) -> None:
        """Lay schedules over a training, *done_steps* of whose steps are behind it.

        Raises:
            UsageError: the schedule does not fit into the training.
        """
        if self._pruning is None:
            return
        stage = self._pruning.stage
        made = plan(stage, epochs=epochs, steps_per_epoch=steps_per_epoch)
        if stage.frequency not in (made.frequency, Prune.frequency) and stage.pattern not in GROUPS:
            often = f"every {made.frequency} steps, not {stage.frequency}"
            self._note(f"prune updates its masks {often}: the training has {made.total} steps")
        self._momentum.shorten_(made.total)
        self._pruning.plan_(made, done_steps)

    def after_step_(self) -> None:
        """Update masks where it is their turn."""
        steps = int(getattr(self.model, "steps_per_execution", 1) or 1)
        if self._pruning is not None:
            self._pruning.after_step_(steps)

    def promises(self) -> list[Promise]:
        """Compare every kernel as it is now with what was asked."""
        return self._pruning.promises(self._pruning.current()) if self._pruning else []

    def finish(self) -> tuple[Any, list[Promise]]:
        """Return a finished model, apart from the one under training, and its promises.

        Raises:
            ContractError: a promise is broken.
        """
        self._note_unfinished()
        values: dict[int, np.ndarray] = {}
        promises: list[Promise] = []
        if self._pruning:
            final = self._pruning.final()
            values = {id(slot.variable): value for slot, value in zip(self._pruning.slots, final, strict=True)}
            promises = self._pruning.promises(final)
        check_promises(promises)
        with self._momentum.given_back():
            return _finished(self._base, values), promises

    def _note_unfinished(self) -> None:
        if self._pruning is None or self._pruning.over:
            return
        made = self._pruning.plan
        end = f"step {made.end} of the schedule" if made else "a schedule was set"
        done = self._pruning.done
        self._note(f"training stopped at step {done}, before {end}: the rest was pruned without training after it")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _finished(model: Any, values: dict[int, np.ndarray]) -> Any:
    """Return a copy of *model* with other values for some variables, by their id."""
    new = copied(model)
    for old, variable in zip(model.variables, new.variables, strict=True):
        if id(old) in values:
            variable.assign(values[id(old)])
    return new


def open_session(
    model: Any,
    stages: Sequence[Stage],
    *,
    seed: int,
    samples: Samples | None = None,
    teacher: Any | None = None,
) -> NativeSession:
    """Prepare *stages* on a copy of a Keras 3 model.

    Args:
        model: functional or Sequential, built; never changed.
        stages: at most one of each kind.
        seed: seed of the initial centroids.
        samples: training data for criteria by gradient and for activation ranges.
        teacher: the model to learn from, where there is a distill stage; None: *model* as it is.

    Raises:
        ModelError: the model was never built.
        UsageError: a scope that matches nothing, or a criterion without the samples that it needs.
        UnsupportedError: the model is subclassed, or layers of it cannot be worked on; they are named.
    """
    del teacher
    return NativeSession(model, stages, seed, samples)
