"""A 1x1 projection from a student's channels to its teacher's, learnt beside the student and thrown away with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

LEARNING_RATE = 5e-3
"""Of Adam on the projection, whatever the student's own is: a fine-tuning's would never get it off the ground."""


class Projection:
    """``x @ kernel + bias`` along the last axis, with an optimizer of its own.

    The variables belong to no layer of the student's: a file of it, its weights and its optimizer know nothing of them.
    At the same number of channels it begins as the identity, so that two equal models are no distance apart.
    """

    def __init__(self, inputs: int, outputs: int, seed: int) -> None:
        """Make the variables.

        Args:
            inputs: channels of the student's layer.
            outputs: channels of the teacher's.
            seed: draws the kernel, where the two differ.
        """
        drawn = np.random.default_rng(seed).normal(scale=inputs**-0.5, size=(inputs, outputs))
        kernel = np.eye(inputs) if inputs == outputs else drawn
        self.kernel = keras.Variable(kernel.astype(np.float32), name="kernel")
        self.bias = keras.Variable(np.zeros(outputs, np.float32), name="bias")
        self._optimizer = keras.optimizers.Adam(LEARNING_RATE)
        self._optimizer.build([self.kernel, self.bias])

    def __call__(self, student: Any, teacher: Any) -> Any:
        """Take a step towards the teacher's features, and return the student's projected as they were before it.

        Args:
            student: features of shape (samples, ..., inputs); gradients go through.
            teacher: features of shape (samples, ..., outputs).
        """
        import tensorflow as tf

        kernel, bias = (tf.convert_to_tensor(variable.value) for variable in (self.kernel, self.bias))
        still = tf.stop_gradient(student)
        with tf.GradientTape() as tape:
            tape.watch([kernel, bias])
            apart = tf.reduce_mean(tf.square(still @ kernel + bias - teacher))
        scale = tf.reduce_mean(tf.square(teacher)) + 1e-12
        slopes = [slope / scale for slope in tape.gradient(apart, [kernel, bias])]
        self._optimizer.apply(slopes, [self.kernel, self.bias])
        return student @ tf.stop_gradient(kernel) + tf.stop_gradient(bias)

    @property
    def _variables(self) -> list[Any]:
        return [self.kernel, self.bias, *self._optimizer.variables]

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that is remembered, as arrays by name."""
        return {str(place): np.asarray(variable) for place, variable in enumerate(self._variables)}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave."""
        for place, variable in enumerate(self._variables):
            variable.assign(state[str(place)])
