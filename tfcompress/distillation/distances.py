"""How far the outputs of one model are from those of another, by what the outputs are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras

LEAST = 1e-7
"""Probabilities are not taken for less, since their logarithm is used."""

Distance = Callable[[Any, Any, float], Any]
"""From a teacher's and a student's outputs, (samples, ..., k), and a temperature to distances, (samples, ...)."""


def _of_logits(teacher: Any, student: Any, temperature: float) -> Any:
    """``T**2 * KL(softmax(teacher / T) || softmax(student / T))`` (section 2.1 for the factor), over the last axis."""
    ops = keras.ops
    log_p, log_q = ops.log_softmax(teacher / temperature), ops.log_softmax(student / temperature)
    return temperature**2 * ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def _of_probabilities(teacher: Any, student: Any, temperature: float) -> Any:
    return _of_logits(_logarithm(teacher), _logarithm(student), temperature)


def _of_binary_logits(teacher: Any, student: Any, temperature: float) -> Any:
    """Return the same for a choice of two at every value, averaged over the last axis."""
    ops = keras.ops
    of_teacher, of_student = (ops.stack([ops.zeros_like(x), x], axis=-1) for x in (teacher, student))
    return ops.mean(_of_logits(of_teacher, of_student, temperature), axis=-1)


def _of_sigmoid(teacher: Any, student: Any, temperature: float) -> Any:
    of_teacher, of_student = (_logarithm(x) - _logarithm(1.0 - x) for x in (teacher, student))
    return _of_binary_logits(of_teacher, of_student, temperature)


def _squared(teacher: Any, student: Any, _: float) -> Any:
    return keras.ops.mean(keras.ops.square(teacher - student), axis=-1)


def _of_directions(teacher: Any, student: Any, _: float) -> Any:
    """Return one minus the cosine of the angle between the vectors along the last axis."""
    ops = keras.ops
    return 1.0 - ops.sum(ops.normalize(teacher, axis=-1) * ops.normalize(student, axis=-1), axis=-1)


def _logarithm(probabilities: Any) -> Any:
    return keras.ops.log(keras.ops.clip(probabilities, LEAST, 1.0))


_DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {
        "softmax": _of_probabilities,
        "logits": _of_logits,
        "sigmoid": _of_sigmoid,
        "binary logits": _of_binary_logits,
        "numbers": _squared,
        "directions": _of_directions,
    }
)

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "softmax": "Kullback-Leibler divergence of the class probabilities",
        "logits": "Kullback-Leibler divergence of the classes",
        "sigmoid": "Kullback-Leibler divergence of each yes or no",
        "binary logits": "Kullback-Leibler divergence of each yes or no",
        "numbers": "mean squared difference",
        "directions": "cosine distance",
    }
)
"""What the distance is called, by what the outputs are."""

SOFTENED = ("softmax", "logits", "sigmoid", "binary logits")
"""Outputs that the temperature softens."""


_LOGARITHMS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"softmax": _logarithm, "sigmoid": lambda x: _logarithm(x) - _logarithm(1.0 - x)}
)


def unbounded(kind: str, outputs: Any) -> Any:
    """Return outputs as numbers without bounds: the logarithms of probabilities (of yes or no: of their odds).

    Args:
        kind: what the outputs are, a key of :data:`WORDS`.
        outputs: of shape (samples, ...).

    Returns:
        A tensor of the same shape, float32; *outputs* themselves where they have no bounds.
    """
    outputs = keras.ops.cast(outputs, "float32")
    return _LOGARITHMS[kind](outputs) if kind in _LOGARITHMS else outputs


_SHARES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"softmax": keras.ops.softmax, "sigmoid": keras.ops.sigmoid}
)
_AS_SHARES: Mapping[str, str] = MappingProxyType({"logits": "softmax", "binary logits": "sigmoid"})


def in_form_of(kind: str, outputs: Any, *, are_shares: bool) -> Any:
    """Return a teacher's outputs as the student gives its own: probabilities or logits.

    Args:
        kind: what the student's outputs are, a key of :data:`WORDS`.
        outputs: the teacher's, of shape (samples, ..., k).
        are_shares: whether they are probabilities.

    Returns:
        A tensor of the same shape; logits made of probabilities are so but for a constant, which no softmax sees.
    """
    if kind in _SHARES and not are_shares:
        return _SHARES[kind](keras.ops.cast(outputs, "float32"))
    return unbounded(_AS_SHARES[kind], outputs) if kind in _AS_SHARES and are_shares else outputs


def distances(kind: str, teacher: Any, student: Any, temperature: float) -> Any:
    """Return how far each output is from the teacher's.

    Args:
        kind: what the outputs are, a key of :data:`WORDS`.
        teacher: outputs of shape (samples, ..., k), or (samples,).
        student: of the same shape; gradients go here alone.
        temperature: softens the outputs of classes.

    Returns:
        A tensor of shape (samples, ...), float32; (samples,) for outputs without a last axis.
    """
    ops = keras.ops
    flat = len(student.shape) == 1
    wanted, got = (ops.cast(x, "float32") for x in (teacher, student))
    wanted, got = (x[:, None] if flat else x for x in (wanted, got))
    return _DISTANCES[kind](ops.stop_gradient(wanted), got, temperature)
