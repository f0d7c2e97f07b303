"""Holding weights at zero, whoever trains them.

Every Keras optimizer calls ``variable.constraint`` after each of its updates, inside the compiled step. A mask put
there holds in ``fit`` and in a custom loop, before any checkpoint and after the last step, without a wrapper layer and
without a callback having to come in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np


class Masked(keras.constraints.Constraint):  # type: ignore[misc]  # Keras ships no types
    """A variable's constraint that keeps masked weights at zero, after whatever constraint the variable had before.

    Attributes:
        variable: the kernel.
        mask: variable of the kernel's shape and dtype, 1 where a weight is kept. It is none of the model's variables.
    """

    def __init__(self, variable: Any) -> None:
        """Take over the constraint of *variable*, with nothing masked."""
        self.variable = variable
        self.previous: Callable[[Any], Any] | None = variable.constraint
        self.mask = _beside(variable, "mask", np.ones(variable.shape, np.float32))
        variable.constraint = self

    def __call__(self, weights: Any) -> Any:
        """Return *weights* as the variable is to hold them."""
        allowed = weights if self.previous is None else self.previous(weights)
        return keras.ops.multiply(keras.ops.convert_to_tensor(allowed), self.mask)

    def set_(self, kept: np.ndarray) -> None:
        """Keep the weights where *kept* (bool) is True, and set the others to zero now."""
        self.mask.assign(kept.astype(np.float32))
        self.variable.assign(self.value())

    def state(self) -> dict[str, np.ndarray]:
        """Return what it remembers, as arrays of the kernel's shape by name."""
        return {"mask": numpy_of(self.mask)}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave; the kernel is not touched."""
        self.mask.assign(state["mask"])

    def value(self) -> np.ndarray:
        """Return the kernel, float32, with zeros where the mask is 0."""
        value: np.ndarray = numpy_of(self.variable) * self.kept()
        return value

    def kept(self) -> np.ndarray:
        """Return the mask, bool."""
        kept: np.ndarray = numpy_of(self.mask) > 0
        return kept


class Moving(Masked):
    """Also adds up how far each weight moved away from zero (Sanh et al. 2020, arXiv:2005.07683, equation 5).

    There the score is the sum over steps of ``-gradient * weight``; here it is ``weight * (new - old)``, with the step
    that the optimizer took standing for the gradient: they are the same, but for the learning rate, under plain SGD.
    """

    def __init__(self, variable: Any) -> None:
        """Take over the constraint of *variable*, with every score 0."""
        super().__init__(variable)
        self.before = _beside(variable, "before", numpy_of(variable))
        self.score = _beside(variable, "score", np.zeros(variable.shape, np.float32))

    def __call__(self, weights: Any) -> Any:
        """Return *weights* as the variable is to hold them, and add this step to the scores."""
        new = super().__call__(weights)
        self.score.assign_add(keras.ops.multiply(self.before, keras.ops.subtract(new, self.before)))
        self.before.assign(new)
        return new

    def set_(self, kept: np.ndarray) -> None:
        """Mask, and take no masking for a movement."""
        super().set_(kept)
        self.before.assign(self.value())

    def state(self) -> dict[str, np.ndarray]:
        """Return the mask, the scores, and the weights that the next step is measured from."""
        return {**super().state(), "before": numpy_of(self.before), "score": numpy_of(self.score)}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave; the kernel is not touched."""
        super().restore_(state)
        self.before.assign(state["before"])
        self.score.assign(state["score"])

    def scores(self) -> np.ndarray:
        """Return the scores, of the kernel's shape: positive for weights that moved away from zero."""
        return numpy_of(self.score)


def numpy_of(variable: Any) -> np.ndarray:
    """Return a variable's value as float32, whatever its dtype."""
    value: np.ndarray = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32")))
    return value


def _beside(variable: Any, name: str, value: np.ndarray) -> Any:
    return keras.Variable(value, dtype=variable.dtype, trainable=False, name=f"{variable.name}_{name}")
