"""Steps that a graph writes out one by one: the same ops again and again, each time on what the time before left.

What an UNPACK gives of a sequence begins the steps. Ops belong to the step of the last frame that they know of. Two
steps are the same where each op of one has an op in the other that is like it, with the same constants and options, on
the same kinds of tensors, that come from the same places.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_runner.opnames import BUILTIN
from tfcompress.tflite.tree import Node, Numbers, Text, Value

LEAST_STEPS = 4
"""Frames below which nothing is gained."""

Place = tuple[int, int]
"""Of a value in a step: number of its op's likeness, and which of its outputs it is."""


@dataclass(frozen=True)
class Repetition:
    """Steps of a graph that are the same but for the first ones.

    Attributes:
        frames: which op unpacks the frames that begin the steps.
        backwards: the last frame begins the first step.
        count: how many frames, and so steps, there are.
        first: the first of the steps that are the same.
        ops: ops of these steps.
        template: ops of one of them, in an order in which they run.
        made: by value the tensor that the template makes.
        states: by value what the template takes from the step before: its tensor there, the tensor that the first of
            the steps takes in its place, and the one that the last of them makes; -1: nobody takes that.
        sequences: by op that unpacks the frame that the template takes of it; the template's own frame is among them.
        outside: tensors that all steps take and no step makes, without constants.
        collected: by op that packs the values of all steps into one tensor which value, and whether the first step's is
            the last there.
    """

    frames: int
    backwards: bool
    count: int
    first: int
    ops: frozenset[int]
    template: tuple[int, ...]
    made: Mapping[Place, int]
    states: Mapping[Place, tuple[int, int, int]]
    sequences: Mapping[int, int]
    outside: tuple[int, ...]
    collected: Mapping[int, tuple[Place, bool]]


class Ops:
    """The ops of a graph, with who makes and who takes each tensor."""

    def __init__(self, model: Node, ops: Sequence[Node], tensors: Sequence[Node], ends: Iterable[int]) -> None:
        """Read them.

        Args:
            model: the file.
            ops: of the graph.
            tensors: likewise.
            ends: numbers of tensors that are taken from outside of the graph.
        """
        self.ops, self.tensors = ops, tensors
        self.ends = frozenset(ends)
        self._codes = model.nodes("operator_codes")
        self._buffers = model.nodes("buffers")
        self.given = [op.numbers("inputs") for op in ops]
        self.left = [op.numbers("outputs") for op in ops]
        self.maker = {tensor: (op, place) for op, made in enumerate(self.left) for place, tensor in enumerate(made)}
        self.users: dict[int, set[int]] = {}
        for op, taken in enumerate(self.given):
            for tensor in taken:
                self.users.setdefault(tensor, set()).add(op)
        self._known: dict[Hashable, int] = {}

    def name(self, op: int) -> str:
        """Return the name of an op, such as ``UNPACK``."""
        code = self._codes[self.ops[op].number("opcode_index")]
        number = max(code.number("builtin_code"), code.number("deprecated_builtin_code"))
        return BUILTIN[number] if number < len(BUILTIN) else ""

    def named(self, name: str) -> list[int]:
        """Return all ops of a name."""
        return [op for op in range(len(self.ops)) if self.name(op) == name]

    def number_of(self, key: Hashable) -> int:
        """Return a number that stands for a key, the same for equal ones."""
        return self._known.setdefault(key, len(self._known))

    def is_constant(self, tensor: int) -> bool:
        """Say whether the file holds a tensor's values."""
        return tensor not in self.maker and bool(self._constant(tensor))

    def _constant(self, tensor: int) -> bytes:
        data = self._buffers[self.tensors[tensor].number("buffer")].fields.get("data")
        return data.content if isinstance(data, Numbers) else b""

    def kind(self, tensor: int) -> int:
        """Return a number for what a tensor can hold: its shape, dtype and grid; of a constant for its values, too."""
        node = self.tensors[tensor]
        fields = tuple((name, _plain(value)) for name, value in sorted(node.fields.items()) if name not in _OWN)
        return self.number_of((fields, self._constant(tensor) if self.is_constant(tensor) else b""))

    def likeness(self, op: int, inputs: Sequence[Hashable]) -> int:
        """Return a number for an op on such inputs, the same for ops that compute the same."""
        fields = tuple((n, _plain(v)) for n, v in sorted(self.ops[op].fields.items()) if n not in _TENSORS)
        return self.number_of((fields, tuple(inputs), tuple(map(self.kind, self.left[op]))))


_CALLING = frozenset({"CALL", "CALL_ONCE", "IF", "WHILE", "STABLEHLO_COMPOSITE", "VAR_HANDLE", "CUSTOM"})
_OWN = frozenset({"name", "buffer"})
_TENSORS = frozenset({"inputs", "outputs"})


def _plain(value: Value) -> Hashable:
    """Return a value of a tree as one that can be a key."""
    if isinstance(value, Node):
        return (value.kind, tuple((name, _plain(each)) for name, each in sorted(value.fields.items())))
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return (type(value).__name__, value.content) if isinstance(value, Text | Numbers) else value


def repetitions(ops: Ops) -> Iterator[Repetition]:
    """Yield the steps that a graph writes out, of each op that unpacks frames."""
    for number in ops.named("UNPACK"):
        if len(ops.left[number]) >= LEAST_STEPS:
            found = (_Steps(ops, number, backwards=way).repetition() for way in (False, True))
            yield from (each for each in found if each is not None)


class _Steps:
    """The ops of a graph by the frame that they last know of."""

    def __init__(self, ops: Ops, frames: int, *, backwards: bool) -> None:
        self._ops, self._frames, self._backwards = ops, frames, backwards
        self._order = ops.left[frames][::-1] if backwards else ops.left[frames]
        self._count = len(self._order)
        self._step: dict[int, int] = {tensor: step for step, tensor in enumerate(self._order)}
        self._steps: dict[int, int] = {}
        for op in range(len(ops.ops)):
            step = max((self._step.get(tensor, -1) for tensor in ops.given[op]), default=-1)
            if step >= 0:
                self._put(op, step)
        self._likeness: dict[int, int] = {}
        self._held = self._alike()
        early = [op for key, op in self._held[-2].items() if key not in self._held[-1] and not self._reads(op)]
        if early:
            self._put_off({ops.likeness(op, ()) for op in early})
            self._held = self._alike()

    def _reads(self, op: int) -> bool:
        """Say whether an op takes a frame."""
        return any(isinstance(o, tuple) and o[0] in ("frame", "sequence") for o in self._origins(op).values())

    def _origins(self, op: int) -> dict[int, Hashable]:
        return {tensor: self._origin(tensor, op) for tensor in self._ops.given[op]}

    def _put(self, op: int, step: int) -> None:
        self._steps[op] = step
        self._step.update((tensor, step) for tensor in self._ops.left[op])

    def _put_off(self, kinds: set[int]) -> None:
        """Put ops into the step behind, if only that takes what they make: what the last step does not do."""
        for op, step in sorted(self._steps.items(), reverse=True):
            users = {self._steps.get(user, -1) for n in self._ops.left[op] for user in self._ops.users.get(n, ())}
            late = users and min(users) > step and not self._ops.ends & {*self._ops.left[op]}
            if late and not self._reads(op) and self._ops.likeness(op, ()) in kinds:
                self._put(op, step + 1)

    def _alike(self) -> list[dict[int, int]]:
        """Return the ops of each step by what they are like."""
        held: list[list[int]] = [[] for _ in self._order]
        for op, step in sorted(self._steps.items()):
            held[step].append(op)
        self._likeness.clear()
        return [self._by_likeness(mine) for mine in held]

    def _by_likeness(self, held: Sequence[int]) -> dict[int, int]:
        """Return the ops of a step by what they are like; without those that another one of the step is like."""
        found: dict[int, int] = {}
        twice = set[int]()
        for op in held:
            key = self._likeness[op] = self._ops.likeness(op, [self._origin(t, op) for t in self._ops.given[op]])
            twice |= {key} & found.keys()
            found[key] = op
        return {key: op for key, op in found.items() if key not in twice}

    def _origin(self, tensor: int, user: int) -> Hashable:
        """Return where an op takes a tensor from, in words that are the same at each step."""
        if tensor < 0:
            return "none"
        step = max(self._step[made] for made in self._ops.left[user])
        when, maker = self._step.get(tensor, -1), self._ops.maker.get(tensor)
        if when == step:
            return ("frame",) if tensor == self._order[step] else ("step", *self._place(tensor))
        if when >= 0:
            state = when == step - 1 and tensor != self._order[when]
            return ("before", self._ops.kind(tensor)) if state else ("long ago", tensor)
        if maker is not None and self._unpacks(maker[0]) and maker[1] == self._frame(step):
            return ("sequence", maker[0])
        if maker is None and self._ops.is_constant(tensor):
            return ("constant", self._ops.kind(tensor))
        return ("outside", tensor)

    def _unpacks(self, op: int) -> bool:
        return self._ops.name(op) == "UNPACK" and len(self._ops.left[op]) == self._count

    def _frame(self, step: int) -> int:
        return self._count - 1 - step if self._backwards else step

    def _place(self, tensor: int) -> Place:
        op, place = self._ops.maker[tensor]
        return self._likeness[op], place

    def repetition(self) -> Repetition | None:
        """Return the steps that are the same; None: there are none that a loop can stand for.

        Of the last one some ops may be missing, whose values nobody takes.
        """
        shown = self._count - 2  # the last step has what comes behind the steps, too
        template = self._held[shown]
        alike = {step for step, held in enumerate(self._held) if held.keys() == template.keys()}
        first = shown
        while first - 1 in alike:
            first -= 1
        if not template or shown - first < 1 or first < 1:
            return None
        last = {key: op for key, op in self._held[-1].items() if key in template}
        chosen = [*self._held[first : self._count - 1], last]
        states = self._states(chosen, first)
        if not states:
            return None
        ops = frozenset(op for held in chosen for op in held.values())
        collected = self._collected(chosen, first, ops, states)
        if collected is None or any(map(self._is_bound, ops)):
            return None
        taken = {tensor: o for op in template.values() for tensor, o in self._origins(op).items()}
        origins = {tensor: origin for tensor, origin in taken.items() if isinstance(origin, tuple)}
        outside = tuple(tensor for tensor, origin in origins.items() if origin[0] in ("outside", "long ago"))
        if any(self._step.get(tensor, -1) >= first for tensor in outside):
            return None
        return Repetition(
            frames=self._frames,
            backwards=self._backwards,
            count=self._count,
            first=first,
            ops=ops,
            template=tuple(sorted(template.values())),
            made=self._made(template),
            states=states,
            sequences={
                self._frames: self._order[shown],
                **{int(str(o[1])): tensor for tensor, o in origins.items() if o[0] == "sequence"},
            },
            outside=outside,
            collected=collected,
        )

    def _is_bound(self, op: int) -> bool:
        """Say whether an op must stay in its graph: it keeps something from run to run, or runs another graph."""
        taken = (tensor for tensor in self._ops.given[op] if tensor >= 0)
        keeps = any(self._ops.tensors[tensor].number("is_variable") for tensor in taken)
        return keeps or bool(self._ops.ops[op].numbers("intermediates")) or self._ops.name(op) in _CALLING

    def _made(self, held: Mapping[int, int]) -> dict[Place, int]:
        return {(key, n): tensor for key, op in held.items() for n, tensor in enumerate(self._ops.left[op])}

    def _states(self, chosen: Sequence[Mapping[int, int]], first: int) -> dict[Place, tuple[int, int, int]] | None:
        """Return what steps hand on to the next; None: not each of them the same, or nothing."""
        made = [self._made(held) for held in chosen]
        found: dict[Place, tuple[int, int, int]] = {}
        for key, op in chosen[-2].items():
            for position, tensor in enumerate(self._ops.given[op]):
                if self._step.get(tensor, -1) != first + len(chosen) - 3:
                    continue
                place = self._place(tensor)
                given = [self._ops.given[held[key]][position] for held in chosen if key in held]
                before = found.get(place, (tensor, given[0], -1))[1]
                if given[1:] != [each.get(place, -1) for each in made][: len(given) - 1] or given[0] != before:
                    return None
                found[place] = (tensor, given[0], made[-1].get(place, -1))
        return found

    def _collected(
        self,
        chosen: Sequence[Mapping[int, int]],
        first: int,
        ops: frozenset[int],
        states: Mapping[Place, tuple[int, int, int]],
    ) -> dict[int, tuple[Place, bool]] | None:
        """Return the ops that pack values of all steps; None: others take a value that a loop would not give."""
        made = [self._made(held) for held in chosen]
        found: dict[int, tuple[Place, bool]] = {}
        final = {tensor for _, _, tensor in states.values()}
        for values in made:
            for place, tensor in values.items():
                if tensor in self._ops.ends and tensor not in final:
                    return None
                for user in self._ops.users.get(tensor, set()) - ops:
                    way = self._packed(user, [each.get(place, -1) for each in made], first)
                    if way is not None:
                        found[user] = (place, way)
                    elif tensor not in final:
                        return None
        return found

    def _packed(self, op: int, values: Sequence[int], first: int) -> bool | None:
        """Say whether an op packs values of all steps, the last of them first; None: it does something else."""
        if self._ops.name(op) != "PACK" or len(self._ops.given[op]) != self._count:
            return None
        given = list(self._ops.given[op])
        ways = {way: given[::-1] if way else given for way in (False, True)}
        return next((way for way, taken in ways.items() if taken[first:] == list(values)), None)
