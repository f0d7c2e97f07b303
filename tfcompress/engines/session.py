"""What an engine is, and which there are.

An engine is a module with a name, the Keras it works on, and ``open_session``; a technique never asks which one runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast

import numpy as np

from tfcompress.errors import UsageError
from tfcompress.models.samples import Samples
from tfcompress.recipe import Stage
from tfcompress.weights.promises import Promise


class Session(Protocol):
    """Stages applied to a copy of one model.

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

    def state(self) -> dict[str, np.ndarray]:
        """Return what is remembered beside the model's weights, as arrays by name."""

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave; the model has its weights again by now."""

    def promises(self) -> list[Promise]:
        """Compare every kernel as it is now with what was asked."""

    def loss_terms(self) -> dict[str, float]:
        """Return the parts of the loss by name, averaged over the training steps since this was asked last.

        Empty where the loss has one part: what was compiled.
        """

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the least and largest value of each activation range as it is now, by the name of its layer."""

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
        teachers: Sequence[Any] = (),
    ) -> Session:
        """Prepare *stages* on a copy of *model*, or refuse them; *teachers* are for distillation (none: *model*)."""


ENGINES = {"native": "tfcompress.engines.native", "tfmot": "tfcompress.engines.tfmot.engine"}
"""Name -> module, imported when it is first used."""


def engines_to_try(stages: Sequence[Stage], keras: str) -> list[str]:
    """Return the names of the engines to try on a model, the first one first.

    tfmot has the first turn at what Keras 2 wrote, as long as every stage is one that it has; where it refuses the
    model, the native engine takes it, in Keras 3. Everything else is the native engine's.

    Args:
        stages: what is to be done, all in one training.
        keras: whose model it is: ``keras2``, ``keras3``, or another name where neither wrote it.

    Raises:
        UsageError: the stages ask for different engines, or for one that lacks what a stage asks for.
    """
    asked = {stage.engine for stage in stages if stage.engine != "auto"}
    if len(asked) > 1:
        msg = f"stages that train together must have one engine, got {', '.join(map(repr, sorted(asked)))}"
        raise UsageError(msg)
    lacking = next((stage for stage in stages if stage.needs_native), None)
    if "tfmot" in asked and lacking:
        raise UsageError(_needs_native(lacking))
    if asked:
        return list(asked)
    return ["native"] if lacking or keras != "keras2" else ["tfmot", "native"]


def engine_for(stages: Sequence[Stage], keras: str) -> Engine:
    """Return the engine that does the work on a model object, which stays in its Keras.

    Args:
        stages: what is to be done.
        keras: ``keras2`` or ``keras3``: whose model it is.

    Raises:
        UsageError: what :func:`engines_to_try` raises, or settings that nobody has for a tf_keras model.
    """
    name = engines_to_try(stages, keras)[0]
    lacking = next((stage for stage in stages if stage.needs_native and stage.engine == "auto"), None)
    if lacking and keras == "keras2":
        raise UsageError(_needs_native(lacking))
    return cast("Engine", importlib.import_module(ENGINES[name]))


def _needs_native(stage: Stage) -> str:
    return (
        f"{stage.kind} with these settings needs the native engine, which works on Keras 3 models; "
        "load the model with Keras 3 (tfcompress.load_model(PATH).keras3)"
    )
