"""Models that look words or numbers up in a table first: cut in two behind that, for which TFLite has no op.

What is behind it becomes the model that is compressed and exported; the table itself is data, for the program on the
device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import leaves, map_structure
from tfcompress.models.graph import Call, calls, is_graph
from tfcompress.models.keras_private import has_origin, origin
from tfcompress.models.kinds import graph_of, keras_of, library

TABLES = ("StringLookup", "IntegerLookup", "TextVectorization")
"""Layers that hold a vocabulary."""

WITHOUT_OP = frozenset({*TABLES, "Hashing", "CategoryEncoding", "HashedCrossing"})
"""Layers in front of a model whose operations no TFLite runtime has."""


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

    The two parts share the layers, and so the weights, of *model*, which is left alone.

    Args:
        model: of either Keras; a SavedModel or a subclassed model is given back as it is.

    Raises:
        UnsupportedError: such a layer takes what other layers have computed; or gives an output of the model.
    """
    graph = graph_of(model)
    if keras_of(graph) == "savedmodel" or graph is not model or not is_graph(model):
        return SplitModel(model)
    found = list(calls(model))
    if not any(type(call.layer).__name__ in WITHOUT_OP for call in found):
        return SplitModel(model)
    before, ends, made_by = _front(model, found)
    keras = library("keras3" if keras_of(model) == "keras3" else "keras2")
    rest = _rest(model, found, before, ends, made_by)
    front = keras.Model(model.inputs, ends)
    cut = ", ".join(f"{call.layer.name!r} ({type(call.layer).__name__})" for call in before)
    now = ", ".join(f"{made_by[id(end)]} {_dtype(end)} {tuple(end.shape[1:])}" for end in ends)
    tables = {call.layer.name: call.layer for call in before if type(call.layer).__name__ in TABLES}
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


def _rest(model: Any, found: list[Call], before: list[Call], ends: list[Any], made_by: dict[int, str]) -> Any:
    """Make the calls behind the look-up layers again, on inputs that are named after those layers."""
    keras = library("keras3" if keras_of(model) == "keras3" else "keras2")
    inputs = [keras.Input(tuple(end.shape[1:]), dtype=_dtype(end), name=made_by[id(end)]) for end in ends]
    tensors = dict(zip(map(id, ends), inputs, strict=True))

    def swap(structure: Any) -> Any:
        return map_structure(lambda leaf: tensors.get(id(leaf), leaf), structure)

    for call in found:
        if not any(call is cut for cut in before):
            outputs = call.layer(*swap(call.args), **swap(call.kwargs))
            tensors.update(zip(map(id, call.outputs), leaves(outputs), strict=True))
    outputs = [tensors[id(tensor)] for tensor in model.outputs]
    return keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)


def _front(model: Any, found: list[Call]) -> tuple[list[Call], list[Any], dict[int, str]]:
    """Return the calls in front, the tensors that go from there (or from inputs) into the rest, and who made those."""
    made_by = {id(tensor): origin(tensor).name for tensor in model.inputs}
    tensors = {id(tensor): tensor for tensor in model.inputs}
    before: list[Call] = []
    ends: dict[int, Any] = {}
    for call in found:
        given = [leaf for leaf in leaves((call.args, call.kwargs)) if has_origin(leaf)]
        known = [id(tensor) in tensors for tensor in given]
        if type(call.layer).__name__ not in WITHOUT_OP:
            ends |= {id(tensor): tensor for tensor in given if id(tensor) in tensors}
            continue
        if not all(known):
            raise _inside(call, "takes what other layers have computed")
        before.append(call)
        for tensor in call.outputs:
            tensors[id(tensor)], made_by[id(tensor)] = tensor, call.layer.name
    outputs = {id(tensor) for tensor in model.outputs}
    for call in before:
        if outputs & {id(tensor) for tensor in call.outputs}:
            raise _inside(call, "gives an output of the model")
    return before, list(ends.values()), made_by


def _inside(call: Call, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"TFLite has no op for layer {call.layer.name!r} ({type(call.layer).__name__}), and it {why}: only in front of "
        "a model can it be left to the program on the device; replace it"
    )


def _dtype(tensor: Any) -> str:
    return str(getattr(tensor.dtype, "name", tensor.dtype))
