"""One walk over a model's graph that writes down where every channel sits: in tensors, weights, settings and costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tfcompress.channels.claims import CallEdit, Claim, ConfigEdit, Count, Role, Term, ValueEdit
from tfcompress.channels.ledger import Atoms, AxisChannels, Ledger, Marks
from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import leaves
from tfcompress.models.graph import calls, is_graph
from tfcompress.models.keras_private import has_origin, origin
from tfcompress.models.kinds import keras_of
from tfcompress.models.macs import Shapes, macs_of_call
from tfcompress.models.own_call import refuse_own_call


@dataclass(eq=False)
class Step:
    """One call on the walk, as its rule sees it.

    Attributes:
        trace: the walk.
        layer: who is called; inside a wrapper, the layer in it.
        path: its name, with the models around it: ``backbone/conv``.
        args: positional arguments.
        kwargs: keyword arguments.
        tensors: symbolic tensors among the arguments, in their order.
        given: what is known of them.
        outputs: symbolic tensors that come out.
        config_path: where the layer's configuration stands in that of the layer that the graph calls.
        suffix: what the names of the layer's groups end in.
        repeats: how often the call happens for one sample; None: not known.
        counted: whether the call's multiply-accumulates are written down.
    """

    trace: Trace
    layer: Any
    path: str
    args: Any
    kwargs: dict[str, Any]
    tensors: list[Any]
    given: list[Marks]
    outputs: list[Any]
    config_path: tuple[str, ...] = ()
    suffix: str = ""
    repeats: int | None = 1
    counted: bool = False

    @property
    def named(self) -> str:
        """The layer's name and class, for reasons."""
        return f"{self.path!r} ({type(self.layer).__name__})"

    @property
    def shapes(self) -> Shapes:
        """The call's shapes, without the batch axis."""
        given = tuple(tuple(t.shape)[1:] for t in self.tensors if len(t.shape))
        return Shapes(given, tuple(self.outputs[0].shape)[1:])

    def unite(self, one: AxisChannels, other: AxisChannels) -> None:
        """Tie the channels of two axes of one size."""
        self.trace.ledger.unite(one.atoms, other.atoms)

    def pin(self, channels: AxisChannels | None, reason: str) -> None:
        """Forbid to remove channels."""
        if channels is not None:
            self.trace.ledger.pin(channels.atoms, reason)

    def pin_but(self, marks: Marks, *axes: int) -> None:
        """Forbid to remove channels on all axes but these."""
        kept = {axis % len(marks) for axis in axes}
        for axis, channels in enumerate(marks):
            if axis not in kept:
                self.pin(channels, f"layer {self.named} works along that axis")

    def fixed(self, size: int, reason: str) -> AxisChannels:
        """Return new channels that cannot be removed."""
        atoms = self.trace.ledger.fresh(size)
        self.trace.ledger.pin(atoms, reason)
        return AxisChannels(atoms, np.full(size, np.nan))

    def claim(self, variable: Any, axis: int, atoms: Atoms | None, role: Role) -> None:
        """Say which channels sit along an axis of a weight; a weight used again ties its uses together."""
        axis %= len(variable.shape)
        before = self.trace.claims.get((id(variable), axis))
        if before is None:
            self.trace.claims[id(variable), axis] = Claim(self.path, variable, axis, atoms, role)
        elif before.atoms is not None and atoms is not None:
            self.trace.ledger.unite(before.atoms, atoms)
        else:
            fixed = before.atoms if atoms is None else atoms
            if fixed is not None:
                self.trace.ledger.pin(fixed, f"layer {self.named} also takes channels that are fixed")

    def read(self, variable: Any, axis: int, channels: AxisChannels | None) -> None:
        """Claim an axis of a kernel for the channels that it reads."""
        if channels is not None and np.any(channels.dead != 0):
            self.trace.inexact.append((channels.atoms[channels.dead != 0], f"read by {self.named}"))
        self.claim(variable, axis, None if channels is None else channels.atoms, "reads")

    def produce(self, variable: Any, axis: int, suffix: str = "", *, span: int = 1) -> Atoms:
        """Return the atoms of the channels that a weight makes along an axis; the same ones at every call.

        *span*: how many numbers each of them is, where the weight makes further axes with it: those of a head, say.
        """
        key = (id(variable), axis % len(variable.shape))
        if key not in self.trace.claims:
            atoms = self.trace.ledger.fresh(int(variable.shape[axis]))
            self.claim(variable, axis, atoms, "makes")
            name = self.path + self.suffix + suffix
            self.trace.producers.append((name, self.path, atoms))
            self.trace.spans[name] = span
        atoms_known = self.trace.claims[key].atoms
        if atoms_known is None:
            return self.fixed(int(variable.shape[axis]), f"layer {self.named} cannot be narrowed").atoms
        return atoms_known

    def configure(self, **counts: Atoms) -> None:
        """Have entries of the configuration hold how many of these atoms are kept."""

        def edit(config: dict[str, Any], count: Count) -> None:
            config.update({key: count(atoms) for key, atoms in counts.items()})

        self.reconfigure(edit)

    def configure_inside(self, part: str, **counts: Atoms) -> None:
        """Do as :meth:`configure` in the configuration of a layer that is part of this one; of this one, if ``""``."""
        before = self.config_path
        self.config_path = (*before, part, "config") if part else before
        self.configure(**counts)
        self.config_path = before

    def reconfigure(self, edit: ConfigEdit) -> None:
        """Have the configuration changed by a function."""
        where = self.config_path

        def inside(config: dict[str, Any], count: Count) -> None:
            for key in where:
                config = config[key]
            edit(config, count)

        self.trace.configs.setdefault(id(self.trace.owner), {})[where] = inside

    def rewrite(self, edit: CallEdit) -> None:
        """Have the arguments of this call changed by a function."""
        self.trace.rewrites[id(self.outputs[0])] = edit

    def adjust(self, variable: Any, edit: ValueEdit) -> None:
        """Have a weight's numbers changed by a function, after the cut."""
        self.trace.adjustments[id(variable)] = edit

    def multiply(self, *variables: Any, each: float | None = None) -> None:
        """Count the call's multiply-accumulates: every number of these weights is used equally often.

        Args:
            variables: the weights.
            each: how often; None: as often as makes the sum that :func:`macs_of_call` gives.
        """
        self.counted = True
        sizes = [math.prod(variable.shape) for variable in variables]
        if self.trace.times is None:
            each = None
        elif each is None:
            total = self.times_all()
            each = None if total is None else total / sum(sizes)
        for variable, size in zip(variables, sizes, strict=True):
            if each is None:
                self.trace.uncounted.append(self.path)
            else:
                self.trace.kernels.append((variable, each * size))

    def times_all(self) -> int | None:
        """Return the call's multiply-accumulates for one sample, every repetition counted; None: not known."""
        total = macs_of_call(self.layer, self.shapes)
        return None if total is None or self.repeats is None else self.repeats * total

    def product(self, macs: float | None, *axes: AxisChannels | Atoms | None) -> None:
        """Count multiply-accumulates that go with the sizes of these axes of tensors."""
        self.counted = True
        if macs is None or self.trace.times is None:
            self.trace.uncounted.append(self.path)
            return
        known = tuple(axis.atoms if isinstance(axis, AxisChannels) else axis for axis in axes if axis is not None)
        self.trace.terms.append(Term(macs, known))


Rule: TypeAlias = Callable[[Step], list[Marks]]
"""What a call does to channels: registers weights and settings, gives the channels of every output."""


@dataclass
class Trace:
    """What the walk found.

    Attributes:
        rules: class of a layer or operation -> its rule.
        ledger: which channels are tied, and which must stay.
        claims: (id of a weight, axis) -> the channels along it.
        producers: name of the group to be, path of the layer, atoms; of every axis that makes channels.
        spans: name of the group to be -> how many numbers each index of its first producer stands for.
        configs: id of a layer -> where in its configuration -> what changes it.
        rewrites: id of a call's first output -> what changes its arguments.
        adjustments: id of a weight -> what changes its numbers.
        kernels: weights, and the multiply-accumulates that go with their sizes.
        terms: multiply-accumulates that go with sizes of tensors.
        wholes: path of a layer, atoms of which one must stay.
        uncounted: paths of layers whose multiply-accumulates are not known.
        inexact: atoms that are not zero when dead where they are read, and where that is.
        layers: path -> layer.
        owner: the layer that the graph calls in this step.
        times: None: inside a layer that runs its model an unknown number of times.
    """

    rules: Mapping[str, Rule]
    ledger: Ledger = field(default_factory=Ledger)
    claims: dict[tuple[int, int], Claim] = field(default_factory=dict)
    producers: list[tuple[str, str, Atoms]] = field(default_factory=list)
    spans: dict[str, int] = field(default_factory=dict)
    configs: dict[int, dict[tuple[str, ...], ConfigEdit]] = field(default_factory=dict)
    rewrites: dict[int, CallEdit] = field(default_factory=dict)
    adjustments: dict[int, ValueEdit] = field(default_factory=dict)
    kernels: list[tuple[Any, float]] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    wholes: list[tuple[str, Atoms]] = field(default_factory=list)
    uncounted: list[str] = field(default_factory=list)
    inexact: list[tuple[Atoms, str]] = field(default_factory=list)
    layers: dict[str, Any] = field(default_factory=dict)
    owner: Any = None
    times: int | None = 1

    def run(self, model: Any) -> None:
        """Walk a whole model.

        Raises:
            UnsupportedError: not a functional or sequential Keras 3 model, or one that computes in its own way.
        """
        refuse_own_call(model)
        if keras_of(model) != "keras3" or not is_graph(model):
            msg = (
                f"channels can be removed from functional and sequential Keras 3 models that are built, got "
                f"{model.name!r} ({type(model).__name__}); build it, or write it with the functional interface"
            )
            raise UnsupportedError(msg)
        given = [self._input(tensor) for tensor in model.inputs]
        for tensor, marks in zip(model.outputs, self.model(model, given, ""), strict=True):
            for channels in marks:
                if channels is not None:
                    operation = origin(tensor)
                    self.ledger.pins.insert(0, (channels.atoms, f"feeds output {operation.name!r}"))

    def _input(self, tensor: Any) -> Marks:
        if len(tensor.shape) < 2 or tensor.shape[-1] is None:
            return (None,) * len(tensor.shape)
        atoms = self.ledger.fresh(int(tensor.shape[-1]))
        self.ledger.pin(atoms, f"tied to input {origin(tensor).name!r}")
        return (*(None,) * (len(tensor.shape) - 1), AxisChannels(atoms, np.full(len(atoms), np.nan)))

    def model(self, model: Any, given: list[Marks], prefix: str) -> list[Marks]:
        """Walk a model, or a nested one, whose inputs are known; give what is known of its outputs."""
        known = {id(tensor): marks for tensor, marks in zip(model.inputs, given, strict=True)}
        for call in calls(model):
            arguments = leaves([call.args, list(call.kwargs.values())])
            tensors = [leaf for leaf in arguments if has_origin(leaf)]
            path = prefix + call.layer.name
            self.layers.setdefault(path, call.layer)
            self.owner = call.layer
            marks = [known[id(tensor)] for tensor in tensors]
            step = Step(self, call.layer, path, call.args, call.kwargs, tensors, marks, call.outputs)
            for tensor, found in zip(call.outputs, self.step(step), strict=True):
                known[id(tensor)] = found
        return [known[id(tensor)] for tensor in model.outputs]

    def step(self, step: Step) -> list[Marks]:
        """Take one call."""
        if is_model(step.layer):
            return self.nested(step)
        rule = self.rule_for(step.layer)
        found = pinned_whole(step) if rule is None else rule(step)
        if not step.counted:
            foreign = not type(step.layer).__module__.startswith("keras.")  # may bear a name that is counted otherwise
            macs = (
                (None if getattr(step.layer, "weights", ()) else 0)
                if foreign
                else macs_of_call(step.layer, step.shapes)
            )
            if macs is None or macs > 0:
                step.product(macs)
        return found

    def rule_for(self, layer: Any) -> Rule | None:
        """Return the rule for a layer or operation; None: somebody else's class, or a kernel that was replaced."""
        kind = type(layer)
        if not kind.__module__.startswith("keras.") or _is_changed(layer):
            return None
        return self.rules.get(kind.__name__)

    def nested(self, step: Step) -> list[Marks]:
        """Walk a nested model with what the call gives it; its inputs shrink with their channels."""
        for tensor, marks in zip(step.layer.inputs, step.given, strict=True):
            layer = origin(tensor)

            def edit(config: dict[str, Any], count: Count, marks: Marks = marks) -> None:
                shape = list(config["batch_shape"])
                for axis, channels in enumerate(marks):
                    if channels is not None and shape[axis] is not None:
                        shape[axis] = count(channels.atoms)
                config["batch_shape"] = tuple(shape)

            self.configs.setdefault(id(layer), {})[()] = edit
        return self.model(step.layer, step.given, f"{step.path}/")


def is_model(layer: Any) -> bool:
    """Say whether a layer is a model whose calls are known."""
    return hasattr(layer, "layers") and hasattr(layer, "inputs") and is_graph(layer)


def _is_changed(layer: Any) -> bool:
    """Say whether a layer's kernel is not what its class keeps: quantized weights, low-rank additions."""
    return bool(getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False))


def pinned_whole(step: Step) -> list[Marks]:
    """Pin all that goes into a layer of which nothing is known, and all that comes out."""
    reason = f"layer {step.named} cannot be narrowed"
    for marks in step.given:
        for channels in marks:
            step.pin(channels, reason)
    return [_fixed_last(step, tensor, reason) for tensor in step.outputs]


def _fixed_last(step: Step, tensor: Any, reason: str) -> Marks:
    if len(tensor.shape) < 2 or tensor.shape[-1] is None:
        return (None,) * len(tensor.shape)
    return (*(None,) * (len(tensor.shape) - 1), step.fixed(int(tensor.shape[-1]), reason))
