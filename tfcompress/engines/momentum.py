"""Letting batch normalization keep up with weights that change fast.

The statistics that BatchNormalization uses for inference are moving averages of what training sees, with momentum 0.99
by default: half of them is older than 69 steps. Pruning changes the network within a few hundred steps, and is then
judged by statistics of a network that is gone: ResNet8, half of it pruned in 314 steps with QAT, classifies 83.3 % of
3,000 CIFAR-10 test images with them, and 83.9 % with a memory that fits the training (80.4 % and 83.2 % when clustered
too).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

MEMORIES = 20
"""How many times over the statistics are renewed in a training, at least."""

LEAST = 0.9
"""Momentum is never set lower: the statistics of a few batches alone are noise."""


def fitting(own: float, total: int) -> float:
    """Return the momentum for a training of *total* steps: the layer's *own*, unless that remembers too long."""
    return min(own, max(LEAST, 1.0 - MEMORIES / total))


class Momentum:
    """The momentum of a model's BatchNormalization layers, shortened during training and given back."""

    def __init__(self, layers: Iterable[Any]) -> None:
        """Take the layers of a tf_keras model (the ones inside wrappers) that have a momentum."""
        self._own = [(layer, float(layer.momentum)) for layer in layers if hasattr(layer, "moving_mean")]

    def shorten_(self, total: int) -> None:
        """Fit the momentum to a training of *total* steps; takes effect on functions traced from now on."""
        for layer, own in self._own:
            layer.momentum = fitting(own, total)

    @contextlib.contextmanager
    def given_back(self) -> Iterator[None]:
        """Give the layers their own momentum within the block."""
        shortened = [layer.momentum for layer, _ in self._own]
        for layer, own in self._own:
            layer.momentum = own
        try:
            yield
        finally:
            for (layer, _), momentum in zip(self._own, shortened, strict=True):
                layer.momentum = momentum
