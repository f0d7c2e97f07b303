"""What a job does while somebody's ``fit`` runs, for either Keras."""

from __future__ import annotations

import warnings
from typing import Any

from tfcompress.engines.checkpoints import Checkpoints
from tfcompress.engines.session import Session
from tfcompress.errors import UsageError


class Hooks:
    """The work itself; knows no Keras."""

    def __init__(
        self, session: Session, *, epochs: int | None, steps_per_epoch: int | None, must_plan: bool = True
    ) -> None:
        """Plan at once where both numbers are known; else at the first epoch, with what ``fit`` says of itself.

        *must_plan*: refuse a training whose number of steps nobody knows.
        """
        self.session, self.epochs, self.steps_per_epoch = session, epochs, steps_per_epoch
        self.must_plan, self.planned, self.begun = must_plan, False, False
        self.checkpoints: Checkpoints | None = None
        if epochs is not None and steps_per_epoch is not None:
            self._plan(epochs, steps_per_epoch)

    def epoch_begins(self, params: dict[str, Any], epoch: int) -> None:
        """Lay the schedules over the training that begins.

        Args:
            params: a Keras callback's params.
            epoch: number of the epoch that begins, from 0; above 0 at first where ``fit`` was given an initial epoch.

        Raises:
            UsageError: the number of steps is not known, or a schedule does not fit into it.
        """
        first, self.begun = not self.begun, True
        steps = self.steps_per_epoch or params.get("steps")
        if self.planned and not (first and epoch and self.epochs and steps):
            return
        if not steps:
            if not self.must_plan:
                return
            msg = "steps per epoch are not known for this data; give steps_per_epoch= to attach"
            raise UsageError(msg)
        done = epoch * int(steps) if self.epochs and first else 0
        self._plan(self.epochs or int(params["epochs"]) - epoch, int(steps), done)

    def _plan(self, epochs: int, steps_per_epoch: int, done: int = 0) -> None:
        self.session.plan_(epochs=epochs, steps_per_epoch=steps_per_epoch, done_steps=done)
        self.planned = True

    def batch_ends(self) -> None:
        """Do what falls due after a training step."""
        self.session.after_step_()

    def training_ends(self) -> None:
        """Do what falls due after the last step."""
        self.session.after_training_()
        self.tell_of_checkpoints()

    def tell_of_checkpoints(self) -> None:
        """Say which checkpoints were written too early."""
        for text in self.checkpoints.words() if self.checkpoints else ():
            self.session.notes.append(text)
            warnings.warn(text, stacklevel=4)


def callbacks(hooks: Hooks, keras: Any, *, plans: bool) -> list[Any]:
    """Return the hooks as callbacks.

    Args:
        hooks: what to call.
        keras: the module ``keras`` or ``tf_keras``.
        plans: whether there is a schedule to plan.

    Returns:
        One callback, or none where nothing is left to do during training.
    """

    class TrainingHooks(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
        """Plans schedules when training begins."""

        # tf_keras would fetch every step's metrics from the device for a callback that does not say so.
        _supports_tf_logs = True

        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            """Plan before the first step."""
            hooks.epoch_begins(self.params, epoch)

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            """Let nothing stop the training before its schedules are over."""
            if hooks.session.unfinished:
                self.model.stop_training = False

    class StepHooks(TrainingHooks):
        """Also looks at every step; only where that is needed, since it costs a little."""

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            """Do what falls due."""
            hooks.batch_ends()

        def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
            """Hold on to what was reached."""
            hooks.training_ends()

    if hooks.session.needs_steps:
        return [StepHooks()]
    return [TrainingHooks()] if plans and not hooks.planned else []
