"""One call of a layer or operation, as an emulated model makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.models.call_template import Template
from tfcompress.quantization.baking import range_of
from tfcompress.quantization.exact.values import Grid, Held, Sums, Waiting
from tfcompress.quantization.fake_quant import FakeQuant

Exact = Held | Waiting | Sums

CONDITIONAL = frozenset({"Where"})
"""Operations whose first argument is a condition."""


@dataclass(frozen=True)
class Emulated:
    """One call to compute.

    Attributes:
        layer: the layer or operation.
        template: the call's arguments.
        given: the tensors that fill it.
        ranges: the model's layers that round, by name.
        kept: what a kernel makes once a layer, for the next samples.
        conditions: tensors of other arguments that hold no real numbers, where the layer is one of
            :data:`CONDITIONAL`; they fill no slot of *given*.
    """

    layer: Any
    template: Template
    given: list[Exact]
    ranges: Mapping[str, FakeQuant]
    kept: dict[Any, Any]
    conditions: tuple[np.ndarray, ...] = ()

    @property
    def held(self) -> Held | None:
        """The only tensor, where it is on a grid."""
        return self.given[0] if len(self.given) == 1 and isinstance(self.given[0], Held) else None

    def on(self, values: Sequence[Any], layer: Any) -> Any:
        """Call *layer* on other tensors."""
        args, kwargs = self.template.fill(values)
        return layer(*args, **kwargs)


Maker = Callable[[Emulated], "Sequence[Exact | None] | None"]
"""Computes a call exactly; None: it cannot. An output that is None is on no grid: it is what Keras gives for it."""


def grid_of(layer: FakeQuant, least_step: float = 0.0) -> Grid:
    """Return the grid that a layer rounds to in the file, by :func:`tfcompress.quantization.baking.range_of`."""
    return Grid.of(*range_of(layer, least_step))
