"""Which tensors are rounded, and which of them share one scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from tfcompress.models.keras_private import origin
from tfcompress.models.scope import in_scope
from tfcompress.quantization import rules
from tfcompress.quantization.expand_blocks import scale_name
from tfcompress.quantization.fake_quant import FakeQuant
from tfcompress.quantization.steps import Step, Steps, Value
from tfcompress.recipe import QAT

Fixed = tuple[float, float]
_ALMOST_ONE = 1.0 - 2.0**-20


class Ranges:
    """The fake quantization of a model's tensors.

    Tensors that an op needs on one scale form a group (by union-find) and share one :class:`FakeQuant`. A tensor whose
    range the runtime fixes stays out of a group with others, and is rounded once more where the group takes it in.

    Attributes:
        notes: what computes in float: layer, op and reason.
    """

    def __init__(self, steps: Steps, stage: QAT) -> None:
        self._stage = stage
        self._parent: dict[Value, Value] = {}
        self._layers: dict[Any, FakeQuant] = {}
        self._rescalings = 0
        self._duplicates = _duplicates(steps)
        for step in steps.steps:
            if rules.kind_of(step.op) in ("same", "unchanged"):
                self._join([v for v in (*step.inputs, *step.outputs) if v.is_float])
        for step, original in (*self._duplicates.items(), *_repetitions(steps)):
            for pair in zip(original.outputs, step.outputs, strict=True):
                self._join(list(pair))
        self._values = [*steps.inputs, *(output for step in steps.steps for output in step.outputs)]
        self._fixed = self._fixed_groups()
        self._signed = {self._root(value) for value in self._values if not _is_nonnegative(value)}
        rooted = [value for value in self._values if any(type(user.op).__name__ == "Rsqrt" for user in value.users)]
        self._inverted = {self._root(value) for value in rooted}
        self.notes = list(dict.fromkeys(_float_note(step) for step in steps.steps if rules.kind_of(step.op) == "float"))

    def of(self, value: Value) -> FakeQuant | None:
        """Return the layer that rounds *value* where it is made; None: it is not rounded there."""
        if not value.is_float or not self._is_rounded(value):
            return None
        return self._layer(value, self._fixed_range(value) or self._fixed.get(self._root(value)))

    def behind(self, value: Value) -> FakeQuant | None:
        """Return the layer on whose grid *value* is, rounded there or moved from where it was; None: on no grid."""
        if not value.is_float or self._is_fused(value):
            return None
        fixed = self._fixed_range(value) or self._fixed.get(self._root(value))
        return self._layers.get((self._root(value), fixed))

    def on_scale_of(self, step: Step, value: Value, tensor: Any) -> Any:
        """Round a value of fixed range once more for an op that wants it on the scale of its group."""
        alien = value.is_float and self._fixed_range(value) is not None and self._root(value) not in self._fixed
        if not (alien and rules.kind_of(step.op) == "same"):
            return tensor
        layer = self._layer(value, None)
        self._rescalings += 1
        # A leaky ReLU changes nothing but the scale. Without an op in between (one of slope 1 is dropped) the converter
        # has the fixed scale go into the group, and refuses it ("violate the same scale constraint").
        rescale = keras.layers.LeakyReLU(negative_slope=_ALMOST_ONE, name=f"{layer.name}_rescale{self._rescalings}")
        return layer(rescale(tensor))

    def _is_rounded(self, value: Value) -> bool:
        maker = value.maker
        if maker is None:
            return True
        kind = rules.kind_of(maker.op)
        if kind == "unchanged" or (kind == "same" and not rules.rounds(maker.op)):
            return False
        if rules.kernels(maker.op) and not in_scope(maker.path, self._stage.scope):
            return False
        return not self._is_fused(value)

    def _is_fused(self, value: Value) -> bool:
        """Say whether the op that makes *value* also does what follows: nothing is rounded in between."""
        users = {self._duplicates.get(user, user) for user in value.users}
        if value.is_output or len(users) != 1 or value.maker is None:
            return False
        user, name = users.pop(), type(value.maker.op).__name__
        if type(user.op).__name__ == "FreezableBatchNormalization":
            return name in rules.FOLDS_NORMALIZATION
        if rules.kind_of(user.op) != "relu":
            return False
        if name == "FreezableBatchNormalization":
            before = value.maker.inputs[0].maker
            return before is not None and type(before.op).__name__ in rules.FUSES_RELU
        return name in rules.FUSES_RELU

    def _fixed_range(self, value: Value) -> Fixed | None:
        table = rules.FIXED if self._stage.activation_bits == 8 else rules.FIXED_16
        return table.get(rules.name_of(value.maker.op)) if value.maker else None

    def _layer(self, value: Value, fixed: Fixed | None) -> FakeQuant:
        key = (self._root(value), fixed)
        if key not in self._layers:
            name = value.maker.op.name if value.maker else origin(value.symbol).name
            self._layers[key] = FakeQuant(
                bits=self._stage.activation_bits,
                fixed=fixed,
                learn=self._stage.learn_ranges,
                nonnegative=self._root(value) not in self._signed,
                inverted=self._root(value) in self._inverted,
                name=f"{name}_range{len(self._layers)}",
            )
        return self._layers[key]

    def _fixed_groups(self) -> dict[Value, Fixed]:
        """Return the groups that get all their values from ops of one fixed range."""
        found: dict[Value, set[Fixed | None]] = {}
        for value in self._values:
            if self._is_rounded(value) and not (value.maker and rules.rounds(value.maker.op)):
                found.setdefault(self._root(value), set()).add(self._fixed_range(value))
        return {root: only for root, given in found.items() if len(given) == 1 and (only := next(iter(given)))}

    def _root(self, value: Value) -> Value:
        while value in self._parent:
            value = self._parent[value]
        return value

    def _join(self, values: list[Value]) -> None:
        for other in values[1:]:
            first, second = self._root(values[0]), self._root(other)
            if first is not second:
                self._parent[second] = first


def _duplicates(steps: Steps) -> dict[Step, Step]:
    """Return, for a step that does what an earlier one did to the same tensors, the earlier one.

    The converter merges the two, and knows one range for what comes out.
    """
    known: dict[Any, Step] = {}
    first: dict[Value, Value] = {}
    found: dict[Step, Step] = {}
    for step in steps.steps:
        what = _what(step.op)
        if what is None:
            continue
        inputs = tuple(first.get(value, value) for value in step.inputs)
        original = known.setdefault((what, inputs), step)
        if original is not step:
            first.update(zip(step.outputs, original.outputs, strict=True))
            found[step] = original
    return found


def _repetitions(steps: Steps) -> Iterator[tuple[Step, Step]]:
    """Yield each step of a layer that is written out, where a part comes again, with the first of this part.

    The scales of all steps are one, as in a loop: what is the same in each is in the file once. What moves values has
    the scale of what it is given.
    """
    first: dict[str, Step] = {}
    for step in steps.steps:
        name = scale_name(step.op)
        if name and rules.kind_of(step.op) != "same" and first.setdefault(name, step) is not step:
            yield step, first[name]


def _what(op: Any) -> Any:
    """Return a key that is the same for ops that do the same; None: it is not known of this one."""
    if rules.kind_of(op) == "relu":
        return rules.bounds_at_six(op)
    if not isinstance(op, keras.layers.Layer) or op.variables:
        return None
    return type(op), repr({**op.get_config(), "name": ""})


def _is_nonnegative(value: Value) -> bool:
    """Say whether *value* cannot be negative where what its group begins with is not: all comes from ReLUs."""
    op = value.maker.op if value.maker else None
    return op is not None and (rules.ends_in_relu(op) or rules.name_of(op) in rules.NONNEGATIVE)


def _float_note(step: Step) -> str:
    kind = rules.name_of(step.op)
    return f"qat leaves {step.path} ({kind}) in float: {rules.STAYS_FLOAT[kind]}"
