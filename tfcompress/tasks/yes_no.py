"""Training outputs of which each value means yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def in_unit_interval(outputs: np.ndarray) -> bool:
    """Tell whether all *outputs* lie in [0, 1]."""
    return bool(outputs.min(initial=0.0) >= 0.0 and outputs.max(initial=0.0) <= 1.0)


def crossentropy(outputs: np.ndarray, keras: Any) -> Any:
    """Return the cross-entropy of yes and no.

    Args:
        outputs: the model's on some samples, (samples, ...); they distinguish probabilities from logits.
        keras: the module ``keras`` or ``tf_keras``.
    """
    return keras.losses.BinaryCrossentropy(from_logits=not in_unit_interval(outputs))


def decided_accuracy(outputs: np.ndarray, keras: Any) -> Any:
    """Return the accuracy, decided where scorers decide: Keras's own ``"accuracy"`` takes logits for 0.5.

    Args:
        outputs: see :func:`crossentropy`.
        keras: the same.
    """
    threshold = 0.5 if in_unit_interval(outputs) else 0.0
    return keras.metrics.MeanMetricWrapper(keras.metrics.binary_accuracy, name="accuracy", threshold=threshold)
