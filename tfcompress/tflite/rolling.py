"""Steps of a recurrent layer that are written out, as one WHILE whose body is a step. No number changes.

A layer that is written out is some fifteen ops for each step of its sequences, and of a small one those take more bytes
than its weights. In a loop they are there once. The converter dies of a loop that it is to quantize; of one that is
quantized already nothing needs to be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edge_runner.opnames import TYPES
from tfcompress.errors import UnsupportedError
from tfcompress.export_choices import RUNTIMES
from tfcompress.tflite.equal_steps import Repetition, repetitions
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.graph_editor import GraphEditor, numbers_of, with_options
from tfcompress.tflite.packings import Digest, prove
from tfcompress.tflite.slim import slim
from tfcompress.tflite.tree import Node, Text, Value

_FEW = 3
"""Frames that are taken out of a sequence one by one, at most, in place of an op that unpacks all."""


def rolled(content: bytes) -> bytes:
    """Return a file in which steps that are written out are loops; the same file where there are none.

    What that changes of the answers is to be proven: see :func:`rolled_and_proven`.

    Args:
        content: a TFLite file that :func:`tfcompress.tflite.flatbuffer.read_model_file` has read.

    Raises:
        UnsupportedError: the file holds what this version does not know, or goes by numbers of ops.
    """
    editor, count = GraphEditor(content), 0
    while (found := next(repetitions(editor.read()), None)) is not None:
        _Loop(editor, found).write_()
        count += 1
    if not count:
        return content
    _take_few_frames_(editor)
    return editor.content()


def rolled_and_proven(
    content: bytes, inputs: Mapping[str, np.ndarray], digests: Mapping[str, Digest]
) -> tuple[bytes, str]:
    """Return a file in which steps that are written out are loops, if it is smaller and answers the same in every bit.

    Args:
        content: the file.
        inputs: samples by input name, arrays of shape (samples, *shape).
        digests: interpreters to compare in beside LiteRT's and tflite-runtime's, by name.

    Returns:
        The file, and what was done or why not, in a sentence; empty: there are no such steps, or too few to gain by it.
    """
    try:
        after = rolled(content)
        if len(slim(after)) >= len(slim(content)):
            return content, ""
    except UnsupportedError:
        return content, ""
    proven, difference = prove(content, after, inputs, (*RUNTIMES, *digests), digests)
    if difference:
        return content, f"recurrent layers stay written out step by step: with a loop in their place, {difference}"
    before, now = (sum(read_model_file(each).op_counts.values()) for each in (content, after))
    said = f"recurrent layers are loops in the file: {now} ops in place of {before}"
    return after, f"{said}, outputs bit-equal in {', '.join(proven)}"


class _Body:
    """A graph of a loop: tensors and ops, its first tensors what goes round."""

    def __init__(self, editor: GraphEditor, carried: Sequence[Node]) -> None:
        self._editor, self.tensors, self.ops = editor, list(carried), list[Node]()
        self._count = len(carried)
        self._constants: dict[tuple[int, ...], int] = {}

    def add(self, tensor: Node) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, *values: int, shape: tuple[int, ...] = ()) -> int:
        """Add whole numbers, once."""
        if values not in self._constants:
            buffer = self._editor.add_buffer(np.asarray(values, "<i4").tobytes())
            self._constants[values] = self.add(whole_numbers(shape).having(buffer=buffer))
        return self._constants[values]

    def op(self, name: str, inputs: Iterable[int], made: Node, table: str, **options: Value | int) -> int:
        """Add an op of one output, and return the output's number."""
        number = self.add(made)
        node = with_options(Node("Operator", {}), table, **options)
        self.ops.append(self._editor.placed(node, name, 1, inputs, [number]))
        return number

    def graph(self, outputs: Iterable[int], name: str) -> Node:
        """Return the graph."""
        return Node("SubGraph", {"name": Text(name.encode())}).having(
            tensors=tuple(self.tensors),
            operators=tuple(self.ops),
            inputs=numbers_of(range(self._count)),
            outputs=numbers_of(outputs),
        )


def axis_of(op: Node) -> int:
    """Return the axis that an op packs or unpacks."""
    options = op.node("builtin_options")
    return 0 if options is None else options.number("axis")


def whole_numbers(shape: tuple[int, ...], dtype: str = "INT32") -> Node:
    """Return a tensor of whole numbers that is computed."""
    fields: dict[str, Value] = {"shape": numbers_of(shape), "name": Text(b"")}
    return Node("Tensor", fields).having(type=TYPES.index(dtype), has_rank=1)


class _Loop:
    """One repetition on its way to a loop.

    Round go, in this order: the number of the step, the states, the sequences, what all steps take, and what is packed.
    """

    def __init__(self, editor: GraphEditor, found: Repetition) -> None:
        self._editor, self._found = editor, found
        self._packs = list(found.collected)
        self._sequences = list(found.sequences)
        held = editor.tensors
        self._given = [
            *(before for _, before, _ in found.states.values()),
            *(editor.ops[op].numbers("inputs")[0] for op in self._sequences),
            *found.outside,
            *(editor.ops[op].numbers("outputs")[0] for op in self._packs),
        ]
        kinds = [tensor for tensor, _, _ in found.states.values()] + self._given[len(found.states) :]
        self._carried = [whole_numbers(()), *(held[number].having(buffer=None) for number in kinds)]

    def write_(self) -> None:
        """Put the loop into the place of the steps."""
        editor, found = self._editor, self._found
        condition = _Body(editor, self._carried)
        goes_on = condition.op("LESS", [0, condition.constant(found.count)], whole_numbers((), "BOOL"), "LessOptions")
        graphs = [editor.add_graph(condition.graph([goes_on], "goes_on")), editor.add_graph(self._step())]
        start = editor.add_tensor(whole_numbers(()).having(buffer=editor.add_buffer(np.int32(found.first).tobytes())))
        given, before = [start, *self._given], list[Node]()
        ends = [-1, *(tensor for _, _, tensor in found.states.values())]
        ends += [-1] * (len(given) - len(ends))
        left = [editor.add_tensor(kind) if end < 0 else end for end, kind in zip(ends, self._carried, strict=True)]
        for place, op in enumerate(self._packs, len(given) - len(self._packs)):
            node = editor.ops[op]
            left[place] = given[place]  # whoever took what was packed takes what the loop leaves
            given[place] = editor.add_tensor(self._carried[place])
            before.append(editor.placed_as(node, self._begun(op), [given[place]]))
        called = {"cond_subgraph_index": graphs[0], "body_subgraph_index": graphs[1]}
        loop = with_options(Node("Operator", {}), "WhileOptions", **called)
        gone = found.ops | set(self._packs)
        kept = [op for number, op in enumerate(editor.ops) if number not in gone]
        editor.ops = [*kept, *before, editor.placed(loop, "WHILE", 1, given, left)]
        editor.sort_ops()

    def _begun(self, pack: int) -> list[int]:
        """Return what is packed before the loop: values of steps before it, and in the places of others any of them."""
        _, turned = self._found.collected[pack]
        given = self._editor.ops[pack].numbers("inputs")
        known = list(given[::-1] if turned else given)
        known[self._found.first :] = known[:1] * (self._found.count - self._found.first)
        return known[::-1] if turned else known

    def _step(self) -> Node:
        """Return the graph of a step."""
        editor, found = self._editor, self._found
        body = _Body(editor, self._carried)
        following = body.op("ADD", [0, body.constant(1)], whole_numbers(()), "AddOptions")
        places = {"": 0, "turned": -1}
        if found.backwards or any(turned for _, turned in found.collected.values()):
            places["turned"] = body.op("SUB", [body.constant(found.count - 1), 0], whole_numbers(()), "SubOptions")
        at = 1
        known = {-1: -1}
        for tensor, _, _ in found.states.values():
            known[tensor], at = at, at + 1
        for op, frame in found.sequences.items():
            gathered = [at, places["turned" if found.backwards else ""]]
            axis = axis_of(editor.ops[op])
            known[frame] = body.op("GATHER", gathered, editor.tensors[frame], "GatherOptions", axis=axis)
            at += 1
        for tensor in found.outside:
            known[tensor], at = at, at + 1
        for number in found.template:
            node = editor.ops[number]
            for constant in sorted({*node.numbers("inputs")} - known.keys()):
                known[constant] = body.add(editor.tensors[constant])
            given = [known[n] for n in node.numbers("inputs")]
            made = [body.add(editor.tensors[n]) for n in node.numbers("outputs")]
            known.update(zip(node.numbers("outputs"), made, strict=True))
            body.ops.append(editor.placed_as(node, given, made))
        outputs = [following, *(known[found.made[place]] for place in found.states)]
        outputs += range(len(outputs), at)
        for pack in self._packs:
            outputs.append(self._put(body, pack, at, known, places))
            at += 1
        return body.graph(outputs, "step")

    def _put(self, body: _Body, pack: int, packed: int, known: dict[int, int], places: dict[str, int]) -> int:
        """Put a value of this step into what is packed."""
        place, turned = self._found.collected[pack]
        value = self._found.made[place]
        whole = self._carried[packed]
        rank = len(whole.numbers("shape"))
        axis = axis_of(self._editor.ops[pack]) % rank
        shape = list(whole.numbers("shape"))
        shape[axis] = 1
        slab = self._editor.tensors[value].having(shape=numbers_of(shape), shape_signature=None)
        wide = body.op("EXPAND_DIMS", [known[value], body.constant(axis)], slab, "ExpandDimsOptions")
        here, zero = places["turned" if turned else ""], body.constant(0)
        start = body.op(
            "PACK",
            [here if n == axis else zero for n in range(rank)],
            whole_numbers((rank,)),
            "PackOptions",
            values_count=rank,
        )
        return body.op("DYNAMIC_UPDATE_SLICE", [packed, wide, start], whole, "DynamicUpdateSliceOptions")


def _take_few_frames_(editor: GraphEditor) -> None:
    """Take single frames out of sequences of which a loop takes the others."""
    ops = editor.read()
    made: list[Node] = []
    for number in range(len(ops.ops)):
        used = [place for place, tensor in enumerate(ops.left[number]) if ops.users.get(tensor) or tensor in ops.ends]
        if ops.name(number) != "UNPACK" or len(used) > _FEW:
            made.append(ops.ops[number])
            continue
        for place in used:
            index = editor.add_tensor(whole_numbers(()).having(buffer=editor.add_buffer(np.int32(place).tobytes())))
            node = with_options(Node("Operator", {}), "GatherOptions", axis=axis_of(ops.ops[number]))
            given = [ops.given[number][0], index]
            made.append(editor.placed(node, "GATHER", 1, given, [ops.left[number][place]]))
    editor.ops = made
