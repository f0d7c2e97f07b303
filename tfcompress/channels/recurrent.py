"""What recurrent layers, and the wrappers around layers, do to channels: a unit owns a column in every gate."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.channels.elementwise import dead_after
from tfcompress.channels.ledger import Atoms, AxisChannels, Marks
from tfcompress.channels.shaping import joined
from tfcompress.channels.trace import Rule, Step, is_model, pinned_whole

CELLS = {"LSTMCell": 4, "GRUCell": 3, "SimpleRNNCell": 1, "ConvLSTMCell": 4}
"""Class of a cell -> blocks of columns that its kernels consist of."""
LAYERS = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
"""Classes of recurrent layers."""


def recurrent(step: Step) -> list[Marks]:
    """Kernels read channels and states; every unit makes one column in each block of columns."""
    layer, cell = step.layer, step.layer.cell
    if layer.stateful or getattr(layer, "data_format", "") == "channels_first" or not _is_known(cell):
        return pinned_whole(step)
    given = _without_masks(step)
    units = _units(step, cell, given[0][-1])
    step.pin_but(given[0], -1)
    for state in given[1:]:
        _tie_state(step, units, state)
    if type(layer).__name__.startswith("Conv"):
        step.configure(filters=units)
    else:
        step.configure_inside("cell" if type(layer).__name__ == "RNN" else "", units=units)
        step.multiply(cell.kernel, cell.recurrent_kernel)
    dead = dead_after(cell.activation, np.zeros(len(units)))
    channels = AxisChannels.zero(units)
    if dead is None or np.any(dead != 0):
        channels = channels.becoming(np.nan)
        step.trace.inexact.append((units, f"fed back in {step.named}"))
    return [(*(None,) * (len(tensor.shape) - 1), channels) for tensor in step.outputs]


def _without_masks(step: Step) -> list[Marks]:
    """Return what is known of the tensors that a call is given, but for its masks."""
    return [marks for tensor, marks in zip(step.tensors, step.given, strict=True) if str(tensor.dtype) != "bool"]


def _is_known(cell: Any) -> bool:
    return type(cell).__name__ in CELLS and type(cell).__module__.startswith("keras.")


def _units(step: Step, cell: Any, given: AxisChannels | None) -> Atoms:
    """Claim the weights of a cell."""
    gates = CELLS[type(cell).__name__]
    known = step.trace.claims.get((id(cell.recurrent_kernel), len(cell.recurrent_kernel.shape) - 2))
    if known is not None and known.atoms is not None:
        units = known.atoms
    else:
        units = step.trace.ledger.fresh(int(cell.recurrent_kernel.shape[-2]))
        step.trace.producers.append((step.path + step.suffix, step.path, units))
    columns = np.tile(units, gates)
    step.read(cell.kernel, -2, given)
    step.claim(cell.kernel, -1, columns, "makes")
    step.claim(cell.recurrent_kernel, -2, units, "reads")
    step.claim(cell.recurrent_kernel, -1, columns, "makes")
    if cell.bias is not None:
        step.claim(cell.bias, -1, columns, "makes")
    return units


def _tie_state(step: Step, units: Atoms, state: Marks) -> None:
    channels = state[-1]
    if channels is None:
        step.trace.ledger.pin(units, f"layer {step.named} starts from a state that is fixed")
        return
    step.trace.ledger.unite(units, channels.atoms)
    if np.any(channels.dead != 0):
        step.trace.inexact.append((channels.atoms, f"read by {step.named}"))


def _part(step: Step, layer: Any, suffix: str, config: str, outputs: list[Any]) -> Step:
    return Step(
        step.trace,
        layer,
        step.path,
        step.args,
        step.kwargs,
        step.tensors,
        step.given,
        outputs,
        config_path=(*step.config_path, config, "config"),
        suffix=suffix,
    )


def bidirectional(step: Step) -> list[Marks]:
    """Two layers side by side, unit by unit: Keras computes the shape of both from the first."""
    layer = step.layer
    inner = (layer.forward_layer, layer.backward_layer)
    if (
        any(type(one).__name__ not in LAYERS or step.trace.rule_for(one) is None for one in inner)
        or len(_without_masks(step)) > 1
    ):
        return pinned_whole(step)
    step.counted = True
    outputs = step.outputs[:1] if layer.merge_mode else step.outputs
    parts = [
        _part(step, one, suffix, config, step.outputs[:1])
        for one, suffix, config in zip(inner, (":forward", ":backward"), ("layer", "backward_layer"), strict=True)
    ]
    made = [recurrent(part)[0] for part in parts]
    forward, backward = (marks[-1] for marks in made)
    if forward is None or backward is None or len(forward) != len(backward):
        return pinned_whole(step)
    states = [(None, marks[-1]) for marks in made for _ in range((len(step.outputs) - len(outputs)) // 2)]
    step.unite(forward, backward)
    if layer.merge_mode is None:
        return [*made, *states][: len(step.outputs)]
    merged = joined([forward, backward]) if layer.merge_mode == "concat" else forward
    return [(*made[0][:-1], merged), *states]


def time_distributed(step: Step) -> list[Marks]:
    """The layer inside sees one step of time."""
    import keras

    inner = step.layer.layer
    rule = step.trace.nested if is_model(inner) else step.trace.rule_for(inner)
    if rule is None or len(_without_masks(step)) != 1:
        return pinned_whole(step)
    step.counted = True
    marks = step.given[0]
    step.pin(marks[1], f"layer {step.named} works along that axis")
    time = step.tensors[0].shape[1]

    def one(tensor: Any) -> Any:
        return keras.KerasTensor((tensor.shape[0], *tensor.shape[2:]), dtype=tensor.dtype)

    part = _part(step, inner, "", "layer", [one(tensor) for tensor in step.outputs])
    part.tensors, part.given = [one(tensor) for tensor in step.tensors], [(marks[0], *marks[2:])]
    part.args, part.kwargs, part.repeats = (part.tensors[0],), {}, time
    if is_model(inner):
        part.path = f"{step.path}/{inner.name}"
        step.trace.times = None
    made = rule(part)
    step.trace.times = 1
    return [(found[0], None, *found[1:]) for found in made]


RULES: dict[str, Rule] = {
    **dict.fromkeys(LAYERS, recurrent),
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
}
"""Class of a layer -> its rule."""
