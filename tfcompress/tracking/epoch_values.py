"""What is known after an epoch of a training: losses and metrics, zeros and distinct values, ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfcompress.tracking.run_values import stage_settings
from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

if TYPE_CHECKING:
    from tfcompress.job import Job
    from tfcompress.tracking.following import FollowedRun, Following

TRAINING, LOSS, RANGE = "training", "loss", "range"
"""First parts of names: what Keras reports, parts of the loss, and the ends of activation ranges."""

PROMISE_NAMES = {
    "sparsity": "sparsity",
    "distinct values": "distinct_values",
    "2:4 groups": "groups_2_4",
    "4:8 groups": "groups_4_8",
}
"""What a stage promises about a kernel -> the first part of its name."""


def logged(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return what Keras reports of an epoch, by the names that trackers receive.

    Only single numbers are: a metric may give one for each class.
    """
    import numpy as np

    numbers = {name: value for name, value in (logs or {}).items() if value is not None and np.ndim(value) == 0}
    return {f"{TRAINING}/{name}": float(value) for name, value in numbers.items()}


def reached(job: Job) -> dict[str, float]:
    """Return the parts of the loss, what was promised of each kernel as it is now, and the ends of each range."""
    found = {f"{LOSS}/{name}": value for name, value in job.loss_terms().items()}
    for promise in job.promises():
        found[f"{PROMISE_NAMES[promise.what]}/{promise.layer}"] = float(promise.got)
    for name, (low, high) in job.ranges().items():
        found |= {f"{RANGE}/{name}/low": low, f"{RANGE}/{name}/high": high}
    return found


def teller(keras: Any, tell: Callable[[int, dict[str, Any]], None]) -> Any:
    """Return a callback that calls *tell* after each epoch, with its number from 0 and what Keras reports.

    Args:
        keras: the module ``keras`` or ``tf_keras``.
        tell: what is called.
    """

    class Teller(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
        # tf_keras would fetch every step's metrics from the device for a callback that does not say so.
        _supports_tf_logs = True

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            """Tell of the epoch."""
            tell(epoch, logs or {})

    return Teller()


def fit_follower(keras: Any, job: Job, following: Following) -> Any:
    """Return a callback that makes each ``fit`` a run.

    Args:
        keras: the module ``keras`` or ``tf_keras``.
        job: what is trained.
        following: the trackers.
    """

    class FitFollower(keras.callbacks.Callback):  # type: ignore[misc]  # of either Keras
        # tf_keras would fetch every step's metrics from the device for a callback that does not say so.
        _supports_tf_logs = True
        followed: FollowedRun | None = None

        def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
            """Begin a run. Keras calls nobody where an exception, or Ctrl-C, ends a ``fit``."""
            if self.followed is not None:
                self.followed.end(TrackedEnd(outcome="interrupted", reason="the next fit began before its end"))
            self.followed = following.begin(start_of_fit(job, self.params))

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            """Tell of the epoch."""
            if self.followed is not None and self.followed.followed:
                self.followed.log({**logged(logs), **reached(job)}, epoch + 1)

        def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
            """End the run."""
            if self.followed is not None:
                self.followed.end(TrackedEnd())

    return FitFollower()


def start_of_fit(job: Job, params: Mapping[str, Any]) -> TrackedStart:
    """Return what a ``fit`` of somebody's own is: its stages, and what it says of itself."""
    known = {f"fit.{name}": params[name] for name in ("epochs", "steps") if params.get(name) is not None}
    stages = "-".join(stage.label for stage in job.stages)
    settings = {"recipe": stages, **stage_settings(job.stages), **known}
    return TrackedStart(name=f"{job.model.name}-{stages}", settings=settings)
