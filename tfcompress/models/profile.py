"""What a model costs, layer by layer: parameters, those that are not zero, multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfcompress.models.call_template import leaves
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin, weight_quantizers
from tfcompress.models.kinds import graph_of
from tfcompress.models.macs import Shapes, macs_of_call
from tfcompress.models.wiring import unwrapped


@dataclass(frozen=True)
class LayerProfile:
    """What a layer costs.

    Attributes:
        name: its name; of a layer inside a nested model, ``model/layer``.
        type: its class.
        output_shape: sizes WITHOUT the batch axis; None: any size. Empty where it is not known.
        parameters: weights in it, those that are not trained too, that no layer before it has.
        nonzero: how many of them are not zero.
        macs: multiply-accumulates for one sample, over all its calls; None: not counted.
        dtype: type of what comes out.
        size_bytes: of these weights.
        bits: of a number of the largest of them; None: it has none.
        distinct: different values in that one; None: it has none, or they were not asked for.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int
    nonzero: int
    macs: int | None
    dtype: str
    size_bytes: int = 0
    bits: int | None = None
    distinct: int | None = None


@dataclass(frozen=True)
class ModelProfile:
    """What a model costs: the sums over its layers."""

    layers: tuple[LayerProfile, ...]

    @property
    def parameters(self) -> int:
        """Weights, those that are not trained too; shared ones once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def nonzero(self) -> int:
        """Weights that are not zero."""
        return sum(layer.nonzero for layer in self.layers)

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates for one sample, over the layers that can be counted; None if none can."""
        counted = [layer.macs for layer in self.layers if layer.macs is not None]
        return sum(counted) if counted else None

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Names of the layers whose multiply-accumulates are not in the sum."""
        return tuple(layer.name for layer in self.layers if layer.macs is None)


def profile(model: Any, *, distinct: bool = False) -> ModelProfile:
    """Profile a model of either Keras, nested models layer by layer, without running it.

    Args:
        model: a Keras 3 or tf_keras model, or a carrier. Of a layer in a training wrapper the layer is counted, without
            what the wrapper adds.
        distinct: count the different values of weights, too (a sort of each layer's largest).
    """
    sheet = _Sheet(distinct)
    graph = graph_of(model)
    if is_graph(graph):
        sheet.walk(graph)
    else:
        for layer in graph.layers:
            sheet.row(layer, layer.name, None)
    return ModelProfile(tuple(LayerProfile(**row) for row in sheet.rows.values()))


@dataclass
class _Sheet:
    distinct: bool
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)

    def walk(self, model: Any, prefix: str = "") -> None:
        """Add every call of a model, and of the models in it."""
        for call in calls(model):
            layer = unwrapped(call.layer)
            if type(layer).__name__ == "QuantizeLayer":
                continue
            if hasattr(layer, "layers") and hasattr(layer, "inputs") and is_graph(layer):
                self.walk(layer, f"{prefix}{layer.name}/")
            else:
                self.row(layer, prefix + layer.name, call)

    def row(self, layer: Any, name: str, call: Any) -> None:
        """Add one call of a layer; without a call, the layer's weights only."""
        macs, shapes, dtype = None, Shapes((), ()), str(getattr(layer, "compute_dtype", ""))
        if call is not None:
            shapes = _shapes(call)
            macs = macs_of_call(layer, shapes)
            dtype = str(getattr(call.outputs[0].dtype, "name", call.outputs[0].dtype))
        row = self.rows.get(id(layer))
        if row is not None:  # called before: its weights are counted, its work is not
            row["macs"] = None if macs is None or row["macs"] is None else row["macs"] + macs
            return
        counted = self._count(_weights(layer if call is None else call.layer))
        self.rows[id(layer)] = {
            "name": name,
            "type": type(layer).__name__,
            "output_shape": shapes.output,
            "macs": macs,
            "dtype": dtype,
            **counted,
        }

    def _count(self, weights: Iterable[Any]) -> dict[str, int | None]:
        values = []
        for weight in weights:
            if id(weight) not in self.counted:
                self.counted.add(id(weight))
                values.append(np.asarray(weight.numpy()))
        largest = max(values, key=lambda value: value.size, default=None)
        return {
            "parameters": sum(value.size for value in values),
            "nonzero": sum(int(np.count_nonzero(value)) for value in values),
            "size_bytes": sum(value.nbytes for value in values),
            "bits": None if largest is None else 8 * largest.itemsize,
            "distinct": len(np.unique(largest)) if self.distinct and largest is not None else None,
        }


def _weights(layer: Any) -> list[Any]:
    """Return a layer's weights; of a layer in a training wrapper its own ones, which the wrapper may have taken."""
    taken = [weight for weight, _, _ in weight_quantizers(layer)]
    taken += getattr(layer, "original_clusterable_weights", {}).values()
    return taken + list(getattr(unwrapped(layer), "weights", ()))


def _shapes(call: Any) -> Shapes:
    tensors = [t for t in _tensors((call.args, list(call.kwargs.values()))) if len(t.shape)]
    inputs = tuple(tuple(t.shape)[1:] for t in tensors)
    return Shapes(inputs, tuple(call.outputs[0].shape)[1:])


def _tensors(structure: Any) -> Iterable[Any]:
    return (leaf for leaf in leaves(structure) if has_origin(leaf))
