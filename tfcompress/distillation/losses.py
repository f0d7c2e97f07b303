"""What a student is compared with its teacher by: one function a loss, each with its line in the table.

The table is :data:`tfcompress.stages.lessons.LESSON_LOSSES`. Every function takes a :class:`Compared`, gives a scalar,
and lets no gradient through to the teacher.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from tfcompress.distillation.distances import distances, unbounded

LEAST = 1e-12
"""What stands for a square that is zero where it is divided by."""

ROUNDING = 1e-6
"""Share of two squared lengths that float32 loses in their squared distance, about."""

ANGLES = 64
"""Samples of a batch between which angles are taken: there are as many as their number cubed."""

ANGLE_SHARE = 2.0
"""What an angle counts beside a distance (Park et al. 2019, section 4: 50 and 25)."""


@dataclass(frozen=True)
class Compared:
    """What a loss looks at.

    Attributes:
        teacher: what the teacher gives, shape (samples, ..., k), float32.
        student: what the student gives, of the same shape (but for the channels of layers, in the last axis).
        kind: what outputs are, a key of :data:`tfcompress.distillation.distances.WORDS`; empty for layers.
        temperature: softens the outputs of classes.
        project: what makes as many channels of the student's as the teacher has; None for outputs.
    """

    teacher: Any
    student: Any
    kind: str = ""
    temperature: float = 1.0
    project: Callable[[Any, Any], Any] | None = None


def soft(compared: Compared) -> Any:
    """Return ``T**2 * KL(teacher || student)`` of outputs softened by T (Hinton et al. 2015, section 2).

    For outputs that are no classes, what :func:`tfcompress.distillation.distances.distances` has for them.
    """
    return keras.ops.mean(distances(compared.kind, compared.teacher, compared.student, compared.temperature))


def cosine(compared: Compared) -> Any:
    """Return one minus the cosine between the vectors of outputs, along the last axis; of classes, of their scores."""
    teacher, student = (unbounded(compared.kind, x) for x in (compared.teacher, compared.student))
    return keras.ops.mean(distances("directions", teacher, student, 1.0))


def relations(compared: Compared) -> Any:
    """Return how differently the samples of a batch lie to each other (Park et al. 2019, arXiv:1904.05068).

    Distances are the Euclidean ones over their mean in the batch (equation 4), angles the cosines at every sample
    between two others (equation 6); both are compared by the Huber loss (equations 5 and 7) and added up, an angle
    counting :data:`ANGLE_SHARE`. Of a large batch, angles are taken between the first :data:`ANGLES` samples.
    """
    teacher, student = (_flat(unbounded(compared.kind, x)) for x in (compared.teacher, compared.student))
    teacher = keras.ops.stop_gradient(teacher)
    apart = _huber(_mean_distances(teacher), _mean_distances(student))
    turned = _huber(_cosines(teacher[:ANGLES]), _cosines(student[:ANGLES]))
    return apart + ANGLE_SHARE * turned


def features(compared: Compared) -> Any:
    """Return the mean squared difference between layers, over the mean square of the teacher's.

    The student's goes through a learnt 1x1 projection first (Romero et al. 2015, arXiv:1412.6550, equation 3); divided
    by the teacher's square, layers of any size count the same.
    """
    ops = keras.ops
    teacher = ops.stop_gradient(compared.teacher)
    student = compared.student if compared.project is None else compared.project(compared.student, teacher)
    return ops.mean(ops.square(student - teacher)) / (ops.mean(ops.square(teacher)) + LEAST)


def attention(compared: Compared) -> Any:
    """Return the squared distance of the two attention maps, averaged over the samples.

    A map is the mean of the squares over the channels, as a vector of length 1 over all positions (Zagoruyko &
    Komodakis 2017, arXiv:1612.03928, equation 2, with p = 2 and the square of the norm, as its authors compute it).
    """
    ops = keras.ops
    teacher, student = ops.stop_gradient(_attention_map(compared.teacher)), _attention_map(compared.student)
    return ops.mean(ops.sum(ops.square(student - teacher), axis=-1))


def _attention_map(values: Any) -> Any:
    return keras.ops.normalize(_flat(keras.ops.mean(keras.ops.square(values), axis=-1)), axis=-1)


def _flat(values: Any) -> Any:
    """Return values of shape (samples, k)."""
    return values[:, None] if len(values.shape) == 1 else keras.ops.reshape(values, (keras.ops.shape(values)[0], -1))


def _huber(wanted: Any, got: Any) -> Any:
    ops = keras.ops
    apart = ops.abs(wanted - got)
    return ops.mean(ops.where(apart < 1.0, 0.5 * ops.square(apart), apart - 0.5))


def _products(vectors: Any) -> Any:
    """Return the products of any two of (samples, k), about their mean: all that distances and angles are made of.

    A difference of each two would be as many numbers as samples squared times k, of maps gigabytes.
    """
    ops = keras.ops
    centred = vectors - ops.mean(vectors, axis=0)
    return ops.matmul(centred, ops.transpose(centred))


def _distances(products: Any) -> Any:
    """Return the distance between any two samples by their products; zero where rounding is all there is."""
    ops = keras.ops
    own = ops.diagonal(products)
    sums = own[:, None] + own[None]
    squares = sums - 2.0 * products
    apart = squares > ops.maximum(ROUNDING * sums, LEAST)
    # The root has no slope at zero, where a sample meets itself.
    return ops.where(apart, ops.sqrt(ops.where(apart, squares, 1.0)), 0.0)


def _mean_distances(vectors: Any) -> Any:
    """Return the distance between any two of (samples, k), over the mean of those that are above zero."""
    ops = keras.ops
    found = _distances(_products(vectors))
    counted = ops.maximum(ops.sum(ops.cast(found > 0.0, "float32")), 1.0)
    mean = ops.sum(found) / counted
    return found / ops.where(mean > 0.0, mean, 1.0)


def _cosines(vectors: Any) -> Any:
    """Return, for (samples, k), the cosine at each sample between each two others, shape (samples,) * 3."""
    ops = keras.ops
    products = _products(vectors)
    found = _distances(products)
    own = ops.diagonal(products)
    sides = products[None] - products[:, :, None] - products[:, None, :] + own[:, None, None]
    lengths = found[:, :, None] * found[:, None, :]
    return ops.where(lengths > 0.0, sides / ops.where(lengths > 0.0, lengths, 1.0), 0.0)
