"""What a model itself says about its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ERROR_LOSSES = (
    "MeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "Huber",
    "LogCosh",
)
"""Losses that only numbers are trained by."""


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
    """

    activation: str | None = None
    loss: str | None = None
    loss_settings: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0
    metrics: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def telling_loss(self) -> str | None:
        """The loss as :meth:`tfcompress.tasks.task.Task.trained_by` takes it, where it decides between tasks."""
        telling = self.loss is not None and (self.loss in ERROR_LOSSES or self.loss.endswith("entropy"))
        return self.loss.lower() if self.loss is not None and telling else None


NO_TRAITS = OutputTraits()
"""Nothing is known."""
