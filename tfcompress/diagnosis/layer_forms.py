"""What becomes of every layer in int8: the runtime's own op, several ops, or float."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from tfcompress.errors import UnsupportedError
from tfcompress.models import fused_lstm
from tfcompress.models.call_template import Template
from tfcompress.models.graph import Call, calls, is_graph
from tfcompress.models.keras_private import mask_of, nodes
from tfcompress.models.layer_copies import is_symbolic, layer_copy
from tfcompress.quantization.expand import expansion, obstacle
from tfcompress.quantization.rules import STAYS_FLOAT, name_of


@dataclass(frozen=True)
class LayerForm:
    """A layer's form in int8.

    Attributes:
        int8: whether all of it has an int8 kernel; None: not known.
        becomes: what it is rewritten into; empty: nothing else.
        reason: why it stays in float, or is not known.
    """

    int8: bool | None
    becomes: tuple[str, ...] = ()
    reason: str = ""


def flat_calls(model: Any, prefix: str = "") -> Iterator[tuple[str, Call]]:
    """Give the calls of a model and of the models in it, with the path of the layer that is called."""
    for call in calls(model):
        path = f"{prefix}{call.layer.name}"
        if isinstance(call.layer, keras.Model) and is_graph(call.layer):
            yield from flat_calls(call.layer, f"{path}/")
        else:
            yield path, call


def form_of(call: Call, unread: Collection[int] = ()) -> LayerForm:
    """Find out what becomes of a layer or operation without training; with QAT, LSTMs are written out, too.

    Args:
        call: of the layer or operation.
        unread: what :func:`tfcompress.models.fused_lstm.unread_cells` gives of its model.
    """
    if _is_one_op(call, unread):
        return LayerForm(True, (fused_lstm.OP,))
    try:
        parts = _parts(call)
    except UnsupportedError as refusal:
        return LayerForm(False, reason=str(refusal))
    if parts is None:
        return _plain(call.layer)
    floats = {name: STAYS_FLOAT[name] for name in map(name_of, parts) if name in STAYS_FLOAT}
    reason = ", ".join(f"{name}: {why}" for name, why in floats.items())
    return LayerForm(not floats, tuple(map(name_of, parts)), reason)


def _is_one_op(call: Call, unread: Collection[int]) -> bool:
    """Say whether a call is one of an LSTM, or of one both ways, that the file has an op for."""
    layer = call.layer
    both = isinstance(layer, keras.layers.Bidirectional)
    sides = [layer.forward_layer, layer.backward_layer] if both else [layer]
    if not all(isinstance(side, keras.layers.RNN) for side in sides):
        return False
    if any(fused_lstm.why_not_fused(side, cell_is_read=id(side) not in unread) for side in sides):
        return False
    tensors = [leaf for leaf in keras.tree.flatten((call.args, call.kwargs)) if is_symbolic(leaf)]
    return len(tensors) == 1 and mask_of(tensors[0]) is None  # no mask, and no state to begin with


def _plain(layer: Any) -> LayerForm:
    name = name_of(layer)
    reason = (obstacle(layer) if isinstance(layer, keras.layers.Layer) else "") or STAYS_FLOAT.get(name, "")
    if reason:
        return LayerForm(False, reason=reason)
    if not type(layer).__module__.startswith("keras."):
        return LayerForm(None, reason="a class of your own, whose inside is not known")
    return LayerForm(True)


def _parts(call: Call) -> list[Any] | None:
    """Return what a layer is expanded into; None: it is taken as it is."""
    layer = call.layer
    copied = layer_copy(layer, layer.name)
    apply = expansion(copied)
    if apply is None:
        return None
    template, tensors = Template.of(call.args, call.kwargs, is_symbolic)
    symbols = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in tensors]
    args, kwargs = template.fill(symbols)
    outputs = keras.tree.flatten(apply(*args, **{name: v for name, v in kwargs.items() if v is not None}))
    function = keras.Function(symbols, outputs)
    return [node.operation for node in nodes(function) if not node.is_input]
