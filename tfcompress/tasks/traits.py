"""What a model itself says about its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ERROR_LOSSES = (
    "MeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "Huber",
    "LogCosh",
)
"""Losses that only numbers are trained by."""

_BY_ACTIVATION = {"softmax": "categoricalcrossentropy", "sigmoid": "binarycrossentropy"}


@dataclass(frozen=True)
class StepMask:
    """How a model tells the steps of a sequence that it does not look at.

    Attributes:
        input: whose values tell; None: the model masks steps of this output by another rule.
        value: steps at which that input holds nothing else are masked.
    """

    input: str | None
    value: float = 0.0

    def masked(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return which steps are masked, bool, (samples, steps); None where the rule is not known.

        Args:
            inputs: of the model, by name, (samples, steps, ...) each.
        """
        if self.input is None:
            return None
        x = inputs[self.input]
        held: np.ndarray = (x == self.value).reshape(*x.shape[:2], -1).all(axis=-1)
        return held


@dataclass(frozen=True, kw_only=True)
class OutputTraits:
    """What a model says about one of its outputs.

    Attributes:
        activation: of its last layer, in small letters; None where that is not known.
        loss: the class of Keras's that it was compiled with; None: it was not, or with one that is not Keras's.
        loss_settings: that loss's settings which are not its defaults: ``label_smoothing``, ``delta``, ….
        weight: of its loss among those of several outputs.
        metrics: classes of Keras's that it was compiled with, made with their defaults.
        unknown: what it was compiled with that is not Keras's, by name.
        mask: how the model tells steps that it masks; None: the output has no mask.
    """

    activation: str | None = None
    loss: str | None = None
    loss_settings: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0
    metrics: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    mask: StepMask | None = None

    @property
    def telling_loss(self) -> str | None:
        """The loss as :meth:`tfcompress.tasks.task.Task.trained_by` takes it, where it decides between tasks."""
        telling = self.loss is not None and (self.loss in ERROR_LOSSES or self.loss.endswith("entropy"))
        return self.loss.lower() if self.loss is not None and telling else None

    @property
    def answering_loss(self) -> str | None:
        """The cross-entropy that trains the output, in the same form: the compiled one, else that of its activation.

        None where neither says that the output answers a question and gives no numbers.
        """
        telling = self.telling_loss
        if telling is not None and "entropy" in telling:
            return telling
        return _BY_ACTIVATION.get(self.activation or "")

    @property
    def gives_shares(self) -> bool:
        """Whether the output's own numbers lie in [0, 1], and no cross-entropy says what for."""
        return self.activation == "sigmoid" and "entropy" not in (self.telling_loss or "")


NO_TRAITS = OutputTraits()
"""Nothing is known."""
