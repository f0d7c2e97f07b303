"""Where blocks lie in a model's graph: between two tensors of equal shape, of which the first can stand for the second.

A residual block is a sum of a tensor and of what is computed from it: with zeros in the branch the sum is that tensor,
so that leaving the branch out changes nothing. Other blocks are what lies between a tensor and one that it dominates
(every path from the inputs goes through it): a layer with its normalization and activation, a nested model, a gate.
Nothing inside may be used elsewhere. What lies in the branch of a residual block goes with it, not by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import keras

from tfcompress.models.call_template import leaves
from tfcompress.models.copies import slots_of
from tfcompress.models.graph import Call, calls, is_graph, leaf_layers
from tfcompress.models.keras_private import has_origin

ROOT = -1
"""What dominates the inputs."""

BODY = 6
"""A branch of more layers with kernels than this is the body of a network: what lies in it is looked at by itself."""


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a graph that can be left out.

    Attributes:
        name: path of the sum that ends it, or of its first layer with a kernel: ``add``, inside a nested model
            ``backbone/conv``.
        kind: ``residual``: its branch is added to *entry*; ``layers``: it computes *exit* from *entry* alone.
        entry: the symbolic tensor that stands for *exit* without the block.
        exit: the symbolic tensor that it makes.
        layers: paths of its layers with weights, in the order of their calls.
        kernels: paths of those with kernels.
    """

    name: str
    kind: Literal["residual", "layers"]
    entry: Any
    exit: Any
    layers: tuple[str, ...]
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class BlockAnalysis:
    """What was found in a model.

    Attributes:
        blocks: what can be left out, in the order of the graph.
        fixed: path of a layer with a kernel that lies in no block, or of a sum -> why.
    """

    blocks: tuple[Block, ...]
    fixed: dict[str, str]


def find_blocks(model: Any) -> BlockAnalysis:
    """Find the blocks of a Keras 3 model, and of the models inside it.

    Args:
        model: functional or sequential, built.
    """
    blocks: list[Block] = []
    fixed: dict[str, str] = {}
    for graph in _graphs(model, "", top=True, seen=set()):
        found = [*graph.residual(), *graph.plain()]
        blocks += sorted(found, key=lambda block: graph.number[id(block.exit)])
        fixed |= graph.reasons()
    branches = [set(block.layers) for block in blocks if block.kind == "residual" and len(block.kernels) <= BODY]
    blocks = [each for each in blocks if each.kind == "residual" or not _inside(each, branches)]
    inside = {path for block in blocks for path in block.layers} | {block.name for block in blocks}
    left = {path: reason for path, reason in fixed.items() if path not in inside}
    return BlockAnalysis(tuple(_named_apart(blocks)), left)


def tensors_of(call: Call) -> list[Any]:
    """Return the symbolic tensors that go into a call, in their order."""
    return [leaf for leaf in leaves([call.args, list(call.kwargs.values())]) if has_origin(leaf)]


def holds_model(layer: Any) -> bool:
    """Say whether a layer is a model whose calls are known."""
    return isinstance(layer, keras.Model) and is_graph(layer)


def _inside(block: Block, branches: list[set[str]]) -> bool:
    """Whether a block is part of a branch, which goes as a whole or not at all."""
    return any(branch.issuperset(block.layers) for branch in branches)


def _named_apart(blocks: list[Block]) -> Iterator[Block]:
    """Give blocks of which no two have one name: the second that begins with the same layer has a number behind it."""
    taken: set[str] = set()
    for block in blocks:
        name, number = block.name, 2
        while name in taken:
            name, number = f"{block.name}:{number}", number + 1
        taken.add(name)
        yield replace(block, name=name)


def _graphs(model: Any, prefix: str, *, top: bool, seen: set[int]) -> Iterator[_Graph]:
    if id(model) in seen:
        return
    seen.add(id(model))
    graph = _Graph(model, prefix, top)
    yield graph
    for call in graph.order:
        if holds_model(call.layer):
            yield from _graphs(call.layer, f"{prefix}{call.layer.name}/", top=False, seen=seen)


@dataclass(eq=False)
class _Graph:
    """The calls of one model, what depends on what, and what dominates what; tensors are numbered."""

    model: Any
    prefix: str
    top: bool
    order: list[Call] = field(init=False)
    number: dict[int, int] = field(default_factory=dict)
    tensors: list[Any] = field(default_factory=list)
    maker: dict[int, Call] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = list(calls(self.model))
        self._before: list[int] = []  # bits of the tensors that each one depends on, itself among them
        self._dominator: list[int] = []
        self._depth: list[int] = []
        self._users: list[list[Call]] = []
        for tensor in self.model.inputs:
            self._add(tensor, [], ROOT)
        for call in self.order:
            given = [self.number[id(tensor)] for tensor in tensors_of(call)]
            for one in dict.fromkeys(given):
                self._users[one].append(call)
            for tensor in call.outputs:
                self._add(tensor, given, self._meeting(given))
                self.maker[self.number[id(tensor)]] = call
        self.ends = {self.number[id(tensor)] for tensor in self.model.outputs}

    def _add(self, tensor: Any, given: list[int], dominator: int) -> None:
        here = len(self.tensors)
        self.number[id(tensor)] = here
        self.tensors.append(tensor)
        bits = 1 << here
        for one in given:
            bits |= self._before[one]
        self._before.append(bits)
        self._dominator.append(dominator)
        self._depth.append(0 if dominator == ROOT else self._depth[dominator] + 1)
        self._users.append([])

    def _meeting(self, given: list[int]) -> int:
        """Return the nearest tensor that dominates all of these, or is all of them."""
        if not given:
            return ROOT
        one, *others = given
        for other in others:
            while one != other:
                if ROOT in (one, other):
                    return ROOT
                if self._depth[one] >= self._depth[other]:
                    one = self._dominator[one]
                else:
                    other = self._dominator[other]
        return one

    def _depends(self, later: int, earlier: int) -> bool:
        return bool(self._before[later] >> earlier & 1)

    def _alike(self, one: int, other: int) -> bool:
        """Whether the first tensor can stand where the other one stood."""
        first, second = self.tensors[one], self.tensors[other]
        return len(first.shape) > 1 and tuple(first.shape) == tuple(second.shape) and first.dtype == second.dtype

    def _between(self, entry: int, exit_: int) -> list[Call]:
        """Return the calls on the paths from one tensor to another."""
        made = [
            self.maker[one]
            for one in range(entry + 1, exit_ + 1)
            if one in self.maker and self._depends(exit_, one) and self._depends(one, entry)
        ]
        return list({id(call): call for call in made}.values())

    def residual(self) -> Iterator[Block]:
        """Give the residual blocks."""
        for call in self.order:
            exit_ = self.number[id(call.outputs[0])]
            entry = self._identity(call)
            if entry is not None and self._may_end(entry, exit_):
                yield from self._block("residual", entry, exit_)

    def _identity(self, call: Call) -> int | None:
        """Return what a sum adds to things that depend on it, where it has the sum's shape; None: nothing."""
        if not is_sum(call.layer):
            return None
        exit_ = self.number[id(call.outputs[0])]
        given = [self.number[id(tensor)] for tensor in tensors_of(call)]
        for one in given:
            rest = [other for other in given if other != one]
            if len(rest) == len(given) - 1 and rest and all(self._depends(other, one) for other in rest):
                return one if self._alike(one, exit_) else None
        return None

    def _may_end(self, entry: int, exit_: int) -> bool:
        """Whether a tensor may be replaced: it is no output, or one of a nested model that stays a model."""
        return exit_ not in self.ends or (not self.top and entry in self.maker)

    def plain(self) -> Iterator[Block]:
        """Give the blocks that compute their exit from their entry alone."""
        for exit_ in range(len(self.tensors)):
            entry = self._dominator[exit_]
            if entry == ROOT or exit_ not in self.maker or self._is_residual(exit_):
                continue
            if self._has_kernel(self._between(entry, exit_)) and self._closed(entry, exit_):
                end = self._extended(entry, exit_)
                if end is not None:
                    yield from self._block("layers", entry, end)

    def _is_residual(self, exit_: int) -> bool:
        return self._identity(self.maker[exit_]) is not None

    def _closed(self, entry: int, exit_: int) -> bool:
        """Whether nothing between two tensors is used elsewhere."""
        inside = {id(call) for call in self._between(entry, exit_)}
        for one in range(entry + 1, exit_):
            if one in self.maker and id(self.maker[one]) in inside and not self._used_within(one, inside):
                return False
        return True

    def _used_within(self, one: int, inside: set[int]) -> bool:
        return one not in self.ends and all(id(user) in inside for user in self._users[one])

    def _extended(self, entry: int, exit_: int) -> int | None:
        """Return the last tensor behind a block's kernel that has the entry's shape: behind its activation, say."""
        found = None
        while True:
            if self._alike(entry, exit_) and self._may_end(entry, exit_):
                found = exit_
            users = self._users[exit_]
            if len(users) != 1 or exit_ in self.ends or len(users[0].outputs) != 1:
                return found
            if len(tensors_of(users[0])) != 1 or self._has_kernel(users):
                return found
            exit_ = self.number[id(users[0].outputs[0])]

    def _has_kernel(self, inside: list[Call]) -> bool:
        return any(self._kernels(call) for call in inside)

    def _kernels(self, call: Call) -> list[str]:
        """Return the paths of the layers of a call that have kernels."""
        return [path for path, layer in self._leaves(call) if isinstance(layer, keras.Layer) and slots_of(path, layer)]

    def _leaves(self, call: Call) -> list[tuple[str, Any]]:
        path = f"{self.prefix}{call.layer.name}"
        if isinstance(call.layer, keras.Model):
            return list(leaf_layers(call.layer, f"{path}/"))
        return [(path, call.layer)]

    def _block(self, kind: Literal["residual", "layers"], entry: int, exit_: int) -> Iterator[Block]:
        inside = self._between(entry, exit_)
        kernels = [path for call in inside for path in self._kernels(call)]
        weighted = [path for call in inside for path, layer in self._leaves(call) if getattr(layer, "weights", ())]
        if weighted and self._inputs_stay(entry, exit_):
            end = f"{self.prefix}{self.maker[exit_].layer.name}"
            name = end if kind == "residual" else (kernels or weighted)[0]
            paths = (tuple(dict.fromkeys(each)) for each in (weighted, kernels))
            yield Block(name, kind, self.tensors[entry], self.tensors[exit_], *paths)

    def _inputs_stay(self, entry: int, exit_: int) -> bool:
        """Whether every input is still used without a block."""
        alive = set(self.ends) if exit_ not in self.ends else {*self.ends, entry}
        for call in reversed(self.order):
            if any(self.number[id(t)] in alive for t in call.outputs if self.number[id(t)] != exit_):
                given = {self.number[id(tensor)] for tensor in tensors_of(call)}
                alive |= {entry if one == exit_ else one for one in given}
        return all(self.number[id(tensor)] in alive for tensor in self.model.inputs)

    @cached_property
    def _sums(self) -> list[Call]:
        return [call for call in self.order if is_sum(call.layer) and len(tensors_of(call)) > 1]

    def reasons(self) -> dict[str, str]:
        """Return why each layer with a kernel, and each sum, is no block by itself."""
        found: dict[str, str] = {}
        for call in self.order:
            paths = [] if isinstance(call.layer, keras.Model) else self._kernels(call)
            if paths:
                found[paths[0]] = self._why_not(call)
        for call in self._sums:
            entry, exit_ = self._identity(call), self.number[id(call.outputs[0])]
            if entry is None:
                found[f"{self.prefix}{call.layer.name}"] = "adds nothing to what it was computed from"
            elif not self._may_end(entry, exit_):
                found[f"{self.prefix}{call.layer.name}"] = "makes an output"
        return found

    def _why_not(self, call: Call) -> str:
        given, out = tensors_of(call), call.outputs[0]
        exit_ = self.number[id(out)]
        if given and tuple(given[0].shape) != tuple(out.shape):
            shapes = [", ".join(map(str, tuple(tensor.shape)[1:])) for tensor in (given[0], out)]
            return f"makes ({shapes[1]}) of ({shapes[0]})"
        if self.top and exit_ in self.ends:
            return "makes an output"
        return "what it makes cannot be replaced by what it takes"


def is_sum(layer: Any) -> bool:
    """Say whether a layer or operation of Keras's adds tensors."""
    return type(layer).__name__ == "Add" and type(layer).__module__.startswith("keras.")
