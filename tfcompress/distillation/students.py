"""A student made from its teacher: fewer channels in every hidden layer, fewer of the blocks that change no shape.

Weights are fresh. What comes out has the inputs and outputs of the teacher, under their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import leaves, map_structure
from tfcompress.models.copies import check_graph, input_like
from tfcompress.models.graph import Call, calls, is_graph
from tfcompress.models.keras_private import input_structure, origin, output_structure
from tfcompress.models.layer_copies import unbuilt_copy
from tfcompress.stages.lessons import StudentScale

WIDTHS = ("filters", "units", "output_dim", "key_dim", "value_dim", "head_dim", "intermediate_dim")
"""What Keras's layers call the number of channels that they make."""


@dataclass(frozen=True)
class _Block:
    """Calls on end between two tensors that everything goes through: a kernel or more, and what follows them."""

    begin: Any
    end: Any
    calls: Sequence[Call]

    @property
    def can_go(self) -> bool:
        return tuple(self.begin.shape) == tuple(self.end.shape)


def smaller(model: Any, scale: StudentScale) -> Any:
    """Return a model like *model*, smaller, with fresh weights drawn by Keras's own seed.

    Args:
        model: a Keras 3 graph; it is read only.
        scale: how much smaller. Every hidden layer's channels are multiplied by the width and rounded to the nearest
            whole number; of the blocks that change no shape, as many stay as the depth says, spread evenly. Models
            inside it are made smaller likewise, each by itself.

    Raises:
        UnsupportedError: the graph cannot be built in this size, or nothing of it can become smaller that way.
    """
    check_graph(model)
    gone = {id(graph): _blocks_to_go(graph, scale.depth) for graph in _graphs(model)}
    if scale.depth < 1 and not any(gone.values()):
        msg = (
            f"model {model.name!r} has no block that could go without changing a shape, so depth={scale.depth:g} makes "
            "no smaller student; give width=, or a student of your own"
        )
        raise UnsupportedError(msg)
    try:
        made = _Rebuild(model, scale.width, gone, _fixed_layers(model)).result(f"{model.name}_student")
    except (ValueError, TypeError) as error:  # of Keras, where sizes no longer go together
        reason = str(error).partition("\n")[0]
        msg = (
            f"model {model.name!r} cannot be made with width={scale.width:g},depth={scale.depth:g}: {reason}; give a "
            "student of your own by --student FILE or module:function"
        )
        raise UnsupportedError(msg) from error
    if made.count_params() >= model.count_params():
        msg = f"no layer of model {model.name!r} has a width to change; give a student of your own by --student"
        raise UnsupportedError(msg)
    return made


def _graphs(model: Any) -> Iterator[Any]:
    """Give a graph, and those inside it."""
    yield model
    for layer in {id(call.layer): call.layer for call in calls(model)}.values():
        if _is_graph(layer):
            yield from _graphs(layer)


def _is_graph(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and is_graph(layer)


class _Rebuild:
    """One graph being built again, smaller."""

    def __init__(
        self, model: Any, width: float, gone: Mapping[int, Sequence[_Block]], fixed: Mapping[int, Any]
    ) -> None:
        """Take what is known.

        Args:
            model: the graph.
            width: fraction of the channels.
            gone: blocks to leave out, by the id of the graph that they are in.
            fixed: by their ids, the layers whose channels stay.
        """
        self._model, self._width, self._gone, self._fixed = model, width, gone, fixed
        blocks = gone[id(model)]
        self._skipped = {id(call.outputs[0]) for block in blocks for call in block.calls}
        self._ends = {id(block.end): block.begin for block in blocks}
        self._tensors: dict[int, Any] = {}
        self._copies: dict[int, Any] = {}

    def result(self, name: str, given: Sequence[Any] = ()) -> Any:
        """Return the graph.

        Args:
            name: its name.
            given: what goes into it, for its shapes; nothing: what goes into the original.
        """
        inputs = keras.tree.map_structure(input_like, input_structure(self._model))
        if given:
            pairs = zip(keras.tree.flatten(inputs), given, strict=True)
            entries = [keras.Input(batch_shape=t.shape, dtype=old.dtype, name=origin(old).name) for old, t in pairs]
            inputs = keras.tree.pack_sequence_as(inputs, entries)
        for old, new in zip(self._model.inputs, keras.tree.flatten(inputs), strict=True):
            self._tensors[id(old)] = new
        for call in calls(self._model):
            if id(call.outputs[0]) in self._skipped:
                continue
            args, kwargs = map_structure(self._new, (call.args, call.kwargs))
            made = self._copy(call, args)(*args, **kwargs)
            self._carry_statistics_(call.layer)
            for old, new in zip(call.outputs, leaves(made), strict=True):
                self._tensors[id(old)] = new
        outputs = keras.tree.map_structure(self._new, output_structure(self._model))
        return keras.Model(inputs, outputs, name=name)

    def _carry_statistics_(self, layer: Any) -> None:
        """Give the data's mean and variance on: no training finds them."""
        if isinstance(layer, keras.layers.Normalization):
            self._copies[id(layer)].set_weights(layer.get_weights())
            self._copies[id(layer)].finalize_state()

    def _new(self, leaf: Any) -> Any:
        if not isinstance(leaf, keras.KerasTensor):
            return leaf
        while id(leaf) in self._ends:
            leaf = self._ends[id(leaf)]
        return self._tensors[id(leaf)]

    def _copy(self, call: Call, args: Any) -> Any:
        layer = call.layer
        if id(layer) not in self._copies:
            if _is_graph(layer):
                fixed = _fixed_layers(layer) if id(layer) in self._fixed else {}
                inner = _Rebuild(layer, self._width, self._gone, fixed)
                copy = inner.result(layer.name, [leaf for leaf in leaves(args) if isinstance(leaf, keras.KerasTensor)])
            elif isinstance(layer, keras.Model):
                copy = keras.models.clone_model(layer)
            else:
                changed = {} if id(layer) in self._fixed else _scaled(layer, self._width)
                copy = unbuilt_copy(layer, **changed, **_groups(layer, args))
            self._copies[id(layer)] = copy
        return self._copies[id(layer)]


def _scaled(layer: Any, width: float) -> dict[str, Any]:
    """Return what of a layer's configuration changes: its widths, or those of the layer that it is around."""
    config = layer.get_config() if isinstance(layer, keras.layers.Layer) else {}
    sizes = {name: config[name] for name in WIDTHS if isinstance(config.get(name), int)}
    changed: dict[str, Any] = {name: max(1, round(size * width)) for name, size in sizes.items()}
    for name, inner in _wrapped(layer).items():
        changed[name] = keras.layers.serialize(unbuilt_copy(inner, **_scaled(inner, width)))
    return changed


def _wrapped(layer: Any) -> dict[str, Any]:
    """Return the layers that one is around, by their names in its configuration."""
    if type(layer) is keras.layers.TimeDistributed and not isinstance(layer.layer, keras.Model):
        return {"layer": layer.layer}
    if type(layer) is keras.layers.Bidirectional:
        both = {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
        return {name: inner for name, inner in both.items() if name in layer.get_config()}
    return {}


def _groups(layer: Any, args: Any) -> dict[str, int]:
    """Return as many groups as there are channels now, for a convolution that had a group for each."""
    if getattr(layer, "groups", 1) == 1 or not hasattr(layer, "filters") or layer.kernel.shape[-2] != 1:
        return {}
    return {"groups": int(leaves(args)[0].shape[-1])}


def _fixed_layers(model: Any) -> dict[int, Any]:
    """Return, by id, the layers whose channels are those of an output: nothing with a kernel comes behind them."""
    open_tensors = {id(tensor) for tensor in model.outputs}
    fixed: dict[int, Any] = {}
    for call in reversed(list(calls(model))):
        if not any(id(tensor) in open_tensors for tensor in call.outputs):
            continue
        fixed[id(call.layer)] = call.layer
        if not _widths(call.layer):
            open_tensors |= {id(leaf) for leaf in leaves((call.args, call.kwargs))}
    return fixed


def _widths(layer: Any) -> bool:
    """Return whether what a layer gives has channels of its own number."""
    if _is_graph(layer):
        return any(map(_widths, _fixed_layers(layer).values()))
    inner = _wrapped(layer).values()
    own = any(isinstance(getattr(layer, name, None), int) for name in WIDTHS)
    return own or isinstance(layer, keras.Model) or any(map(_widths, inner))


def _blocks_to_go(model: Any, depth: float) -> list[_Block]:
    """Return the blocks to leave out, spread evenly over those that can go."""
    able = [block for block in _blocks(model) if block.can_go]
    left_out = max(depth < 1, round(len(able) * (1.0 - depth))) if able else 0
    places = {int((number + 0.5) * len(able) / left_out) for number in range(left_out)} if left_out else set()
    return [block for place, block in enumerate(able) if place in places]


def _blocks(model: Any) -> Iterator[_Block]:
    """Give what lies between two tensors that everything goes through, where it holds a kernel.

    What follows without a kernel (a normalization, an activation) belongs to the block; a pooling stands by itself.
    """
    open_block: _Block | None = None
    for part in _parts(model):
        if any(map(_kernel, part.calls)):
            if open_block is not None:
                yield open_block
            open_block = part
        elif open_block is not None and part.can_go:
            open_block = _Block(open_block.begin, part.end, [*open_block.calls, *part.calls])
        elif open_block is not None:
            yield open_block
            open_block = None


def _parts(model: Any) -> Iterator[_Block]:
    """Cut the calls wherever a single tensor carries everything; the last part, that of the outputs, is left out."""
    made = list(calls(model))
    last_use = {id(tensor): len(made) for tensor in model.outputs}
    for place, call in enumerate(made):
        for leaf in leaves((call.args, call.kwargs)):
            last_use[id(leaf)] = max(place, last_use.get(id(leaf), -1))
    alive = {id(tensor): tensor for tensor in model.inputs}
    begin = model.inputs[0] if len(model.inputs) == 1 else None
    inside: list[Call] = []
    for place, call in enumerate(made[:-1]):
        inside.append(call)
        alive |= {id(tensor): tensor for tensor in call.outputs}
        alive = {key: tensor for key, tensor in alive.items() if last_use.get(key, -1) > place}
        if len(alive) == 1:
            end = next(iter(alive.values()))
            if begin is not None:
                yield _Block(begin, end, inside)
            begin, inside = end, []


def _kernel(call: Call) -> bool:
    return any(len(weight.shape) > 1 for weight in getattr(call.layer, "weights", ()))
