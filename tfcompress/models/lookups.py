"""Models that look words or numbers up in a table first: cut in two behind that, for which TFLite has no op.

What is behind it becomes the model that is compressed and exported; the table itself is data, for the program on the
device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import leaves
from tfcompress.models.graph import Call, called_again, calls, is_graph, leaf_layers
from tfcompress.models.keras_private import has_origin, origin
from tfcompress.models.kinds import graph_of, is_model, keras_of, library
from tfcompress.models.specs import unique_names

TABLES = ("StringLookup", "IntegerLookup", "TextVectorization")
"""Layers that hold a vocabulary."""

WITHOUT_OP = frozenset({*TABLES, "Hashing", "CategoryEncoding", "HashedCrossing"})
"""Layers in front of a model whose operations no TFLite runtime has."""
UNTRAINED = frozenset({*WITHOUT_OP, "Discretization", "Normalization"})
"""Layers whose weights count what data holds: no training changes them."""


@dataclass(frozen=True)
class SplitModel:
    """A model behind its look-up layers.

    Attributes:
        model: what is behind them; the model itself where it has none.
        front: what is before: takes what the model took, gives what *model* takes; None: nothing was cut off.
        notes: where the cut is, and what a device program has to do.
        vocabularies: the words of each table by its layer's name; the place of a word is its number.
    """

    model: Any
    front: Any | None = None
    notes: tuple[str, ...] = ()
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def behind_lookups(model: Any) -> SplitModel:
    """Cut a model behind the layers of :data:`WITHOUT_OP` that its inputs go through first.

    What feeds them goes with them: the bins of a number before they become categories, say.

    The two parts share the layers, and so the weights, of *model*, which is left alone.

    Args:
        model: of either Keras; a SavedModel or a subclassed model is given back as it is.

    Raises:
        UnsupportedError: such a layer takes what trained layers have computed, or stands beside them in a nested
            model; or gives an output of the model.
    """
    graph = graph_of(model)
    if keras_of(graph) == "savedmodel" or graph is not model or not is_graph(model):
        return SplitModel(model)
    found = list(calls(model))
    for call in found:
        if is_model(call.layer) and _is_trained(call.layer):
            _check_nested(call.layer)
    if not any(_without_op(call.layer) for call in found):
        return SplitModel(model)
    before, ends, made_by = _front(model, found)
    keras = library("keras3" if keras_of(model) == "keras3" else "keras2")
    rest = _rest(model, found, before, ends, made_by)
    front = keras.Model(model.inputs, ends)
    cut = ", ".join(f"{call.layer.name!r} ({type(call.layer).__name__})" for call in before if _without_op(call.layer))
    now = ", ".join(f"{made_by[id(end)]} {_dtype(end)} {tuple(end.shape[1:])}" for end in ends)
    parts = [part for call in before for part in _parts(call.layer)]
    tables = {part.name: part for part in parts if type(part).__name__ in TABLES}
    vocabularies = {name: tuple(str(word) for word in layer.get_vocabulary()) for name, layer in tables.items()}
    words = (
        f"; the words of {', '.join(map(repr, tables))} go into NAME.vocabulary.txt, one a line from 0"
        if tables
        else ""
    )
    note = (
        f"TFLite has no op for {cut}: the file, and the data for it, begin behind that: it takes {now}, which the "
        f"program on the device has to compute{words}"
    )
    return SplitModel(rest, front, (note,), vocabularies)


def _check_nested(model: Any) -> None:
    """Refuse a model inside another that looks words up and holds trained layers, too: it is called as a whole."""
    held = [(path, layer) for path, layer in leaf_layers(model) if type(layer).__name__ in WITHOUT_OP]
    if held:
        path, layer = held[0]
        msg = (
            f"TFLite has no op for layer {model.name}/{path} ({type(layer).__name__}), which stands in one model with "
            "trained layers, inside another: call it in front of that model, so that it can be left to the program on "
            "the device"
        )
        raise UnsupportedError(msg)


def _rest(model: Any, found: list[Call], before: list[Call], ends: list[Any], made_by: dict[int, str]) -> Any:
    """Make the calls behind the look-up layers again, on inputs that are named after those layers."""
    keras = library("keras3" if keras_of(model) == "keras3" else "keras2")
    inputs = [keras.Input(tuple(end.shape[1:]), dtype=_dtype(end), name=made_by[id(end)]) for end in ends]
    behind = [call for call in found if not any(call is cut for cut in before)]
    tensors = called_again(behind, dict(zip(map(id, ends), inputs, strict=True)))
    outputs = [tensors[id(tensor)] for tensor in model.outputs]
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)


def _front(model: Any, found: list[Call]) -> tuple[list[Call], list[Any], dict[int, str]]:
    """Return the calls in front, the tensors that go from there (or from inputs) into the rest, and who made those."""
    before = _cut_off(found)
    in_front = {id(call) for call in before}
    made_by = {id(tensor): origin(tensor).name for tensor in model.inputs}
    made_by |= {id(tensor): call.layer.name for call in before for tensor in call.outputs}
    given = [tensor for call in found if id(call) not in in_front for tensor in _given(call)]
    ends = {id(tensor): tensor for tensor in given if id(tensor) in made_by}
    names = [made_by[end] for end in ends]
    if len(set(names)) < len(names):  # a table was asked twice, or a model gives several tensors
        made_by |= dict(zip(ends, unique_names(names), strict=True))
    outputs = {id(tensor) for tensor in model.outputs}
    for call in before:
        if outputs & {id(tensor) for tensor in call.outputs}:
            raise _inside(call, "gives an output of the model")
    return before, list(ends.values()), made_by


def _cut_off(found: list[Call]) -> list[Call]:
    """Return the calls of layers without op, and of those that only they are fed by: binning, casts, concatenation.

    Raises:
        UnsupportedError: such a layer takes what trained layers have computed.
    """
    maker = {id(tensor): call for call in found for tensor in call.outputs}
    wanted_by: dict[int, Call] = {}
    for call in reversed(found):  # a call comes behind those that feed it
        wanting = call if _without_op(call.layer) else wanted_by.get(id(call))
        if wanting is None:
            continue
        if _is_trained(call.layer):
            raise _inside(wanting, "takes what other layers have computed")
        feeding = [maker[id(tensor)] for tensor in _given(call) if id(tensor) in maker]
        wanted_by |= {id(call): wanting, **{id(each): wanting for each in feeding}}
    return [call for call in found if id(call) in wanted_by]


def _given(call: Call) -> list[Any]:
    return [leaf for leaf in leaves((call.args, call.kwargs)) if has_origin(leaf)]


def _without_op(layer: Any) -> bool:
    """Say whether a layer is one of :data:`WITHOUT_OP`, or a model that holds one and nothing that was trained."""
    return any(type(part).__name__ in WITHOUT_OP for part in _parts(layer)) and not _is_trained(layer)


def _is_trained(layer: Any) -> bool:
    return any(getattr(part, "weights", ()) and type(part).__name__ not in UNTRAINED for part in _parts(layer))


def _parts(layer: Any) -> list[Any]:
    return [part for _, part in leaf_layers(layer)] if is_model(layer) else [layer]


def _inside(call: Call, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"TFLite has no op for layer {call.layer.name!r} ({type(call.layer).__name__}), and it {why}: only in front of "
        "a model can it be left to the program on the device; replace it"
    )


def _dtype(tensor: Any) -> str:
    return str(getattr(tensor.dtype, "name", tensor.dtype))
