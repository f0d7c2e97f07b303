"""Parts of a TFLite file as files of their own: to read every tensor, to run some of its ops, to run each op alone.

An interpreter gives what a file calls its outputs, and XNNPACK keeps the rest to itself. So whatever is to be seen is
made an output, and whatever is to be given an input, in a copy of the file; constants and ops stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.tree import Node, Numbers, Text, parse_tree
from tfcompress.tflite.tree_writer import write_tree

_OPAQUE = frozenset({"resource", "variant", "string"})
"""Dtypes that cannot go in or out as arrays."""


@dataclass(frozen=True)
class FileSlice:
    """A part of a file.

    Attributes:
        content: it, as a file; inputs and outputs are named in its signature.
        inputs: name of an input -> number of the tensor of the whole file that it stands for.
        outputs: the same for outputs.
    """

    content: bytes
    inputs: dict[str, int]
    outputs: dict[str, int]


class Slicer:
    """Cuts one file.

    Attributes:
        model: the file.
    """

    def __init__(self, content: bytes) -> None:
        """Read a file.

        Raises:
            ModelError: it is not a TFLite file, or a malformed one.
            UnsupportedError: it holds what this version does not know.
        """
        self.model: FlatModel = read_model_file(content)
        self._tree = parse_tree(content)
        self._graph = self.model.subgraphs[0]
        self.made = {number: place for place, op in enumerate(self._graph.ops) for number in op.outputs}

    @property
    def readable(self) -> tuple[int, ...]:
        """Numbers of the tensors that ops compute and an array can hold, in the order in which they are computed."""
        return tuple(number for number in self.made if self._moves(number))

    def _moves(self, number: int) -> bool:
        """Whether a tensor can go in or out: it is there, is computed or given, and holds numbers."""
        if number < 0:
            return False
        tensor = self._graph.tensors[number]
        return not (tensor.constant or tensor.variable or tensor.dtype in _OPAQUE or 0 in tensor.shape)

    def whole(self) -> FileSlice:
        """Return the file with everything that it computes among its outputs."""
        return self._slice(range(len(self._graph.ops)), self._graph.inputs, self.readable)

    def rest(self, first: int) -> FileSlice:
        """Return the ops from number *first* on; what earlier ones compute is given."""
        ops = range(first, len(self._graph.ops))
        used = dict.fromkeys(number for place in ops for number in self._graph.ops[place].inputs)
        given = [number for number in used if self._moves(number) and self.made.get(number, -1) < first]
        wanted = [number for number in self._graph.outputs if self.made.get(number, -1) >= first]
        return self._slice(ops, given, wanted)

    def can_be_cut(self, first: int) -> bool:
        """Say whether all that the ops from number *first* on take from earlier ones can be given to them."""
        used = {number for op in self._graph.ops[first:] for number in op.inputs}
        return all(self._moves(number) for number in used if self.made.get(number, first) < first)

    def alone(self) -> tuple[FileSlice, tuple[int, ...]]:
        """Return a file in which every op stands alone, each of its inputs given; and the numbers of those ops.

        Ops that hold state, or take or give what no array holds, are left out.
        """
        chosen = [
            place
            for place, op in enumerate(self._graph.ops)
            if all(map(self._moves, op.outputs)) and all(self._fits_alone(number) for number in op.inputs)
        ]
        tensors = list(self._tree.nodes("subgraphs")[0].nodes("tensors"))
        operators: list[Node] = []
        inputs: dict[str, tuple[int, int]] = {}
        for place in chosen:
            places: list[int] = []
            for number in self._graph.ops[place].inputs:
                if self._moves(number):
                    inputs[f"op{place}_{len(places)}"] = (len(tensors), number)
                    places.append(len(tensors))
                    tensors.append(tensors[number])
                else:
                    places.append(number)
            operator = self._operators[place]
            operators.append(operator.having(inputs=_integers(places)))
        outputs = {f"t{number}": number for place in chosen for number in self._graph.ops[place].outputs}
        content = self._written(tensors, operators, {name: new for name, (new, _) in inputs.items()}, outputs)
        return FileSlice(content, {name: old for name, (_, old) in inputs.items()}, outputs), tuple(chosen)

    def _fits_alone(self, number: int) -> bool:
        return number < 0 or self._graph.tensors[number].constant or self._moves(number)

    @property
    def _operators(self) -> tuple[Node, ...]:
        return self._tree.nodes("subgraphs")[0].nodes("operators")

    def _slice(self, ops: Iterable[int], given: Sequence[int], wanted: Sequence[int]) -> FileSlice:
        inputs, outputs = ({f"t{number}": number for number in side} for side in (given, wanted))
        tensors = self._tree.nodes("subgraphs")[0].nodes("tensors")
        content = self._written(tensors, [self._operators[place] for place in ops], inputs, outputs)
        return FileSlice(content, inputs, outputs)

    def _written(
        self, tensors: Sequence[Node], operators: Sequence[Node], inputs: dict[str, int], outputs: dict[str, int]
    ) -> bytes:
        main, *others = self._tree.nodes("subgraphs")
        main = main.having(
            tensors=tuple(tensors),
            operators=tuple(operators),
            inputs=_integers(inputs.values()),
            outputs=_integers(outputs.values()),
        )
        signature = Node("SignatureDef", {}).having(
            inputs=_maps(inputs), outputs=_maps(outputs), signature_key=Text(b"slice")
        )
        model = self._tree.having(
            subgraphs=(main, *others), signature_defs=(signature,), metadata=None, metadata_buffer=None
        )
        return write_tree(model)


def _integers(values: Iterable[int]) -> Numbers:
    return Numbers(4, np.asarray(list(values), "<i4").tobytes())


def _maps(named: dict[str, int]) -> tuple[Node, ...]:
    return tuple(
        Node("TensorMap", {}).having(name=Text(name.encode()), tensor_index=number) for name, number in named.items()
    )
