"""Muon for convolutions: a step in which no direction of a kernel is louder than another.

The momentum of a kernel, as a matrix of (everything else, output channels), is replaced by the nearest matrix with
orthonormal rows or columns, by five steps of Newton and Schulz (Jordan et al. 2024, "Muon: An optimizer for hidden
layers in neural networks"), and scaled so that a learning rate means what it means to Adam (Liu et al. 2025,
arXiv:2502.16982, section 2.2). Keras's own Muon leaves kernels of more than two axes to Adam; where a training is
short, convolutions are what gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

LEAST = 8
"""Kernels with fewer rows or columns than this, those of depthwise convolutions too, have too few directions."""


class KernelMuon(keras.optimizers.Muon):  # type: ignore[misc]  # Keras ships no types
    """Keras's Muon on every hidden kernel; Adam on the first and the last kernel and on everything else.

    Args:
        learning_rate: of both.
        **more: what Keras's Muon takes; weight decay is off unless it is given.
    """

    def __init__(self, learning_rate: Any = 1e-3, **more: Any) -> None:
        super().__init__(learning_rate, **{"weight_decay": None, "adam_weight_decay": None, **more})
        self._hidden: frozenset[int] = frozenset()

    def build(self, var_list: Sequence[Any]) -> None:
        """Take note of the hidden kernels, and make the state."""
        if not self.built:
            kernels = [variable for variable in var_list if len(variable.shape) >= 2]
            self._hidden = frozenset(id(kernel) for kernel in kernels[1:-1] if min(matrix(kernel.shape)) >= LEAST)
        super().build(var_list)

    def _should_use_adamw(self, variable: Any) -> bool:
        return id(variable) not in self._hidden

    def zeropower_via_newtonschulz5(self, x: Any, *args: Any) -> Any:
        """Orthogonalize a kernel's momentum, an array of the kernel's shape."""
        flat = keras.ops.reshape(x, matrix(x.shape))
        return keras.ops.reshape(super().zeropower_via_newtonschulz5(flat, *args), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scale an orthogonal step, an array of the kernel's shape, to the size of Adam's."""
        return x if self.rms_rate is None else x * (math.sqrt(max(matrix(x.shape))) * self.rms_rate)


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Return the shape of a kernel as a matrix: (everything else, output channels).

    Example:
        >>> matrix((3, 3, 16, 32))
        (144, 32)
    """
    return math.prod(shape[:-1]), shape[-1]
