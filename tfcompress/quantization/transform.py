"""Rebuilding a model with fake quantization wherever the integer runtime will round."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfcompress.errors import UnsupportedError
from tfcompress.models.copies import input_like
from tfcompress.models.keras_private import input_structure, origin, output_structure
from tfcompress.models.precision import float32_policy, in_float32
from tfcompress.models.scope import check_scope, in_scope
from tfcompress.models.transformed_layer import TransformedLayer, WeightTransform, variable_at
from tfcompress.quantization import rules
from tfcompress.quantization.four_bits import FOUR_BIT_LAYERS
from tfcompress.quantization.ranges import Ranges
from tfcompress.quantization.steps import Step, Steps, Value, read_steps
from tfcompress.quantization.weight_fake_quant import WeightFakeQuant
from tfcompress.recipe import QAT


@dataclass(frozen=True)
class KernelSlot:
    """One weight under training.

    Attributes:
        name: the layer's path in the model, with the weight's where the layer has several.
        variable: what the optimizer trains.
        transforms: what it goes through before it is fake quantized.
    """

    name: str
    variable: Any
    transforms: list[WeightTransform]


@dataclass(frozen=True)
class Quantized:
    """A model with fake quantization.

    Attributes:
        model: the model, an ordinary Keras 3 one.
        kernels: path of a weight ("block/conv/kernel") -> the weight.
        notes: what stays in float: layer, op and reason.
        layers: path of a layer or operation ("block/conv") -> what stands for it in *model*, without a wrapper.
    """

    model: Any
    kernels: dict[str, KernelSlot] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    layers: dict[str, Any] = field(default_factory=dict)


def quantize(model: Any, stage: QAT, *, extra: Mapping[str, list[WeightTransform]] | None = None) -> Quantized:
    """Build *model* anew with fake quantization; the argument stays as it is.

    Fake quantization computes in float32, as the file's integers are exact there: so does all of the new model, a note
    says where *model* does not.

    Args:
        model: a functional or sequential Keras 3 model that is built.
        stage: bits, and which layers.
        extra: further transforms of weights, before fake quantization, by the path of a layer ("block/conv": its one
            kernel) or of a weight ("block/conv/kernel").

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model; or one without a layer to quantize.
        UsageError: a pattern of the scope matches no layer with a kernel.
    """
    model, in_half = in_float32(model)
    with float32_policy():
        made = _quantized(model, stage, dict(extra or {}))
    return dataclasses.replace(made, notes=[in_half, *made.notes]) if in_half else made


def _quantized(model: Any, stage: QAT, extra: dict[str, list[WeightTransform]]) -> Quantized:
    steps = read_steps(model)
    paths = [step.path for step in steps.steps if rules.kernels(step.op)]
    if not paths:
        msg = f"qat finds nothing to work on in model {model.name!r}: no layer has a kernel; leave the qat stage out"
        raise UnsupportedError(msg)
    check_scope("qat", stage.scope, paths, "layer with a kernel")
    return _Rebuild(steps, stage, extra).result()


class _Rebuild:
    """One model being built again."""

    def __init__(self, steps: Steps, stage: QAT, extra: dict[str, list[WeightTransform]]) -> None:
        self._steps, self._stage, self._extra = steps, stage, extra
        self._ranges = Ranges(steps, stage)
        self._tensors: dict[Value, Any] = {}
        self._wrapped: dict[int, Any] = {}
        self._kernels: dict[str, KernelSlot] = {}
        self._names = _OutputNames(steps)
        self._notes: list[str] = []

    def result(self) -> Quantized:
        """Build inputs, steps and outputs."""
        model = self._steps.model
        inputs = {id(tensor): input_like(tensor) for tensor in model.inputs}
        for value, tensor in zip(self._steps.inputs, model.inputs, strict=True):
            self._tensors[value] = self._rounded(value, inputs[id(tensor)])
        for step in self._steps.steps:
            self._make(step)
        outputs = [self._names.apply(value, self._tensors[value]) for value in self._steps.outputs]
        given = keras.tree.map_structure(lambda tensor: inputs[id(tensor)], input_structure(model))
        made = keras.Model(given, keras.tree.pack_sequence_as(output_structure(model), outputs), name=model.name)
        notes = [*self._steps.notes, *self._ranges.notes, *self._notes]
        return Quantized(made, self._kernels, notes, {step.path: step.op for step in self._steps.steps})

    def _make(self, step: Step) -> None:
        tensors = [self._ranges.on_scale_of(step, value, self._tensors[value]) for value in step.inputs]
        layer = self._wrap(step)
        args, kwargs = step.template.fill(tensors)
        made = keras.tree.flatten(layer(*args, **kwargs))
        for value, tensor in zip(step.outputs, made, strict=True):
            self._tensors[value] = self._rounded(value, tensor)

    def _rounded(self, value: Value, tensor: Any) -> Any:
        layer = self._ranges.of(value)
        return tensor if layer is None else layer(tensor)

    def _wrap(self, step: Step) -> Any:
        """Return the step's layer, inside one that transforms its weights where they become integers."""
        if id(step.op) not in self._wrapped:
            self._wrapped[id(step.op)] = self._transformed(step) or step.op
        return self._wrapped[id(step.op)]

    def _transformed(self, step: Step) -> TransformedLayer | None:
        transforms = self._transforms(step)
        if not transforms:
            return None
        source = self._ranges.behind(step.inputs[0])
        return TransformedLayer(step.op, transforms, input_range=source.name if source else "")

    def _transforms(self, step: Step) -> dict[str, list[WeightTransform]]:
        weights = rules.kernels(step.op) if in_scope(step.path, self._stage.scope) else {}
        found: dict[str, list[WeightTransform]] = {}
        for path, axes in rules.kernels(step.op).items():
            first = self._extra.get(f"{step.path}/{path}", self._extra.get(step.path, []))
            variable = variable_at(step.op, path)
            rounding = [self._rounding(step, variable, axes, clipping=not first)] if path in weights else []
            self._kernels[f"{step.path}/{path}"] = KernelSlot(step.path, variable, list(first))
            if first or rounding:
                found[path] = [*first, *rounding]
        return found

    def _rounding(self, step: Step, variable: Any, axes: tuple[int, ...], *, clipping: bool) -> WeightFakeQuant:
        bits = self._bits(step)
        if bits == 8 or not clipping:
            return WeightFakeQuant(bits=bits, axes=axes)
        return WeightFakeQuant.clipping(np.asarray(variable), bits=bits, axes=axes)

    def _bits(self, step: Step) -> int:
        """Return the bits that the runtime takes a layer's kernel in."""
        kind = type(step.op).__name__
        if self._stage.weight_bits == 4 and kind not in FOUR_BIT_LAYERS:
            self._notes.append(f"{step.path} ({kind}) keeps 8 bits: only kernels of {_FOUR_BITS} can have 4")
            return 8
        return self._stage.weight_bits


_FOUR_BITS = ", ".join(sorted(FOUR_BIT_LAYERS))


class _OutputNames:
    """Keeps the names of a model's outputs, which are those of the layers that give them: losses go by them."""

    def __init__(self, steps: Steps) -> None:
        names = [origin(tensor).name for tensor in steps.model.outputs]
        given = {value: origin(tensor).name for value, tensor in zip(steps.inputs, steps.model.inputs, strict=True)}
        self._wanted = {v: n for v, n in zip(steps.outputs, names, strict=True) if given.get(v) != n}
        self._layers = {name: keras.layers.Identity(name=name) for name in self._wanted.values()}
        taken = {step.op.name for step in steps.steps} | set(given.values())
        for step in steps.steps:
            if step.op.name in self._layers:
                step.op.name = next(name for name in _inner_names(step.op.name) if name not in taken)
                taken.add(step.op.name)

    def apply(self, value: Value, tensor: Any) -> Any:
        """Give an output its name."""
        return self._layers[self._wanted[value]](tensor) if value in self._wanted else tensor


def _inner_names(name: str) -> Iterator[str]:
    """Go through the names that a layer may have whose own is an output's."""
    yield f"{name}_inner"
    yield from (f"{name}_inner_{count}" for count in itertools.count(1))
