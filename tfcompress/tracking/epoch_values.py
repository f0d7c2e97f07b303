"""What is known after an epoch of a training: losses and metrics, zeros and distinct values, ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfcompress.job import Job

TRAINING, LOSS, RANGE = "training", "loss", "range"
"""First parts of names: what Keras reports, parts of the loss, and the ends of activation ranges."""

PROMISED = {
    "sparsity": "sparsity",
    "distinct values": "distinct_values",
    "2:4 groups": "groups_2_4",
    "4:8 groups": "groups_4_8",
}
"""What a stage promises about a kernel -> the first part of its name."""


def logged(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return what Keras reports of an epoch, by the names that trackers are told."""
    return {f"{TRAINING}/{name}": float(value) for name, value in (logs or {}).items() if value is not None}


def reached(job: Job) -> dict[str, float]:
    """Return the parts of the loss, what was promised of each kernel as it is now, and the ends of each range."""
    found = {f"{LOSS}/{name}": value for name, value in job.loss_terms().items()}
    for promise in job.promises():
        found[f"{PROMISED[promise.what]}/{promise.layer}"] = float(promise.got)
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
