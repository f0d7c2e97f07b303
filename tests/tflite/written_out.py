"""Graphs that write steps out, for tests: what a step computes is drawn, and computed again for each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edge_runner.opnames import BUILTIN
from tfcompress.tflite.graph_editor import numbers_of, with_options
from tfcompress.tflite.tree import Node, Numbers, Text
from tfcompress.tflite.tree_writer import write_tree

WIDTH = 4
KINDS = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions", "TANH": None, "LOGISTIC": None}
Ref = tuple[str, int]
"""Where an op of a step takes a value from: a frame, an op of this step or of the one before, a constant, an input."""


@dataclass(frozen=True)
class Step:
    """What a step computes.

    Attributes:
        ops: name of each op and what it takes.
        packed: ops whose values of all steps are an output.
        shown: ops whose values of the last step are outputs.
    """

    ops: tuple[tuple[str, tuple[Ref, ...]], ...]
    packed: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()


@dataclass
class Graph:
    """A graph being written."""

    tensors: list[Node] = field(default_factory=list)
    ops: list[Node] = field(default_factory=list)
    buffers: list[Node] = field(default_factory=lambda: [Node("Buffer", {})])
    codes: list[str] = field(default_factory=list)

    def tensor(self, shape: Iterable[int], values: np.ndarray | None = None) -> int:
        node = Node("Tensor", {"shape": numbers_of(shape), "name": Text(f"t{len(self.tensors)}".encode())})
        if values is not None:
            self.buffers.append(Node("Buffer", {"data": Numbers(1, values.astype("<f4").tobytes())}))
            node = node.having(buffer=len(self.buffers) - 1)
        self.tensors.append(node)
        return len(self.tensors) - 1

    def op(self, name: str, inputs: Iterable[int], outputs: list[int], table: str | None, **options: Any) -> list[int]:
        if name not in self.codes:
            self.codes.append(name)
        node = Node("Operator", {"inputs": numbers_of(inputs), "outputs": numbers_of(outputs)})
        node = node.having(opcode_index=self.codes.index(name))
        self.ops.append(node if table is None else with_options(node, table, **options))
        return outputs

    def content(self, inputs: list[int], outputs: list[int]) -> bytes:
        graph = Node("SubGraph", {"name": Text(b"main")}).having(
            tensors=tuple(self.tensors),
            operators=tuple(self.ops),
            inputs=numbers_of(inputs),
            outputs=numbers_of(outputs),
        )
        codes = (
            Node("OperatorCode", {}).having(builtin_code=BUILTIN.index(n), deprecated_builtin_code=BUILTIN.index(n))
            for n in self.codes
        )
        model = Node("Model", {}).having(
            version=3, operator_codes=tuple(codes), subgraphs=(graph,), buffers=tuple(self.buffers)
        )
        return write_tree(model)


def written_out(step: Step, frames: int, *, backwards: bool = False, turned: bool = False) -> bytes:
    """Return a file that computes a step for each frame of its first input, (1, frames, 4).

    Args:
        step: what is computed.
        frames: how many.
        backwards: from the last frame on.
        turned: values are packed with that of the last step first.
    """
    graph, generator = Graph(), np.random.default_rng(0)
    given, outside = graph.tensor((1, frames, WIDTH)), graph.tensor((1, WIDTH))
    constants = [graph.tensor((1, WIDTH), generator.normal(size=(1, WIDTH))) for _ in range(2)]
    unpacked = [graph.tensor((1, WIDTH)) for _ in range(frames)]
    graph.op("UNPACK", [given], unpacked, "UnpackOptions", num=frames, axis=1)
    before: dict[int, int] = {}
    seen: list[dict[int, int]] = []
    for place in reversed(range(frames)) if backwards else range(frames):
        made: dict[int, int] = {}
        found: dict[str, Callable[[int], int]] = {
            "frame": lambda _, place=place: unpacked[place],
            "step": made.__getitem__,
            "before": lambda n, before=before: before.get(n, constants[1]),
            "constant": constants.__getitem__,
            "outside": lambda _: outside,
        }
        for number, (name, refs) in enumerate(step.ops):
            inputs = [found[kind](n) for kind, n in refs]
            (made[number],) = graph.op(name, inputs, [graph.tensor((1, WIDTH))], KINDS[name])
        before = made
        seen.append(made)
    outputs = [before[number] for number in step.shown]
    for number in step.packed:
        values = [each[number] for each in (seen[::-1] if turned else seen)]
        whole = graph.tensor((1, frames, WIDTH))
        outputs += graph.op("PACK", values, [whole], "PackOptions", values_count=frames, axis=1)
    return graph.content([given, outside], outputs)


@st.composite
def steps(draw: Any) -> Step:
    """Draw a step: every op takes values from anywhere, the last one the frame and what it made before."""
    count = draw(st.integers(1, 6))
    ops = []
    for number in range(count):
        name = draw(st.sampled_from(sorted(KINDS)))
        places = [("frame", 0), ("constant", 0), ("outside", 0), *(("before", n) for n in range(count))]
        refs = st.sampled_from([*places, *(("step", n) for n in range(number))])
        ops.append((name, tuple(draw(refs) for _ in range(1 if KINDS[name] is None else 2))))
    ops.append(("ADD", (("frame", 0), ("before", count))))
    ops.append(("TANH", (("step", count),)))
    some = st.lists(st.integers(0, count + 1), max_size=2, unique=True)
    return Step(tuple(ops), tuple(draw(some)), (count, *draw(some.map(lambda n: [x for x in n if x != count]))))
