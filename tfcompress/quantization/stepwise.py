"""A model run step by step on all samples at once: what is between two layers is seen, and dropped after its last use.

So a pass over the network costs what one prediction costs, however many layers look at their values on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.models.call_template import Template
from tfcompress.models.graph import calls
from tfcompress.models.keras_private import origin
from tfcompress.models.layer_copies import is_symbolic
from tfcompress.models.transformed_layer import TransformedLayer
from tfcompress.quantization.fake_quant import FakeQuant
from tfcompress.quantization.steps import Steps, Value

BUDGET_BYTES = 128 * 2**20
"""Of the largest tensor between two layers, on all samples: of a network with larger ones fewer samples are used."""


def affordable(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return as many of the first samples as :data:`BUDGET_BYTES` allow, one at least.

    Args:
        model: a Keras 3 model with a graph.
        inputs: for each input by name an array of shape (samples, *shape).
    """
    sizes = [np.prod([size or 1 for size in tensor.shape[1:]]) for call in calls(model) for tensor in call.outputs]
    count = max(1, BUDGET_BYTES // int(4 * max(sizes, default=1)))
    return {name: values[:count] for name, values in inputs.items()}


def run_through(steps: Steps, inputs: Mapping[str, np.ndarray], seen: Callable[[Value, Any], None]) -> None:
    """Run a model's steps on samples and show every tensor.

    Args:
        steps: the model.
        inputs: for each input by name an array of shape (samples, *shape).
        seen: is called with each value of the graph and its tensor, of shape (samples, …).
    """
    inputs = affordable(steps.model, inputs)
    left: Counter[Value] = Counter(value for step in steps.steps for value in step.inputs)
    known = {
        value: tf.convert_to_tensor(inputs[origin(tensor).name])
        for value, tensor in zip(steps.inputs, steps.model.inputs, strict=True)
    }
    for value, tensor in known.items():
        seen(value, tensor)
    for step in steps.steps:
        made = step([known[value] for value in step.inputs])
        for value, tensor in zip(step.outputs, made, strict=True):
            known[value] = tensor
            seen(value, tensor)
        for value in step.inputs:
            left[value] -= 1
            if not left[value]:
                known.pop(value, None)


@dataclass
class Flow:
    """One tensor of a model with fake quantization, as it would be and as it is.

    Attributes:
        exact: what the float model has, shape (samples, …).
        rounded: what the rounded model has, of the same shape.
    """

    exact: Any
    rounded: Any


@dataclass(frozen=True)
class Visited:
    """A layer with a kernel, as a visitor sees it.

    Attributes:
        wrapper: the layer, with the rounding of its kernel.
        holder: the layer that adds to each channel of the sums: the one inside, or the normalization that follows.
        given: what goes in.
        sums: what comes out, before any activation.
        again: computes the rounded sums again, once weights were changed.
    """

    wrapper: TransformedLayer
    holder: Any
    given: Flow
    sums: Flow
    again: Callable[[], Any]


Visit = Callable[[Visited], Flow]
"""Sees a layer, and returns the sums with which it goes on."""


_Behind = dict[int, tuple[TransformedLayer, Flow, Callable[[], Any]]]  # by the sums: who made them, of what, and how


class SideBySide:
    """A model with fake quantization run beside itself without, layer by layer.

    What :func:`tfcompress.quantization.transform.quantize` makes of a model is both: without the rounding of tensors
    and weights it computes what the float model does. A visitor sees every layer with a kernel, and may change its
    weights: the float side has been computed by then.
    """

    def __init__(self, model: Any, inputs: Mapping[str, np.ndarray]) -> None:
        """Lay samples ready.

        Args:
            model: with its ranges known.
            inputs: for each input by name an array of shape (samples, *shape).
        """
        self._model, self._inputs = model, affordable(model, inputs)
        self._calls = list(calls(model))
        self._templates = [Template.of(call.args, call.kwargs, is_symbolic) for call in self._calls]
        self._times = Counter(id(call.layer) for call in self._calls)
        self._uses = Counter(id(tensor) for _, given in self._templates for tensor in given)
        self._uses.update(id(tensor) for tensor in model.outputs)
        self._folded = self._normalizations()

    def run(self, visit: Visit) -> None:
        """Go through the network once; *visit* sees layers that are called once."""
        left = Counter(self._uses)
        known = {
            id(tensor): Flow(*[tf.convert_to_tensor(self._inputs[origin(tensor).name])] * 2)
            for tensor in self._model.inputs
        }
        behind: _Behind = {}
        for call, (template, tensors) in zip(self._calls, self._templates, strict=True):
            given = [known[id(tensor)] for tensor in tensors]
            made = self._made(call.layer, template, given)
            if isinstance(call.layer, TransformedLayer) and self._times[id(call.layer)] == 1:
                made = self._visited(call, template, given, made, behind, visit)
            elif id(tensors[0] if tensors else None) in behind and id(call.layer) in self._folded:
                wrapper, source, sums = behind.pop(id(tensors[0]))
                again = _after(call.layer, template, sums)
                made = [visit(Visited(wrapper, call.layer, source, made[0], again))]
            known.update(zip(map(id, call.outputs), made, strict=True))
            for tensor in tensors:
                left[id(tensor)] -= 1
                if not left[id(tensor)]:
                    known.pop(id(tensor), None)

    def _visited(
        self, call: Any, template: Template, given: list[Flow], made: list[Flow], behind: _Behind, visit: Visit
    ) -> list[Flow]:
        layer = call.layer.layer

        def again() -> Any:
            return _bare(call.layer, template, [flow.rounded for flow in given])[0]

        if any(id(tensor) in self._folded for tensor in call.outputs):
            behind[id(call.outputs[0])] = (call.layer, given[0], again)
            return made
        if getattr(layer, "kernel", None) is None:
            return made
        sums = visit(Visited(call.layer, layer, given[0], made[0], again))
        activation = getattr(layer, "activation", None)
        return [Flow(activation(sums.exact), activation(sums.rounded))] if activation else [sums]

    def _made(self, layer: Any, template: Template, given: list[Flow]) -> list[Flow]:
        """Call a layer on both sides; one with a kernel without its activation."""
        if isinstance(layer, FakeQuant):
            return [Flow(given[0].exact, layer(given[0].rounded))]
        plain = layer.layer if isinstance(layer, TransformedLayer) else layer
        call = _bare if isinstance(layer, TransformedLayer) and self._times[id(layer)] == 1 else _called
        exact = call(plain, template, [flow.exact for flow in given])
        rounded = call(layer, template, [flow.rounded for flow in given])
        return [Flow(*pair) for pair in zip(exact, rounded, strict=True)]

    def _normalizations(self) -> set[int]:
        """Return the ids of normalizations that alone follow a layer with a kernel, and of the sums between."""
        makers = {id(t): call.layer for call in self._calls for t in call.outputs}
        found: set[int] = set()
        for call, (_, tensors) in zip(self._calls, self._templates, strict=True):
            if type(call.layer).__name__ != "FreezableBatchNormalization":
                continue
            before = makers.get(id(tensors[0]))
            once = self._uses[id(tensors[0])] == self._times[id(call.layer)] == self._times[id(before)] == 1
            linear = isinstance(before, TransformedLayer) and before.layer.activation in (
                None,
                keras.activations.linear,
            )
            if once and linear:
                found |= {id(call.layer), id(tensors[0])}
        return found


def _called(layer: Any, template: Template, tensors: list[Any]) -> list[Any]:
    args, kwargs = template.fill(tensors)
    return list(keras.tree.flatten(layer(*args, **kwargs)))


def _bare(layer: Any, template: Template, tensors: list[Any]) -> list[Any]:
    """Call a layer, or a wrapped one, as if it had no activation."""
    inside = layer.layer if isinstance(layer, TransformedLayer) else layer
    activation = getattr(inside, "activation", None)
    if activation is None:
        return _called(layer, template, tensors)
    inside.activation = None
    try:
        return _called(layer, template, tensors)
    finally:
        inside.activation = activation


def _after(normalization: Any, template: Template, sums: Callable[[], Any]) -> Callable[[], Any]:
    """Return what computes sums, and the normalization behind them."""
    return lambda: _called(normalization, template, [sums()])[0]
