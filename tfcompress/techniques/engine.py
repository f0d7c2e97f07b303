"""What an engine is, and which there are.

An engine is a module with a name, the Keras it works on, and ``open_session``; a technique never asks which one runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast

from tfcompress.errors import UsageError
from tfcompress.recipe import Stage
from tfcompress.techniques.promises import Promise


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

    def plan_(self, *, epochs: int, steps_per_epoch: int) -> None:
        """Lay schedules over a training of so many steps; raises UsageError where one does not fit."""

    def after_step_(self) -> None:
        """Do what falls due after a training step."""

    def promises(self) -> list[Promise]:
        """Compare every kernel as it is now with what was asked."""

    def finish(self) -> tuple[Any, list[Promise]]:
        """Return a finished model apart from the one under training, and its promises (all of them kept)."""


class Engine(Protocol):
    """A module that does the work of stages."""

    NAME: str
    KERAS: Literal["keras2", "keras3"]

    def open_session(self, model: Any, stages: Sequence[Stage], *, seed: int) -> Session:
        """Prepare *stages* on a copy of *model*, or refuse them."""


ENGINES = {"tfmot": "tfcompress.techniques.tfmot_engine"}
"""Name -> module, imported when it is first used."""

DEFAULT = "tfmot"
"""What ``auto`` stands for."""


def engine_for(stages: Sequence[Stage]) -> Engine:
    """Return the engine that all *stages* ask for.

    Raises:
        UsageError: they ask for different ones.
    """
    asked = {stage.engine for stage in stages if stage.engine != "auto"}
    if len(asked) > 1:
        msg = f"stages that train together must have one engine, got {', '.join(map(repr, sorted(asked)))}"
        raise UsageError(msg)
    name = next(iter(asked), DEFAULT)
    return cast("Engine", importlib.import_module(ENGINES[name]))
