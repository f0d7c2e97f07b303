"""Recurrent layers written out step by step, and wrappers that apply a layer along time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import keras

from tfcompress.models.keras_private import mask_of
from tfcompress.models.layer_copies import layer_copy
from tfcompress.quantization.expand_blocks import Apply, Expand, Sublayers

STEPS = 64
"""Longest sequence that is written out; each step adds about a dozen ops to the file."""

_L = keras.layers


def recurrent(layer: Any, expand: Expand) -> Apply | None:
    """Expand LSTM, GRU and SimpleRNN (or RNN over one of their cells) over a short sequence of known length."""
    if recurrent_obstacle(layer):
        return None
    parts = Sublayers(layer, expand, repeated=True)
    cell = CELLS[type(layer.cell)](parts, layer.cell)

    def apply(x: Any, initial_state: Any = None, mask: Any = None, **options: Any) -> Any:
        options.pop("training", None)
        states = None if initial_state is None else list(keras.tree.flatten(initial_state))
        return _unrolled(layer, cell, x, states, mask_of(x) if mask is None else mask)

    return apply


def recurrent_obstacle(layer: Any) -> str:
    """Return why a recurrent layer stays as it is; empty: it is expanded."""
    cell, steps = layer.cell, _steps(layer)
    if type(cell) not in CELLS:
        return f"its cell {type(cell).__name__} is not one of LSTM, GRU and SimpleRNN"
    if steps is None or steps > STEPS:
        return f"its sequences have {'no fixed length' if steps is None else f'{steps} steps'}; up to {STEPS} are taken"
    if layer.stateful:
        return "it is stateful"
    if cell.recurrent_dropout:
        return "it has recurrent dropout"
    if cell.dropout and getattr(cell, "implementation", 2) == 1:
        return "its implementation 1 drops inputs gate by gate"
    return ""


def _steps(layer: Any) -> int | None:
    """Return how many steps a built layer was built for; None: any."""
    built = layer.get_build_config()  # of a layer that is given states, the shapes of its arguments by name
    shape: Any = built["input_shape"] if "input_shape" in built else built["shapes_dict"]["sequences_shape"]
    steps: int | None = shape[1]
    return steps


def _unrolled(layer: Any, cell: Any, x: Any, states: list[Any] | None, mask: Any | None) -> Any:
    """Write a layer out; where *mask*, of shape (batch, steps), is False a step changes nothing.

    What comes out at such a step is what came out before it (zero before the first), or zero where the layer says so.
    """
    parts, steps = cell.parts, x.shape[1]
    if layer.cell.dropout:
        # one mask for all steps, as the cell has it
        x = parts.layer(_L.Dropout, "dropout", rate=layer.cell.dropout, noise_shape=(None, 1, x.shape[-1]))(x)
    projected = parts.op("steps", keras.ops.unstack, cell.project(x), num=steps, axis=1)
    masks: list[Any] = []
    if mask is not None:
        column = parts.op("column", keras.ops.expand_dims, mask, axis=-1)
        masks = parts.op("known", keras.ops.unstack, column, num=steps, axis=1)
    outputs: list[Any] = []
    for place in reversed(range(steps)) if layer.go_backwards else range(steps):
        before, states = states, cell.step(projected[place], states)
        output = states[0]
        if mask is not None:
            known = masks[place]
            states = [cell.chosen(known, *pair) for pair in zip(states, before or [None] * len(states), strict=True)]
            last = None if layer.zero_output_for_mask or not outputs else outputs[-1]
            output = cell.chosen(known, output, last)
        outputs.append(output)
    result = outputs[-1]
    if layer.return_sequences:
        result = parts.op("sequence", keras.ops.stack, outputs, axis=1)
    return (result, *(states or [])) if layer.return_state else result


class _Cell:
    """What the cells share: the projections of inputs and state, and the gates' nonlinearities."""

    def __init__(self, parts: Sublayers, cell: Any) -> None:
        self.parts, self.cell = parts, cell
        inputs, self.units = cell.kernel.shape[0], cell.units
        self.project = self.dense("input", inputs, cell.kernel, self.input_bias())
        self.activation = parts.activation("activation", cell.activation)

    def input_bias(self) -> Any | None:
        return self.cell.bias if self.cell.use_bias else None

    def dense(self, part: str, inputs: int, kernel: Any, bias: Any | None) -> Apply:
        values = [kernel] if bias is None else [kernel, bias]
        options = {"units": kernel.shape[1], "use_bias": bias is not None}
        return self.parts.weighted(_L.Dense, part, (None, inputs), values, **options)

    def gates(self, part: str, z: Any, count: int) -> Any:
        return self.parts.op(part, keras.ops.split, z, count, axis=-1)

    def chosen(self, known: Any, new: Any, old: Any | None) -> Any:
        """Return *new* where *known*, of shape (batch, 1), is True, elsewhere *old*; None: zeros."""
        return self.parts.op("kept", keras.ops.where, known, new, self.zeros(new) if old is None else old)

    def zeros(self, x: Any) -> Any:
        """Return zeros of the shape of *x*, (batch, units), on its scale.

        A constant of zeros would have a scale of next to nothing, in multiples of which no bias fits into 32 bits.
        """
        padded = self.parts.op("padded", keras.ops.pad, x, ((0, 0), (self.units, 0)))
        return self.parts.op("zeros", operator.getitem, padded, (slice(None), slice(0, self.units)))


class _SimpleCell(_Cell):
    """``h = tanh(W x + b + U h)`` (Elman 1990)."""

    def __init__(self, parts: Sublayers, cell: Any) -> None:
        super().__init__(parts, cell)
        self.recur = self.dense("recurrent", self.units, cell.recurrent_kernel, None)
        self.add = parts.layer(_L.Add, "add")

    def step(self, z: Any, states: list[Any] | None) -> list[Any]:
        return [self.activation(z if states is None else self.add([z, self.recur(states[0])]))]


class _LSTMCell(_Cell):
    """``c = f c + i g``, ``h = o tanh(c)`` (Gers et al. 2000)."""

    def __init__(self, parts: Sublayers, cell: Any) -> None:
        super().__init__(parts, cell)
        self.recur = self.dense("recurrent", self.units, cell.recurrent_kernel, None)
        self.gate = parts.activation("gate", cell.recurrent_activation)
        self.add = parts.layer(_L.Add, "add")
        self.update = parts.layer(_L.Add, "update", scale="carry")
        self.begin = parts.layer(_L.Multiply, "begin", scale="carry")
        self.fresh, self.kept, self.shown = (parts.layer(_L.Multiply, part) for part in ("fresh", "kept", "shown"))

    def step(self, z: Any, states: list[Any] | None) -> list[Any]:
        if states is None:
            # the forget gate has nothing to forget: the converter leaves a split in float if a part of it is not used
            i, g, o = (self.parts.op("first", operator.getitem, z, self._columns(gate)) for gate in (0, 2, 3))
            carry = self.begin([self.gate(i), self.activation(g)])
        else:
            i, f, g, o = self.gates("split", self.add([z, self.recur(states[0])]), 4)
            fresh = self.fresh([self.gate(i), self.activation(g)])
            carry = self.update([self.kept([self.gate(f), states[1]]), fresh])
        return [self.shown([self.gate(o), self.activation(carry)]), carry]

    def _columns(self, gate: int) -> tuple[slice, slice]:
        return slice(None), slice(gate * self.units, (gate + 1) * self.units)


class _GRUCell(_Cell):
    """``h = z h + (1 - z) g`` (Cho et al. 2014), computed as ``g + z (h - g)``."""

    def __init__(self, parts: Sublayers, cell: Any) -> None:
        super().__init__(parts, cell)
        self.gate = parts.activation("gate", cell.recurrent_activation)
        kernel, units = cell.recurrent_kernel, self.units
        if cell.reset_after:
            bias = cell.bias[1] if cell.use_bias else None
            self.recur = self.dense("recurrent", units, kernel, bias)
        else:
            self.recur = self.dense("recurrent", units, kernel[:, : 2 * units], None)
            self.candidate = self.dense("candidate", units, kernel[:, 2 * units :], None)
        names = ("add_update", "add_reset", "add_new")
        self.add_update, self.add_reset, self.add_new = (parts.layer(_L.Add, name) for name in names)
        self.reset_state, self.keep = (parts.layer(_L.Multiply, name) for name in ("reset_state", "keep"))
        self.differ = parts.layer(_L.Subtract, "differ")
        self.update = parts.layer(_L.Add, "update", scale="state")
        self.begin = parts.layer(_L.Subtract, "begin", scale="state")

    def input_bias(self) -> Any | None:
        bias = super().input_bias()
        return bias[0] if bias is not None and self.cell.reset_after else bias

    def step(self, z: Any, states: list[Any] | None) -> list[Any]:
        update, reset, new = self.gates("split", z, 3)
        if states is None and not (self.cell.reset_after and self.cell.use_bias):
            update, new = self.gate(update), self.activation(new)
            return [self.begin([new, self.keep([update, new])])]
        # at the first step the state is zero, but its projection has a bias
        state = self.zeros(new) if states is None else states[0]
        recurred = self.gates("split_state", self.recur(state), 3 if self.cell.reset_after else 2)
        update = self.gate(self.add_update([update, recurred[0]]))
        reset = self.gate(self.add_reset([reset, recurred[1]]))
        if self.cell.reset_after:
            inner = self.reset_state([reset, recurred[2]])
        else:
            inner = self.candidate(self.reset_state([reset, state]))
        new = self.activation(self.add_new([new, inner]))
        if states is None:
            return [self.begin([new, self.keep([update, new])])]
        return [self.update([new, self.keep([update, self.differ([state, new])])])]


CELLS: dict[Any, Callable[[Sublayers, Any], Any]] = {
    _L.LSTMCell: _LSTMCell,
    _L.GRUCell: _GRUCell,
    _L.SimpleRNNCell: _SimpleCell,
}

_MERGES = {"concat": _L.Concatenate, "sum": _L.Add, "ave": _L.Average, "mul": _L.Multiply}


def bidirectional(layer: Any, expand: Expand) -> Apply | None:
    """Expand Bidirectional around layers that expand."""
    parts = Sublayers(layer, expand)
    inner = {"forward": layer.forward_layer, "backward": layer.backward_layer}
    if bidirectional_obstacle(layer):
        return None
    sides = {name: expand(layer_copy(side, f"{layer.name}_{name}")) for name, side in inner.items()}

    def apply(x: Any, initial_state: Any = None, mask: Any = None, **options: Any) -> Any:
        options.pop("training", None)
        states = [] if initial_state is None else keras.tree.flatten(initial_state)
        halves = (states[: len(states) // 2] or None, states[len(states) // 2 :] or None)
        given = {"mask": mask_of(x) if mask is None else mask}
        made = [side(x, initial_state=own, **given) for side, own in zip(sides.values(), halves, strict=True)]
        results = [keras.tree.flatten(outputs) for outputs in made]
        ahead, back = (outputs[0] for outputs in results)
        if layer.return_sequences:
            back = parts.op("flip", keras.ops.flip, back, axis=1)
        out = _merged(parts, layer.merge_mode, ahead, back)
        if not layer.return_state:
            return out
        states = [*results[0][1:], *results[1][1:]]
        return (*out, *states) if layer.merge_mode is None else (out, *states)

    return apply


def _merged(parts: Sublayers, mode: str | None, ahead: Any, back: Any) -> Any:
    return (ahead, back) if mode is None else parts.layer(_MERGES[mode], "merge")([ahead, back])


def bidirectional_obstacle(layer: Any) -> str:
    """Return why Bidirectional stays as it is; empty: it is expanded."""
    sides = (layer.forward_layer, layer.backward_layer)
    if any(not isinstance(side, _L.RNN) for side in sides):
        return f"{type(sides[0]).__name__} inside is no recurrent layer of Keras"
    return next(filter(None, map(recurrent_obstacle, sides)), "")


def time_distributed(layer: Any, expand: Expand) -> Apply | None:
    """Expand TimeDistributed over a fixed number of steps: the steps join the batch."""
    shape = layer.get_build_config()["input_shape"]
    if time_distributed_obstacle(layer):
        return None
    parts = Sublayers(layer, expand)
    made = expand(layer_copy(layer.layer, f"{layer.name}_{layer.layer.name}"))
    alike = isinstance(layer.layer, _L.Dense) and len(shape) == 3

    def apply(x: Any, mask: Any = None, **options: Any) -> Any:
        options.pop("training", None)
        if mask is not None or mask_of(x) is not None:
            return layer(x, mask=mask)
        if alike:  # it works on the last axis whatever is before it
            return made(x)
        joined = parts.op("join", keras.ops.reshape, x, (-1, *x.shape[2:]))
        out = made(joined)
        return parts.op("part", keras.ops.reshape, out, (-1, x.shape[1], *out.shape[1:]))

    return apply


def time_distributed_obstacle(layer: Any) -> str:
    """Return why TimeDistributed stays as it is; empty: it is expanded."""
    shape = layer.get_build_config()["input_shape"]
    return "" if None not in shape[1:] else f"its inputs of shape {tuple(shape[1:])} have no fixed size"
