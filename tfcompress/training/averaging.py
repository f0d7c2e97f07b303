"""The moving average of the weights, beside the weights: the better of the two is kept.

Averages over the last steps lie nearer the middle of what the steps wander about (Polyak & Juditsky 1992, "Acceleration
of stochastic approximation by averaging"; exponentially, Tarvainen & Valpola 2017, arXiv:1703.01780, equation 2). The
optimizer keeps it, and Keras puts it into the model when ``fit`` ends; what it puts away for that is remembered here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SAMPLES = 2000
"""Training samples by which the two are compared where there are no validation samples."""


class LastWeights:
    """Remembers the weights after the last step of each epoch, which ``fit`` replaces by their average at its end."""

    def __init__(self) -> None:
        """Begin without any."""
        self.weights: list[np.ndarray] = []

    def callback(self, keras: Any) -> Any:
        """Return what looks at every epoch, a callback of *keras*."""
        remembered = self

        class Remember(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                remembered.weights = [np.array(weight) for weight in self.model.get_weights()]

        return Remember()


def keep_better_(model: Any, averaged: list[np.ndarray], loss: Callable[[], float], samples: str) -> str:
    """Give *model* its averaged weights where their loss is lower than that of the weights that it has.

    Args:
        model: with the weights of a step.
        averaged: the average, as ``get_weights`` gives it.
        loss: of the model as it is, on samples that are the same every time.
        samples: which ones, for the sentence.

    Returns:
        A sentence on what was kept.
    """
    own, of_steps = [np.array(weight) for weight in model.get_weights()], loss()
    model.set_weights(averaged)
    of_average = loss()
    if of_average < of_steps:
        return f"the moving average of the weights was kept: loss {of_average:.4g} on {samples}, {of_steps:.4g} without"
    model.set_weights(own)
    return f"the weights were kept, not their moving average: loss {of_steps:.4g} on {samples}, {of_average:.4g} of it"
