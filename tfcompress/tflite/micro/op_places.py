"""Where in a model an op of a file came from, in words for messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tfcompress.tflite.flatbuffer import FlatModel

NPU_OP = "ethos-u"
"""The custom op that stands for what Vela compiled."""

_SHOWN = 5
_COPY = re.compile(r"_\d+$")
_SIDES = ("between ", "before ", "behind ")


@dataclass(frozen=True)
class OpPlaces:
    """The ops of a file by what a user calls them.

    Attributes:
        flat: the file.
        tensor_names: what its tensors were called, a tuple a subgraph, where a packing took the names away.
        layers: names of the Keras model's layers; empty: not known.
        ends: layer that makes an output of the model, by the output's name in the file's signature.
        weighted: those of the layers that have weights and are no part of others in a file.
    """

    flat: FlatModel
    tensor_names: Sequence[Sequence[str]] = ()
    layers: tuple[str, ...] = ()
    ends: Mapping[str, str] = field(default_factory=dict)
    weighted: frozenset[str] = frozenset()

    def of(self, number: int, op: str = "") -> str:
        """Return what op *number* of the main graph is called: ``SELECT at layer 'words'``."""
        ops = self.flat.subgraphs[0].ops
        if number >= len(ops):
            return f"{op or 'an op'} (number {number})"
        where = self._where(number)
        return f"{ops[number].name} {where}" if where.startswith(_SIDES) else f"{ops[number].name} at {where}"

    def all_of(self, op: str) -> str:
        """Return where all ops of a kind are; those of a subgraph are where the op is that runs it."""
        ops = self.flat.subgraphs[0].ops
        found = [self._where(number) for number, each in enumerate(ops) if each.name == op]
        found += dict.fromkeys(self._where(number) for number in self._running(op))
        found = list(dict.fromkeys(found)) if self.layers else found
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return (", ".join(found[:_SHOWN]) or "in a subgraph") + more

    def _running(self, op: str) -> Iterator[int]:
        """Give the ops of the main graph that run a subgraph with ops of a kind, at whatever depth."""
        for number, each in enumerate(self.flat.subgraphs[0].ops):
            asked, seen = list(each.calls), set()
            while asked:
                graph = asked.pop()
                if graph in seen or graph >= len(self.flat.subgraphs):
                    continue
                seen.add(graph)
                inside = self.flat.subgraphs[graph].ops
                asked += [call for each_inside in inside for call in each_inside.calls]
                if any(each_inside.name == op for each_inside in inside):
                    yield number
                    break

    def _where(self, number: int) -> str:
        name, own = self.tensor_name(number), self._named(number)
        if own:
            return f"layer {own[0]!r}"
        around = self._around(number) if self.layers else ""
        return around or (repr(name) if name else f"op {number} of {len(self.flat.subgraphs[0].ops)}")

    def _around(self, number: int) -> str:
        """Return where an op is that is named after no layer; empty: there is none around it.

        What a layer is taken apart into holds operations without a name of their own, which lie between parts of that
        layer; these are named after it.
        """
        after, before = (self._nearest(number, downwards=each) for each in (True, False))
        both = {name for name, _ in after} & {name for name, _ in before}
        inside = both or {name for name, is_part in (*after, *before) if is_part}
        if inside:
            return " or ".join(f"layer {name!r}" for name in self.layers if name in inside)
        first, last = (side[0][0] if side else "" for side in (before, after))
        missing = self._missing(first, last)
        if len(missing) == 1:
            return f"layer {missing[0]!r}"
        if first and last:
            return f"between layer {first!r} and layer {last!r}"
        return f"behind layer {first!r}" if first else f"before layer {last!r}" if last else ""

    def _missing(self, first: str, last: str) -> tuple[str, ...]:
        """Return the layers with weights between two that no op is named after: an LSTM that is one op, say.

        Args:
            first: the one before; empty: from the beginning.
            last: the one after; empty: up to the end.
        """
        start = self.layers.index(first) + 1 if first else 0
        stop = self.layers.index(last) if last else len(self.layers)
        told = {found[0] for number in range(len(self.flat.subgraphs[0].ops)) if (found := self._named(number))}
        return tuple(name for name in self.layers[start:stop] if name in self.weighted and name not in told)

    def _named(self, number: int) -> tuple[str, bool] | None:
        """Return the layer that an op is named after, and whether only as a part of it; None: after none."""
        graph = self.flat.subgraphs[0]
        outputs = {tensor.index: self.ends.get(tensor.name, "") for tensor in self.flat.outputs}
        end = next(filter(None, (outputs.get(n) for n in graph.ops[number].outputs)), "")
        layer = end if end in self.layers else layer_named(self.tensor_name(number), self.layers)
        if not layer:
            return None
        pieces = {_COPY.sub("", piece) for piece in re.split("[/;]", self.tensor_name(number))}
        return layer, not end and layer not in pieces

    def _nearest(self, number: int, *, downwards: bool) -> list[tuple[str, bool]]:
        """Return the layers of the nearest ops that have one, along what an op gives, or back along what it takes."""
        ops, asked, seen = self.flat.subgraphs[0].ops, [number], {number}
        found: list[tuple[str, bool]] = []
        while asked:
            for other in self._neighbours(asked.pop(), downwards=downwards):
                if other not in seen:
                    seen.add(other)
                    named = self._named(other) if other < len(ops) else None
                    found += [named] if named else []
                    asked += [] if named else [other]
        return found

    def _neighbours(self, number: int, *, downwards: bool) -> Iterator[int]:
        ops = self.flat.subgraphs[0].ops
        mine = set(ops[number].outputs if downwards else ops[number].inputs) - {-1}
        for other, each in enumerate(ops):
            if mine & set(each.inputs if downwards else each.outputs):
                yield other

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

    The converter may number a layer's name once more (``dense_1`` of ``dense``), and what a layer is taken apart into
    is named after it (``norm_square`` of ``norm``): these count where nothing else fits, in this order.
    """
    known = set(layers)
    parts = [part for part in reversed(tensor.replace(";", "/").split("/")) if part]
    exact = next((part for part in parts if part in known), "")
    copy = next((_COPY.sub("", part) for part in parts if _COPY.sub("", part) in known), "")
    return exact or copy or next(filter(None, (_whole_of(part, known) for part in parts)), "")


def _whole_of(part: str, layers: Iterable[str]) -> str:
    """Return the longest of the layers that a name begins with; empty: none."""
    return max((layer for layer in layers if part.startswith(f"{layer}_")), key=len, default="")
