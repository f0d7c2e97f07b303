"""A model's computation as a flat list of steps, ready to be made again with other layers.

Nested models are taken apart, composite layers expanded (:mod:`tfcompress.quantization.expand`), and every layer is
a copy: the model itself is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import keras

from tfcompress.errors import ModelError, UnsupportedError
from tfcompress.models.call_template import Template
from tfcompress.models.graph import calls, is_graph, is_sequential
from tfcompress.models.keras_private import functional, nodes, origin
from tfcompress.models.layer_copies import is_symbolic, layer_copy
from tfcompress.models.own_call import refuse_own_call
from tfcompress.quantization.batch_norm import FreezableBatchNormalization
from tfcompress.quantization.expand import expansion, obstacle, standalone
from tfcompress.quantization.rules import FOLDS_NORMALIZATION

KINDS = {keras.layers.BatchNormalization: FreezableBatchNormalization}
"""Class of a layer -> class of its copy; of any other layer it is the same."""


@dataclass(eq=False)
class Value:
    """A tensor between steps.

    Attributes:
        symbol: a symbolic tensor of its shape and dtype.
        maker: the step that it comes from; None: an input of the model.
        users: the steps that take it, one entry a use.
        is_output: it is an output of the model.
    """

    symbol: Any
    maker: Step | None = None
    users: list[Step] = field(default_factory=list)
    is_output: bool = False

    @property
    def is_float(self) -> bool:
        """Whether it holds floating-point numbers."""
        return "float" in keras.backend.standardize_dtype(self.symbol.dtype)


@dataclass(eq=False)
class Step:
    """One call of one layer or operation.

    Attributes:
        op: the layer or operation, a copy of the model's own.
        path: where it is in the model: names of nested models and the layer, joined by slashes.
        template: the call's arguments.
        inputs: the values that fill it.
        outputs: what comes out.
    """

    op: Any
    path: str
    template: Template
    inputs: list[Value]
    outputs: list[Value] = field(default_factory=list)

    def __call__(self, tensors: list[Any]) -> list[Any]:
        """Make the call on other tensors; returns what comes out, flat."""
        args, kwargs = self.template.fill(tensors)
        return list(keras.tree.flatten(self.op(*args, **kwargs)))


@dataclass
class Steps:
    """A model as steps.

    Attributes:
        model: the model that was read.
        inputs: one value an input, in the order of ``model.inputs``.
        outputs: one value an output, in the order of ``model.outputs``.
        steps: the steps, in an order in which they can be made.
        notes: composite layers that stay as they are, and why; loops that are written out.
    """

    model: Any
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_steps(model: Any) -> Steps:
    """Read a model's graph.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model, whose graph is not known; or one with a loop that cannot be written out.
    """
    if is_sequential(model) and not (model.built and model.inputs):
        msg = f"model {model.name!r} was never built, its shapes are unknown; call it once on a sample"
        raise ModelError(msg)
    refuse_own_call(model)
    if not is_graph(model):
        msg = (
            f"model {model.name!r} is subclassed ({type(model).__name__}): stages need its graph of layers; "
            "build it with the functional API, or export it without stages"
        )
        raise UnsupportedError(msg)
    reader = _Reader(Steps(model))
    reader.result.inputs = [Value(tensor) for tensor in model.inputs]
    reader.result.outputs = reader.follow(model, reader.result.inputs, "")
    for value in reader.result.outputs:
        value.is_output = True
    return reader.result


class _Reader:
    """Walks through models, copying layers and writing down steps."""

    def __init__(self, result: Steps) -> None:
        self.result = result
        self._copies: dict[int, Any] = {}
        self._expansions: dict[int, Callable[..., Any] | None] = {}
        self._reshapes: dict[tuple[int, tuple[int, ...]], Any] = {}
        self._names: set[str] = {origin(tensor).name for tensor in result.model.inputs}

    def follow(self, model: Any, given: list[Value], prefix: str) -> list[Value]:
        """Write down the steps of *model* on the values *given*; returns its outputs."""
        graph = functional(model)
        known = dict(zip(map(id, graph.inputs), given, strict=True))
        lone = _lone_normalizations(graph)
        for call in calls(model):
            template, tensors = Template.of(call.args, call.kwargs, is_symbolic)
            values = [known[id(tensor)] for tensor in tensors]
            made = self._call(call.layer, template, values, f"{prefix}{call.layer.name}", lone=call.layer in lone)
            known.update(zip(map(id, call.outputs), made, strict=True))
        return [known[id(tensor)] for tensor in graph.outputs]

    def _call(self, layer: Any, template: Template, values: list[Value], path: str, *, lone: bool) -> list[Value]:
        if isinstance(layer, keras.Model) and is_graph(layer):
            return self.follow(layer, values, f"{path}/")
        op = self._copied(layer, path)
        expand = self._expansion(layer, op, path, lone=lone)
        if expand is None:
            return self._write(op, template, values, path)
        symbols = [keras.Input(batch_shape=v.symbol.shape, dtype=v.symbol.dtype) for v in values]
        args, kwargs = template.fill(symbols)
        given = {name: value for name, value in kwargs.items() if value is not None}  # mask=None, for one
        outputs = keras.tree.flatten(expand(*args, **given))
        parts = keras.Function(symbols, outputs)
        if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
            self._note_written_out(parts, path, type(layer).__name__, values[0].symbol.shape[1])
        return self._follow_parts(parts, values, path.rpartition("/")[0])

    def _note_written_out(self, parts: Any, path: str, kind: str, count: int) -> None:
        loops = (keras.layers.RNN, keras.layers.Bidirectional)
        if not any(isinstance(operation, loops) for operation in parts.operations):
            self.result.notes.append(
                f"qat writes {path} ({kind}) out as {count} steps: the converter has no 8-bit form of its loop; in the "
                "file steps that are the same become one again, where that changes no bit"
            )

    def _expansion(self, layer: Any, op: Any, path: str, *, lone: bool) -> Callable[..., Any] | None:
        if id(layer) not in self._expansions:
            composite = isinstance(op, keras.layers.Layer)
            found = expansion(op)
            if composite and found is None and lone:
                found = standalone(op)
            reason = obstacle(op) if composite and found is None else ""
            if found is None and _is_loop(op):
                raise _no_loops(path, op, reason)
            if reason:
                self.result.notes.append(f"qat leaves {path} ({type(op).__name__}) in float: {reason}")
            self._expansions[id(layer)] = found
        return self._expansions[id(layer)]

    def _follow_parts(self, function: Any, given: list[Value], prefix: str) -> list[Value]:
        """Write down the steps that an expansion is made of."""
        known = dict(zip(map(id, function.inputs), given, strict=True))
        for node in nodes(function):
            if node.is_input:
                continue
            template, tensors = Template.of(node.arguments.args, node.arguments.kwargs, is_symbolic)
            path = "/".join(filter(None, [prefix, node.operation.name]))
            made = self._write(node.operation, template, [known[id(t)] for t in tensors], path)
            known.update(zip(map(id, node.outputs), made, strict=True))
        return [known[id(tensor)] for tensor in function.outputs]

    def _write(self, op: Any, template: Template, values: list[Value], path: str) -> list[Value]:
        args, kwargs = template.fill([keras.KerasTensor(v.symbol.shape, v.symbol.dtype) for v in values])
        made = keras.tree.flatten(op.compute_output_spec(*args, **kwargs))
        if len(values) == 1 and _is_of_one_value(op, values[0].symbol.shape):
            op, template = self._reshaping(op, made[0].shape[1:]), Template.of((values[0].symbol,), {}, is_symbolic)[0]
        step = Step(op, path, template, values)
        for value in values:
            value.users.append(step)
        step.outputs = [Value(tensor, step) for tensor in made]
        self.result.steps.append(step)
        return step.outputs

    def _reshaping(self, op: Any, shape: tuple[int, ...]) -> Any:
        key = id(op), tuple(shape)
        if key not in self._reshapes:
            self._reshapes[key] = keras.layers.Reshape(shape, name=self._free_name(f"{op.name}_of_one"))
        return self._reshapes[key]

    def _copied(self, layer: Any, path: str) -> Any:
        if id(layer) not in self._copies:
            self._copies[id(layer)] = layer_copy(
                layer, self._free_name(path.replace("/", "_")), kind=KINDS.get(type(layer))
            )
        return self._copies[id(layer)]

    def _free_name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            name, count = f"{wanted}_{count}", count + 1
        self._names.add(name)
        return name


def _is_loop(op: Any) -> bool:
    inside = getattr(op, "forward_layer", op)
    return isinstance(inside, keras.layers.RNN) and not inside.unroll


def _no_loops(path: str, op: Any, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"qat cannot take {path} ({type(op).__name__}): {reason or 'it is no LSTM, GRU or SimpleRNN'}, so it cannot be "
        "written out, and the TFLite converter has no 8-bit form of a loop; quantize 'dynamic' or 'float16' without "
        "--qat, or build the model with what can be written out"
    )


def _is_of_one_value(op: Any, shape: tuple[int | None, ...]) -> bool:
    """Say whether an op is a mean of one value each, which the converter drops: nothing is rounded there."""
    if isinstance(op, keras.layers.GlobalAveragePooling1D | keras.layers.GlobalAveragePooling2D):
        first = 2 if op.data_format == "channels_first" else 1
        axes: Any = range(first, first + len(shape) - 2)
    elif type(op).__name__ == "Mean" and not isinstance(op, keras.layers.Layer):
        axes = [op.axis] if isinstance(op.axis, int) else op.axis or []
    else:
        return False
    return bool(axes) and None not in shape[1:] and all(shape[axis] == 1 for axis in axes)


BEFORE_NORMALIZATION = FOLDS_NORMALIZATION | {"SeparableConv1D", "SeparableConv2D"}
"""Layers that take a normalization behind them into their kernel; the last two end in a convolution once expanded."""


def _lone_normalizations(graph: Any) -> set[Any]:
    """Return the BatchNormalization layers that cannot be folded into a convolution or dense layer before them."""
    made: dict[int, Any] = {}
    uses: dict[int, int] = {}
    for call in _flat_calls(graph):
        made.update((id(tensor), call[0]) for tensor in call[2])
        for tensor in call[1]:
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    for tensor in graph.outputs:
        uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    lone = set()
    for layer, inputs, _ in _flat_calls(graph):
        if isinstance(layer, keras.layers.BatchNormalization):
            before = made.get(id(inputs[0]))
            if not (folds(before, layer) and uses[id(inputs[0])] == 1):
                lone.add(layer)
    return lone


def folds(before: Any, normalization: Any) -> bool:
    """Say whether a BatchNormalization after the layer *before* disappears in its kernel and bias."""
    if type(before).__name__ not in BEFORE_NORMALIZATION:
        return False
    if getattr(before, "data_format", "channels_last") != "channels_last":
        return False
    linear = before.activation in (None, keras.activations.linear)
    return linear and normalization.axis in (-1, len(normalization.get_build_config()["input_shape"]) - 1)


def _flat_calls(graph: Any) -> Iterable[tuple[Any, list[Any], list[Any]]]:
    for call in calls(graph):
        yield call.layer, Template.of(call.args, call.kwargs, is_symbolic)[1], call.outputs
