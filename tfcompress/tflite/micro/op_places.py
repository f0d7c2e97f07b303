"""Where in a model an op of a file came from, in words for messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tfcompress.tflite.flatbuffer import FlatModel

NPU_OP = "ethos-u"
"""The custom op that stands for what Vela compiled."""

_SHOWN = 5
_COPY = re.compile(r"_\d+$")


@dataclass(frozen=True)
class OpPlaces:
    """The ops of a file by what a user calls them.

    Attributes:
        flat: the file.
        tensor_names: what its tensors were called, a tuple a subgraph, where a packing took the names away.
        layers: names of the Keras model's layers; empty: not known.
    """

    flat: FlatModel
    tensor_names: Sequence[Sequence[str]] = ()
    layers: tuple[str, ...] = ()

    def of(self, number: int, op: str = "") -> str:
        """Return what op *number* of the main graph is called: ``SELECT at layer 'words'``."""
        ops = self.flat.subgraphs[0].ops
        if number >= len(ops):
            return f"{op or 'an op'} (number {number})"
        return f"{ops[number].name} at {self._where(number)}"

    def all_of(self, op: str) -> str:
        """Return where all ops of a kind in the main graph are."""
        found = [self._where(number) for number, each in enumerate(self.flat.subgraphs[0].ops) if each.name == op]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return (", ".join(found[:_SHOWN]) or "in a subgraph") + more

    def _where(self, number: int) -> str:
        name = self.tensor_name(number)
        layer = layer_named(name, self.layers)
        if layer:
            return f"layer {layer!r}"
        return repr(name) if name else f"op {number} of {len(self.flat.subgraphs[0].ops)}"

    def tensor_name(self, number: int) -> str:
        """Return what the first output of an op is called, or its input where it only stores; empty: nobody knows."""
        graph = self.flat.subgraphs[0]
        output = (*graph.ops[number].outputs, *graph.ops[number].inputs, None)[0]
        if output is None:
            return ""
        if self.tensor_names and output < len(self.tensor_names[0]):
            name = self.tensor_names[0][output]
        else:
            name = graph.tensors[output].name
        return name.split(";")[0]


def layer_named(tensor: str, layers: Iterable[str]) -> str:
    """Return the layer whose name is a part of a tensor's path, the innermost there is; empty: none.

    The converter may number a layer's name once more (``dense_1`` of ``dense``): that counts where nothing else fits.
    """
    known = set(layers)
    parts = [part for part in tensor.replace(";", "/").split("/") if part]
    exact = next((part for part in reversed(parts) if part in known), "")
    return exact or next((_COPY.sub("", part) for part in reversed(parts) if _COPY.sub("", part) in known), "")
