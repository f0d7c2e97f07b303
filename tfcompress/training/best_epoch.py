"""The epoch whose weights are kept, and when a training may end early."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LOSS = "val_loss"
"""What Keras calls the loss of the validation split."""


class BestEpoch:
    """Remembers the weights of the epoch with the lowest validation loss, and how long there was no better one.

    An epoch counts only from where the schedules have ended: weights that are put back have all the zeros and clusters
    that were asked for.

    Attributes:
        epoch: the best one, from 1; None: none has counted yet.
        loss: its validation loss.
        stopped: the epoch, from 1, after which the training was ended early; None: it was not.
    """

    def __init__(self, unfinished: Callable[[], bool], *, keep: bool, patience: int | None) -> None:
        """Begin without any epoch.

        Args:
            unfinished: says whether a schedule is not over yet.
            keep: whether weights are remembered to be put back.
            patience: epochs without a lower validation loss after which training ends; None: it runs to its end.
        """
        self._unfinished, self._keep, self._patience = unfinished, keep, patience
        self.epoch: int | None = None
        self.loss = math.inf
        self.stopped: int | None = None
        self._waited = 0
        self._weights: list[np.ndarray] = []

    @property
    def idle(self) -> bool:
        """Whether nothing is to be done."""
        return not self._keep and self._patience is None

    def epoch_ends(self, model: Any, epoch: int, loss: float) -> bool:
        """Look at an epoch.

        Args:
            model: with its weights as they are now.
            epoch: its number, from 1.
            loss: of the validation split.

        Returns:
            Whether the training is to end.
        """
        if self._unfinished():
            return False
        loss = loss if math.isfinite(loss) else math.inf
        if loss < self.loss or self.epoch is None:
            self.epoch, self.loss, self._waited = epoch, loss, 0
            self._weights = [np.array(weight) for weight in model.get_weights()] if self._keep else []
            return False
        self._waited += 1
        ends = self._patience is not None and self._waited >= self._patience
        self.stopped = epoch if ends else None
        return ends

    def put_back_(self, model: Any, done: int) -> bool:
        """Give *model* the weights of the best epoch, where that was not the last of *done*; return whether it was."""
        if not self._weights or self.epoch == done:
            return False
        model.set_weights(self._weights)
        return True

    def state(self) -> dict[str, np.ndarray]:
        """Return what is remembered, as arrays by name, for a training that may be killed."""
        numbers = np.array([self.epoch or 0, self.loss, self._waited], np.float64)
        plain = (w if w.dtype.kind in "biuf" else w.astype(np.float32) for w in self._weights)
        return {"numbers": numbers, **{str(place): weight for place, weight in enumerate(plain)}}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave."""
        epoch, loss, waited = state["numbers"].tolist()
        self.epoch, self.loss, self._waited = int(epoch) or None, loss, int(waited)
        self._weights = [state[str(place)] for place in range(len(state) - 1)]

    def callback(self, keras: Any) -> Any:
        """Return what looks at every epoch, a callback of *keras*; it comes before the one that keeps the state."""
        best = self

        class Look(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
            def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
                if best.epoch_ends(self.model, epoch + 1, float((logs or {})[LOSS])):
                    self.model.stop_training = True

        return Look()

    def words(self, done: int, *, put_back: bool) -> tuple[str, ...]:
        """Return in sentences what became of the epochs, *done* of which were trained."""
        said = []
        if self.stopped is not None:
            since = f"no validation loss below that of epoch {self.epoch} ({self.loss:.4g})"
            said.append(f"training ended early, after epoch {self.stopped}: {since}")
        if put_back:
            said.append(f"weights of epoch {self.epoch} of {done} were kept: its validation loss is the lowest")
        elif self._keep and self.epoch is None:
            said.append("the last epoch was kept: no earlier one ended after the schedules")
        return tuple(said)
