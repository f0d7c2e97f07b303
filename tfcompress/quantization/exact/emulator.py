"""Running a model under quantization-aware training in the integers of its int8 file.

Not the file is followed but the model: its layers, ranges and weights. So that file and model give the same numbers
only if the file computes what was trained.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tfcompress.models.call_template import Template
from tfcompress.models.graph import Call, calls
from tfcompress.models.keras_private import all_layers
from tfcompress.models.layer_copies import is_symbolic
from tfcompress.models.wiring import wire
from tfcompress.quantization.baking import is_fake_quant, least_steps
from tfcompress.quantization.exact.arithmetic import rescaled, weighted
from tfcompress.quantization.exact.call import Emulated, Exact, grid_of
from tfcompress.quantization.exact.operators import EXACT
from tfcompress.quantization.exact.values import Grid, Held, Sums, Waiting
from tfcompress.quantization.fake_quant import FakeQuant

_ELEMENTS = 1 << 17  # input values at a time, so that tensors stay in the cache


def can_emulate(model: Any) -> bool:
    """Say whether a Keras 3 model holds fake quantization of this package, of 8 bits with ranges that are known."""
    if not is_fake_quant(model):
        return False
    layers = [layer for layer in all_layers(model) if isinstance(layer, FakeQuant)]
    return bool(layers) and all(layer.bits == 8 and layer.step is not None for layer in layers)


class Emulator:
    """A model in the integers of the reference kernels.

    Attributes:
        rounded: what was computed in float and rounded instead, because this module does not know how the runtime
            computes it: classes of layers and operations, or in words.
    """

    def __init__(self, model: Any) -> None:
        """Take a Keras 3 model that holds fake quantization of 8 bits with ranges that are known."""
        self.rounded: set[str] = set()
        self._model, self._wiring, self._calls = model, wire(model), list(calls(model))
        self._ranges = {layer.name: layer for layer in model.layers if isinstance(layer, FakeQuant)}
        self._kept: dict[Any, Any] = {}
        self._least_steps = least_steps(model)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model on samples.

        Args:
            inputs: for each input by name an array of shape (samples, *shape), real values.

        Returns:
            For each output by name an array of shape (samples, *shape), real values on the output's grid.
        """
        count = len(next(iter(inputs.values())))
        size = max(1, _ELEMENTS * count // max(1, sum(values.size for values in inputs.values())))
        parts = [
            self._batch({name: values[start : start + size] for name, values in inputs.items()})
            for start in range(0, count, size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def on_grid(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Round inputs to the numbers that a device is given; those that the model does not round stay as they are.

        Values between two numbers, such as pixels scaled to -1..1 (each lies half way), go up or down by the last bit
        of a float: nobody's arithmetic is to be judged by them.
        """
        names = {id(t): spec.name for spec, t in zip(self._wiring.inputs, self._model.inputs, strict=True)}
        found = dict(inputs)
        for call in self._calls:
            for tensor in Template.of(call.args, call.kwargs, is_symbolic)[1]:
                if id(tensor) in names and isinstance(call.layer, FakeQuant):
                    name, grid = names[id(tensor)], self._grid(call.layer)
                    found[name] = Held(grid.numbers(inputs[name]), grid).real
        return found

    def _batch(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [spec.name for spec in self._wiring.inputs]
        nodes = {id(t): _given(inputs[name]) for name, t in zip(names, self._model.inputs, strict=True)}
        for call in self._calls:
            template, tensors = Template.of(call.args, call.kwargs, is_symbolic)
            given = [nodes[id(tensor)] for tensor in tensors]
            nodes.update(zip(map(id, call.outputs), self._called(call, template, given), strict=True))
        outputs = [np.asarray(nodes[id(tensor)].real) for tensor in self._model.outputs]
        return dict(zip(self._wiring.output_names or (), outputs, strict=True))

    def _called(self, call: Call, template: Template, given: list[_Node]) -> list[_Node]:
        layer = call.layer
        if isinstance(layer, FakeQuant):
            return [self._on_grid(layer, given[0])]
        maker, known = EXACT.get(type(layer).__name__), None
        exact = [node.exact for node in given if node.exact is not None]
        if maker is not None and len(exact) == len(given):
            known = maker(Emulated(layer, template, exact, self._ranges, self._kept))
        if known is None and exact:
            self.rounded.add(type(getattr(layer, "layer", layer)).__name__)

        def plain() -> list[Any]:
            args, kwargs = template.fill([keras.ops.convert_to_tensor(node.real) for node in given])
            return list(keras.tree.flatten(layer(*args, **_in_inference(layer, kwargs))))

        whole = _Node(None, plain)
        return [_node(item, whole, place) for place, item in enumerate(known or [None] * len(call.outputs))]

    def _grid(self, layer: FakeQuant) -> Grid:
        return grid_of(layer, self._least_steps.get(layer.name, 0.0))

    def _on_grid(self, layer: FakeQuant, given: _Node) -> _Node:
        grid, exact = self._grid(layer), given.exact
        if isinstance(exact, Sums) and exact.overflows:
            self.rounded.add("a layer whose inputs are next to zero")
            exact = None
        dense = exact if isinstance(exact, Sums) and exact.dense else None
        if isinstance(exact, Sums):
            exact = weighted(exact)
        if isinstance(exact, Held) and exact.grid != grid:
            exact = rescaled(exact)
        if isinstance(exact, Waiting):
            exact = replace(exact.on(grid), dense=dense)
        held = exact or Held(grid.numbers(np.asarray(given.real)), grid)
        return _Node(held, lambda: held.real)


def _in_inference(layer: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a layer's call with ``training`` off, as a functional model passes them in inference.

    A layer that has it on by default (augmentation) is recorded with it on.
    """
    asked = isinstance(layer, keras.layers.Layer) and "training" in inspect.signature(layer.call).parameters
    return {**options, "training": False} if asked else dict(options)


class _Node:
    """A tensor between calls: what is known of it exactly, and how to get at its real values."""

    def __init__(self, exact: Exact | None, make: Callable[[], Any]) -> None:
        self.exact = exact
        self._make, self._real = make, None

    @property
    def real(self) -> Any:
        """The real values: an array, or what the call gave."""
        if self._real is None:
            self._real = self._make()
        return self._real


def _given(values: np.ndarray) -> _Node:
    return _Node(None, lambda: values)


def _node(exact: Exact | None, whole: _Node, place: int) -> _Node:
    return _Node(exact, lambda: exact.real if isinstance(exact, Held) else whole.real[place])
