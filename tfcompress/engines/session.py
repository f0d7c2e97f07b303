"""What an engine is, and which there are.

An engine is a module with a name, the Keras it works on, and ``open_session``; a technique never asks which one runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast

from tfcompress.errors import UsageError
from tfcompress.models.samples import Samples
from tfcompress.recipe import Stage
from tfcompress.weights.promises import Promise


class Session(Protocol):
    """Stages at work on a copy of one model.

    Attributes:
        model: the trainable model, of the engine's Keras.
        notes: sentences for the report: what was left as it is, and why.
    """

    model: Any
    notes: list[str]

    @property
    def needs_steps(self) -> bool:
        """Whether :meth:`after_step_` has anything to do."""

    @property
    def unfinished(self) -> bool:
        """Whether a schedule is not over yet that early stopping must not cut short."""

    def plan_(self, *, epochs: int, steps_per_epoch: int, done_steps: int = 0) -> None:
        """Lay schedules over a training of so many steps; raises UsageError where one does not fit.

        *done_steps* were done by a training that was killed; the model has its weights.
        """

    def after_step_(self) -> None:
        """Do what falls due after a training step."""

    def after_training_(self) -> None:
        """Do what falls due after the last step of a ``fit``, when Keras has put averaged weights in, if asked to."""

    def promises(self) -> list[Promise]:
        """Compare every kernel as it is now with what was asked."""

    def finish(self) -> tuple[Any, list[Promise]]:
        """Return a finished model apart from the one under training, and its promises (all of them kept)."""


class Engine(Protocol):
    """A module that does the work of stages."""

    NAME: str
    KERAS: Literal["keras2", "keras3"]

    def open_session(
        self,
        model: Any,
        stages: Sequence[Stage],
        *,
        seed: int,
        samples: Samples | None = None,
        teacher: Any | None = None,
    ) -> Session:
        """Prepare *stages* on a copy of *model*, or refuse them; *teacher* is for distillation (None: *model*)."""


ENGINES = {"native": "tfcompress.engines.native", "tfmot": "tfcompress.engines.tfmot.engine"}
"""Name -> module, imported when it is first used."""

OWN = {"keras2": "tfmot", "keras3": "native"}
"""The engine that works on each Keras: what ``auto`` stands for."""


def engine_for(stages: Sequence[Stage], keras: str) -> Engine:
    """Return the engine that all *stages* ask for; for ``auto`` the one that works on the model's own Keras.

    Args:
        stages: what is to be done.
        keras: ``keras2`` or ``keras3``: whose model it is.

    Raises:
        UsageError: they ask for different ones, or for one that cannot do it.
    """
    asked = {stage.engine for stage in stages if stage.engine != "auto"}
    if len(asked) > 1:
        msg = f"stages that train together must have one engine, got {', '.join(map(repr, sorted(asked)))}"
        raise UsageError(msg)
    name = next(iter(asked), OWN[keras])
    lacking = next((stage for stage in stages if name == "tfmot" and stage.needs_native), None)
    if lacking:
        msg = (
            f"{lacking.kind} with these settings needs the native engine, which works on Keras 3 models; "
            "load the model with Keras 3 (tfcompress.load_model(PATH).keras3)"
        )
        raise UsageError(msg)
    return cast("Engine", importlib.import_module(ENGINES[name]))
