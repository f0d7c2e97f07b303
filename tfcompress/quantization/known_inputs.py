"""The ranges of a model's inputs without a sample: as they are asked for, or as the model itself tells them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfcompress.errors import UsageError, nearest
from tfcompress.input_ranges import InputRange, InputRanges
from tfcompress.models.call_template import Template
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import functional
from tfcompress.models.layer_copies import is_symbolic
from tfcompress.models.signature import signature_of
from tfcompress.quantization import rules

BYTES: InputRange = (0.0, 255.0)
"""What a Rescaling to [0, 1] or [-1, 1] reads."""
_NEAR = 0.02
_HANDING_ON = ("unchanged", "same")
"""Kinds of layers whose outputs are the values that they are given, or some of them, or means of some."""


def ranges_of_inputs(model: Any, asked: InputRanges = InputRanges()) -> dict[str, InputRange]:  # noqa: B008 - a frozen value
    """Return the range of each input of a model, by name.

    Args:
        model: a Keras 3 model that is built.
        asked: what the user said; of inputs of which nothing is said, it follows from a Rescaling that reads them,
            behind nothing but layers that hand their values on, and takes the values of bytes to [0, 1] or [-1, 1].

    Raises:
        UsageError: an input whose range is not known, or a name that no input has.
    """
    names = [spec.name for spec in signature_of(model).inputs]
    foreign = next((name for name in asked.named if name not in names), None)
    if foreign is not None:
        msg = f"--input-range names input {foreign!r}, and the model has {', '.join(names)}{nearest(foreign, names)}"
        raise UsageError(msg)
    read_as_bytes = _Reader.of(model)
    found = {name: asked.of(name) or (BYTES if place in read_as_bytes else None) for place, name in enumerate(names)}
    unknown = [name for name, ends in found.items() if ends is None]
    if unknown:
        raise _unknown(unknown, names)
    return {name: ends for name, ends in found.items() if ends is not None}


def _unknown(unknown: list[str], names: list[str]) -> UsageError:
    if unknown == names:
        what, flags = "the model's inputs", "--input-range LOW,HIGH (0,1 for images scaled by 1/255)"
    else:
        what = f"input{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}"
        flags = " ".join(f"--input-range {name}=LOW,HIGH" for name in unknown)
    if unknown == names and len(names) > 1:
        flags = f"--input-range NAME=LOW,HIGH for each of {', '.join(names)}, or LOW,HIGH for all"
    return UsageError(f"int8 without data needs the range of {what}: give {flags}, or --data")


class _Reader:
    """Goes through a model and finds the inputs whose values a Rescaling takes for bytes."""

    def __init__(self) -> None:
        self.found: set[int] = set()

    @classmethod
    def of(cls, model: Any) -> set[int]:
        """Return the places of such inputs; none of a model whose calls are not known."""
        reader = cls()
        if is_graph(model):
            reader.follow(model, list(range(len(model.inputs))))
        return reader.found

    def follow(self, model: Any, given: list[int | None]) -> list[int | None]:
        """Return, of each output of a model, the input whose values it holds; None: other values.

        Args:
            model: the model, or one inside it.
            given: the same of each of its inputs.
        """
        graph = functional(model)
        known = dict(zip(map(id, graph.inputs), given, strict=True))
        for call in calls(model):
            tensors = Template.of(call.args, call.kwargs, is_symbolic)[1]
            outputs = self._handed_on(call.layer, [known[id(tensor)] for tensor in tensors])
            missing = [None] * (len(call.outputs) - len(outputs))
            known.update(zip(map(id, call.outputs), [*outputs, *missing], strict=True))
        return [known[id(tensor)] for tensor in graph.outputs]

    def _handed_on(self, layer: Any, places: list[int | None]) -> list[int | None]:
        if isinstance(layer, keras.Model) and is_graph(layer):
            return self.follow(layer, places)
        if len(places) != 1 or places[0] is None:
            return []
        if _takes_bytes(layer):
            self.found.add(places[0])
        return places if rules.kind_of(layer) in _HANDING_ON else []


def _takes_bytes(layer: Any) -> bool:
    if type(layer).__name__ != "Rescaling" or np.size(layer.scale) != 1:
        return False
    span = abs(255.0 * float(np.ravel(layer.scale)[0]))
    return min(abs(span - 1.0), abs(span - 2.0)) < _NEAR
