"""A model without some of its blocks, and what it costs: every use of a block's exit takes its entry instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from tfcompress.blocks.finding import Block, holds_model, tensors_of
from tfcompress.channels.cost import Cost
from tfcompress.models.call_template import map_structure
from tfcompress.models.copies import input_like
from tfcompress.models.graph import Call, calls, is_sequential
from tfcompress.models.keras_private import has_origin, input_structure, origin, output_structure
from tfcompress.models.layer_copies import unbuilt_copy
from tfcompress.models.macs import Shapes, macs_of_call

Bypass = Mapping[int, Any]
"""Id of a symbolic tensor -> the one that stands for it."""

_IDEMPOTENT = {"relu": ("relu", None), "relu6": ("relu", 6.0)}


def bypass_of(blocks: Iterable[Block]) -> Bypass:
    """Return what stands for what without these blocks."""
    return {id(block.exit): block.entry for block in blocks}


def cost_of(model: Any, bypass: Bypass | None = None) -> Cost:
    """Count a model's multiply-accumulates for one sample (of what can be counted), and its weights.

    Args:
        model: functional or sequential.
        bypass: what is left out.
    """
    layers: dict[int, Any] = {}
    macs = sum(_macs(call) for call in _leaf_calls(model, bypass or {}, layers))
    weights = {id(weight): weight for layer in layers.values() for weight in getattr(layer, "weights", ())}
    return Cost(macs, sum(math.prod(weight.shape) for weight in weights.values()))


def without(model: Any, blocks: Iterable[Block]) -> Any:
    """Return a model without some of its blocks; what only they needed goes with them.

    An activation that comes to stand behind itself goes too: ``relu(relu(x))`` is ``relu(x)``.

    Args:
        model: functional or sequential, built; it stays as it is.
        blocks: of :func:`~tfcompress.blocks.finding.find_blocks` for this model.

    Returns:
        A model of the same names and weights, not compiled: sequential where *model* is, else functional.
    """
    rebuilding = _Rebuilding(bypass_of(blocks))
    smaller = rebuilding.model(model)
    rebuilding.fill_()
    return smaller


def _resolved(tensor: Any, bypass: Bypass) -> Any:
    while id(tensor) in bypass:
        tensor = bypass[id(tensor)]
    return tensor


def _live_calls(model: Any, bypass: Bypass) -> list[Call]:
    """Return the calls that the outputs still depend on."""
    needed = {id(_resolved(tensor, bypass)) for tensor in model.outputs}
    alive = []
    for call in reversed(list(calls(model))):
        if any(id(tensor) in needed for tensor in call.outputs):
            alive.append(call)
            needed |= {id(_resolved(tensor, bypass)) for tensor in tensors_of(call)}
    return alive[::-1]


def _leaf_calls(model: Any, bypass: Bypass, layers: dict[int, Any]) -> Iterator[Call]:
    """Give every call of a layer that is no model, as often as it is made; write down the layers."""
    for call in _live_calls(model, bypass):
        if holds_model(call.layer):
            yield from _leaf_calls(call.layer, bypass, layers)
        else:
            layers[id(call.layer)] = call.layer
            yield call


def _macs(call: Call) -> int:
    if not type(call.layer).__module__.startswith("keras."):  # may bear a name that is counted otherwise
        return 0
    given = tuple(tuple(tensor.shape)[1:] for tensor in tensors_of(call) if len(tensor.shape))
    return macs_of_call(call.layer, Shapes(given, tuple(call.outputs[0].shape)[1:])) or 0


class _Rebuilding:
    """One rebuilding: originals, by id, and what replaces them."""

    def __init__(self, bypass: Bypass) -> None:
        self.bypass = bypass
        self.made: dict[int, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []

    def model(self, model: Any) -> Any:
        """Rebuild a model, its weights not yet filled."""
        if id(model) not in self.made:
            self.made[id(model)] = new = self._sequential(model) if is_sequential(model) else self._functional(model)
            if not model.trainable:
                new.trainable = False
        return self.made[id(model)]

    def _sequential(self, model: Any) -> Any:
        alive = {id(call.layer) for call in self._kept_calls(model)}
        layers = [self._copy(layer) for layer in model.layers if id(layer) in alive]
        return keras.Sequential([input_like(model.inputs[0]), *layers], name=model.name)

    def _functional(self, model: Any) -> Any:
        new = {id(tensor): input_like(tensor) for tensor in model.inputs}

        def replace(leaf: Any) -> Any:
            return new[id(_resolved(leaf, self.bypass))] if has_origin(leaf) else leaf

        kept = {id(call.outputs[0]) for call in self._kept_calls(model)}
        for call in _live_calls(model, self.bypass):
            if id(call.outputs[0]) not in kept:
                new[id(call.outputs[0])] = replace(tensors_of(call)[0])
                continue
            made = self._copy(call.layer)(*map_structure(replace, call.args), **map_structure(replace, call.kwargs))
            for old, tensor in zip(call.outputs, keras.tree.flatten(made), strict=True):
                new[id(old)] = tensor
        inputs = map_structure(lambda leaf: new[id(leaf)] if has_origin(leaf) else leaf, input_structure(model))
        return keras.Model(inputs, map_structure(replace, output_structure(model)), name=model.name)

    def _kept_calls(self, model: Any) -> Iterator[Call]:
        """Give the calls that are made again: all that live but activations behind themselves."""
        ends = {id(tensor) for tensor in model.outputs}
        for call in _live_calls(model, self.bypass):
            given = tensors_of(call)
            doubled = (
                len(given) == 1
                and id(given[0]) in self.bypass
                and id(call.outputs[0]) not in ends
                and _clips(call.layer) is not None
                and _clips(call.layer) == _ends_in(origin(_resolved(given[0], self.bypass)))
            )
            if not doubled:
                yield call

    def _copy(self, layer: Any) -> Any:
        """Return what is called in a layer's or operation's place."""
        if holds_model(layer):
            return self.model(layer)
        if id(layer) not in self.made:
            self.made[id(layer)] = unbuilt_copy(layer)
            if getattr(layer, "weights", ()):
                self.pairs.append((layer, self.made[id(layer)]))
        return self.made[id(layer)]

    def fill_(self) -> None:
        """Give every layer its weights."""
        for old, new in self.pairs:
            new.set_weights(old.get_weights())
            if new.trainable != old.trainable:
                new.trainable = old.trainable
            if hasattr(new, "finalize_state"):  # a Normalization: what it computes with comes from its weights
                new.finalize_state()


def _clips(layer: Any) -> tuple[str, float | None] | None:
    """Return what a layer that is nothing but a ReLU clips at; None: it is something else."""
    if isinstance(layer, keras.layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return ("relu", None if layer.max_value is None else float(layer.max_value)) if plain else None
    return _ends_in(layer) if isinstance(layer, keras.layers.Activation) else None


def _ends_in(layer: Any) -> tuple[str, float | None] | None:
    """Return the same for a layer that ends in one."""
    if isinstance(layer, keras.layers.ReLU):
        return _clips(layer)
    return _IDEMPOTENT.get(getattr(getattr(layer, "activation", None), "__name__", ""))
