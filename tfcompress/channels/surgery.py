"""The operation itself: a new model of smaller layers with the weights that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcompress.channels.groups import ChannelAnalysis, Group, analyse_channels
from tfcompress.channels.ledger import Atoms
from tfcompress.channels.trace import is_model
from tfcompress.errors import UnsupportedError, UsageError, nearest
from tfcompress.models.call_template import map_structure
from tfcompress.models.graph import calls, is_sequential
from tfcompress.models.keras_private import has_origin, input_structure, origin, output_structure


def narrow(model: Any, keep: Mapping[str, Sequence[int]]) -> Any:
    """Remove channels from a model.

    Args:
        model: a functional or sequential Keras 3 model, built; it stays as it is.
        keep: name of a group of :func:`~tfcompress.channels.groups.groups` -> the channels that stay, in rising
            order. Groups that are not named stay whole.

    Returns:
        A model of the same names, not compiled: sequential where *model* is, else functional; nested ones stay nested.

    Raises:
        UsageError: an unknown or pinned group, a channel that is not there, or a layer that would be left without any.
        UnsupportedError: the model is neither functional nor sequential.
    """
    analysis = analyse_channels(model)
    alive = kept_atoms(analysis, keep)
    surgery = _Surgery(analysis, alive)
    smaller = surgery.model(model)
    surgery.fill_()
    return smaller


def kept_atoms(analysis: ChannelAnalysis, keep: Mapping[str, Sequence[int]]) -> NDArray[np.bool_]:
    """Check a choice of channels and say of every atom whether it stays.

    Raises:
        UsageError: as for :func:`narrow`.
    """
    by_name = {group.name: (number, group) for number, group in enumerate(analysis.groups)}
    alive = np.ones(len(analysis.group_of), np.bool_)
    for name, channels in keep.items():
        if name not in by_name:
            msg = f"keep must name groups of the model, got {name!r}{nearest(name, by_name)}"
            raise UsageError(msg)
        number, group = by_name[name]
        stays = _checked(group, channels)
        mine = analysis.group_of == number
        alive[mine] = stays[analysis.channel_of[mine]]
    _check_emptied(analysis, alive)
    return alive


def _checked(group: Group, channels: Sequence[int]) -> NDArray[np.bool_]:
    where = f"keep[{group.name!r}]"
    chosen = np.asarray(channels)
    if chosen.size == 0:
        msg = f"{where} must hold at least one channel, got none: layer {group.producers[0]!r} would be empty"
        raise UsageError(msg)
    if not np.issubdtype(chosen.dtype, np.integer) or chosen.ndim != 1 or np.any(np.diff(chosen) <= 0):
        msg = f"{where} must be channel numbers in rising order, got {list(channels)[:8]}"
        raise UsageError(msg)
    if chosen[0] < 0 or chosen[-1] >= group.channels:
        msg = f"{where} must be within 0 … {group.channels - 1}, got {chosen[0]} … {chosen[-1]}"
        raise UsageError(msg)
    if group.pinned and len(chosen) < group.channels:
        msg = f"group {group.name!r} cannot lose channels: {group.pinned}; leave it out of keep"
        raise UsageError(msg)
    stays = np.zeros(group.channels, np.bool_)
    stays[chosen] = True
    return stays


def _check_emptied(analysis: ChannelAnalysis, alive: NDArray[np.bool_]) -> None:
    trace = analysis.trace
    wholes = [(claim.path, claim.atoms) for claim in trace.claims.values() if claim.atoms is not None]
    for path, atoms in (*wholes, *trace.wholes):
        if not alive[atoms].any():
            names = {analysis.groups[n].name for n in np.unique(analysis.group_of[atoms]) if n >= 0}
            groups = ", ".join(repr(name) for name in sorted(names))
            msg = f"keep must leave layer {path!r} at least one channel, got none from {groups}; keep one more"
            raise UsageError(msg)


class _Surgery:
    """One rebuilding: originals, by id, and what replaces them."""

    def __init__(self, analysis: ChannelAnalysis, alive: NDArray[np.bool_]) -> None:
        self.trace = analysis.trace
        self.alive = alive
        self.cache: dict[int, Any] = {}
        self.pairs: list[tuple[Any, Any]] = []

    def count(self, atoms: Atoms) -> int:
        """Return how many of the atoms stay."""
        return int(np.count_nonzero(self.alive[atoms]))

    def model(self, model: Any) -> Any:
        """Rebuild a model, smaller, its weights not yet filled."""
        if id(model) not in self.cache:
            self.cache[id(model)] = self._sequential(model) if is_sequential(model) else self._functional(model)
        return self.cache[id(model)]

    def _input(self, tensor: Any) -> Any:
        layer = origin(tensor)
        return type(layer).from_config(self._config(layer)).output

    def _sequential(self, model: Any) -> Any:
        import keras

        layers = [self._rebuilt(layer) for layer in model.layers]
        return keras.Sequential([self._input(model.inputs[0]), *layers], name=model.name, trainable=model.trainable)

    def _functional(self, model: Any) -> Any:
        import keras

        new = {id(tensor): self._input(tensor) for tensor in model.inputs}

        def replace(leaf: Any) -> Any:
            return new[id(leaf)] if has_origin(leaf) else leaf

        for call in calls(model):
            args, kwargs = call.args, call.kwargs
            edit = self.trace.rewrites.get(id(call.outputs[0]))
            if edit is not None:
                args, kwargs = edit(args, kwargs, lambda atoms: self.alive[atoms])
            made = self._rebuilt(call.layer)(*map_structure(replace, args), **map_structure(replace, kwargs))
            for old, tensor in zip(call.outputs, keras.tree.flatten(made), strict=True):
                new[id(old)] = tensor
        inputs, outputs = (map_structure(replace, end) for end in (input_structure(model), output_structure(model)))
        kind = type(model) if type(model).__init__ is type(keras.Model(inputs, outputs)).__init__ else keras.Model
        rebuilt = kind(inputs, outputs, name=model.name)
        if not model.trainable:
            rebuilt.trainable = False
        return rebuilt

    def _rebuilt(self, layer: Any) -> Any:
        """Return what replaces a layer, nested model or operation, wherever it is called."""
        if is_model(layer):
            return self.model(layer)
        if id(layer) not in self.cache:
            self.cache[id(layer)] = self._smaller(layer)
            if getattr(layer, "weights", ()):
                self.pairs.append((layer, self.cache[id(layer)]))
        return self.cache[id(layer)]

    def _smaller(self, layer: Any) -> Any:
        try:
            config = self._config(layer)
        except NotImplementedError as err:
            if getattr(layer, "weights", ()) or id(layer) in self.trace.configs:
                msg = f"layer {layer.name!r} ({type(layer).__name__}) must have get_config() for channels to be removed"
                raise UnsupportedError(msg) from err
            return layer  # an operation that cannot be described: both models call it
        inside = {"Lambda": "function", "TimeDistributed": "layer"}.get(type(layer).__name__, "")
        if inside == "function" or (inside and is_model(layer.layer)):  # at hand, not to be read from a configuration
            config[inside] = layer.function if inside == "function" else self.model(layer.layer)
            return type(layer)(**config)
        smaller = type(layer).from_config(config)
        smaller.name = layer.name
        return smaller

    def _config(self, layer: Any) -> dict[str, Any]:
        config: dict[str, Any] = _without_builds(layer.get_config())
        for edit in self.trace.configs.get(id(layer), {}).values():
            edit(config, self.count)
        return config

    def fill_(self) -> None:
        """Give every rebuilt layer the weights that are kept."""
        axes: dict[int, list[tuple[int, Atoms]]] = {}
        for (number, axis), claim in self.trace.claims.items():
            if claim.atoms is not None:
                axes.setdefault(number, []).append((axis, claim.atoms))
        for old, new in self.pairs:
            for before, after in zip(old.weights, new.weights, strict=True):
                values = np.asarray(before.numpy())
                for axis, atoms in axes.get(id(before), []):
                    values = np.compress(self.alive[atoms], values, axis=axis)
                adjust = self.trace.adjustments.get(id(before))
                after.assign(values if adjust is None else adjust(values, self.count))
            if new.trainable != old.trainable:
                new.trainable = old.trainable
            if hasattr(new, "finalize_state"):  # a Normalization: what it computes with comes from its weights
                new.finalize_state()


def _without_builds(config: Any) -> Any:
    """Leave out the shapes for which layers inside a configuration were built; the new ones are others."""
    if isinstance(config, dict):
        is_layer = "class_name" in config and "config" in config
        return {k: _without_builds(v) for k, v in config.items() if not (is_layer and k == "build_config")}
    if isinstance(config, list):
        return [_without_builds(item) for item in config]
    return config
