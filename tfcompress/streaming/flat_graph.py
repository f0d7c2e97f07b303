"""A model's graph as a flat list of calls: nested models are taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras

from tfcompress.models.call_template import Template
from tfcompress.models.copies import check_graph
from tfcompress.models.graph import calls
from tfcompress.models.keras_private import functional
from tfcompress.models.layer_copies import is_symbolic


@dataclass(eq=False)
class StreamTensor:
    """A tensor between layers.

    Attributes:
        symbol: a symbolic tensor of its shape and dtype.
        maker: the call that it comes from; None: it is an input of the model.
    """

    symbol: Any
    maker: LayerCall | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Its sizes WITHOUT the batch axis."""
        return tuple(self.symbol.shape[1:])


@dataclass(eq=False)
class LayerCall:
    """One call of one layer or operation.

    Attributes:
        layer: the model's own, which is only read.
        path: where it is: names of nested models and the layer, joined by slashes.
        template: the call's arguments.
        inputs: the tensors that fill it.
        outputs: what comes out.
    """

    layer: Any
    path: str
    template: Template
    inputs: list[StreamTensor]
    outputs: list[StreamTensor] = field(default_factory=list)


@dataclass(frozen=True)
class FlatGraph:
    """A model without nesting.

    Attributes:
        inputs: one tensor an input, in the model's order.
        outputs: one an output.
        calls: in an order in which they can be made.
    """

    inputs: list[StreamTensor]
    outputs: list[StreamTensor]
    calls: list[LayerCall]


def read_flat_graph(model: Any) -> FlatGraph:
    """Read a Keras 3 model.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model, or one inside it.
    """
    check_graph(model)
    inputs = [StreamTensor(tensor) for tensor in model.inputs]
    made: list[LayerCall] = []
    outputs = _followed(model, inputs, "", made)
    return FlatGraph(inputs, outputs, made)


def _followed(model: Any, given: list[StreamTensor], prefix: str, made: list[LayerCall]) -> list[StreamTensor]:
    graph = functional(model)
    known = dict(zip(map(id, graph.inputs), given, strict=True))
    for call in calls(model):
        template, tensors = Template.of(call.args, call.kwargs, is_symbolic)
        values = [known[id(tensor)] for tensor in tensors]
        if isinstance(call.layer, keras.Model):
            outputs = _followed(call.layer, values, f"{prefix}{call.layer.name}/", made)
        else:
            made.append(LayerCall(call.layer, f"{prefix}{call.layer.name}", template, values))
            outputs = list(_outputs(made[-1], call.outputs))
            made[-1].outputs = outputs
        known.update(zip(map(id, call.outputs), outputs, strict=True))
    return [known[id(tensor)] for tensor in graph.outputs]


def _outputs(call: LayerCall, symbols: list[Any]) -> Iterator[StreamTensor]:
    for symbol in symbols:
        yield StreamTensor(symbol, call)
