"""What works number by number does to channels: activations, sums and products with broadcasting, noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcompress.channels.claims import Keep
from tfcompress.channels.ledger import AxisChannels, Marks
from tfcompress.channels.trace import Rule, Step, pinned_whole
from tfcompress.models.call_template import map_structure
from tfcompress.models.keras_private import has_origin

Values = NDArray[np.float64]


def _applied(function: Callable[[Any], Any], values: Sequence[float]) -> Values | None:
    """Apply a function to one vector, of shape (1, n); None: something of another shape comes out."""
    import keras

    result = np.asarray(keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor([values], "float32"))))
    return result[0].astype(np.float64) if result.shape == (1, len(values)) else None


def dead_after(function: Callable[[Any], Any], dead: Values) -> Values | None:
    """Return what a function makes of dead channels; None: it does not work number by number.

    A softmax, for one, gives away that it is none: the same number beside others becomes another one.
    """
    one, other = _applied(function, (0.5, 0.7, -1.1, 2.0)), _applied(function, (0.5, -2.0, 0.3, 1.0))
    if one is None or other is None or not np.isclose(one[0], other[0], rtol=1e-6, atol=0.0):
        return None
    numbers = np.unique(dead[~np.isnan(dead)])
    after = np.full(dead.shape, np.nan)
    for number in numbers:
        result = _applied(function, (float(number),))
        after[dead == number] = np.nan if result is None else result[0]
    return after


def activated(step: Step, channels: AxisChannels | None, function: Any) -> AxisChannels | None:
    """Apply an activation to the channels of an axis; one that mixes them pins them."""
    if channels is None or function is None:
        return channels
    dead = dead_after(function, channels.dead)
    if dead is None:
        step.pin(channels, f"activation of {step.named} mixes channels")
    return channels.becoming(np.nan if dead is None else dead)


def unary(step: Step) -> list[Marks]:
    """An activation layer, or an operation on one tensor, with its settings."""
    return [tuple(activated(step, channels, _without_tensor(step)) for channels in step.given[0])]


def _without_tensor(step: Step) -> Callable[[Any], Any]:
    """Return the call as a function of its one tensor."""

    def function(value: Any) -> Any:
        def replace(leaf: Any) -> Any:
            return value if leaf is step.tensors[0] else leaf

        operation = getattr(step.layer, "activation", None)
        if operation is not None:
            return operation(value)
        return step.layer.call(*map_structure(replace, step.args), **map_structure(replace, step.kwargs))

    return function


def rescaling(step: Step) -> list[Marks]:
    """One factor and one shift for all; lists of them are for inputs, whose channels stay."""
    if np.ndim(step.layer.scale) or np.ndim(step.layer.offset):
        return pinned_whole(step)
    return unary(step)


def softmax(step: Step) -> list[Marks]:
    """Along its axes every number counts for every other one."""
    marks = step.given[0]
    axis = getattr(step.layer, "axis", -1)
    mixed = {a % len(marks) for a in ([axis] if isinstance(axis, int) else axis or range(len(marks)))}
    for a in mixed:
        step.pin(marks[a], f"{step.named} mixes channels")
    return [tuple(None if c is None else c.becoming(np.nan) for c in marks)]


def unchanged(step: Step) -> list[Marks]:
    """Dropout, noise and the like: at inference nothing happens."""
    return [step.given[0]]


def prelu(step: Step) -> list[Marks]:
    """A slope for every number, or for every channel."""
    marks, alpha = step.given[0], step.layer.alpha
    for axis, channels in enumerate(marks[1:]):
        if alpha.shape[axis] > 1 or channels is not None:
            atoms = None if channels is None or alpha.shape[axis] != len(channels) else channels.atoms
            step.claim(alpha, axis, atoms, "follows")
    return [tuple(None if c is None else c.becoming(np.where(c.dead >= 0, c.dead, np.nan)) for c in marks)]


def _product(one: Values, other: Values) -> Values:
    return np.where((one == 0) | (other == 0), 0.0, one * other)


def _quotient(one: Values, other: Values) -> Values:
    with np.errstate(all="ignore"):
        result = np.where((one == 0) & np.isnan(other), 0.0, one / other)
    return np.where(np.isfinite(result), result, np.nan)


MERGES: dict[str, Callable[[Values, Values], Values]] = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": _product,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Average": np.add,  # of the sum only whether it is zero matters; see merge()
    "Divide": _quotient,
    "TrueDivide": _quotient,
    "Power": lambda one, other: np.where((one == 0) & (other > 0), 0.0, np.nan),
}
"""Merging layers and operations of two tensors -> what two dead channels become."""


def merge(step: Step) -> list[Marks]:
    """Tie the channels of all operands, axis by axis from the last; an axis of size 1 is spread over the others'."""
    operands = _operands(step)
    rank = len(step.outputs[0].shape)
    marks = tuple(_merged(step, operands, axis, rank) for axis in range(rank))
    constants = [o for o in operands if isinstance(o, np.ndarray) and o.ndim]
    if constants:
        _cut_constants(step, marks)
    return [marks]


def average(step: Step) -> list[Marks]:
    """The layer ``Average`` merges; the operation of that name is a mean over axes, with weights."""
    return pinned_whole(step) if hasattr(step.layer, "axis") else merge(step)


def _operands(step: Step) -> list[Any]:
    """Return the operands: marks with shape of tensors, arrays of constants."""
    found: list[Any] = []
    flat = [
        leaf
        for arg in (*step.args, *step.kwargs.values())
        for leaf in (arg if isinstance(arg, list | tuple) else [arg])
    ]
    known = {id(tensor): (tensor, marks) for tensor, marks in zip(step.tensors, step.given, strict=True)}
    for leaf in flat:
        if id(leaf) in known:
            found.append(known[id(leaf)])
        elif leaf is not None and not isinstance(leaf, bool | str):
            found.append(np.asarray(leaf))
    return found


def _merged(step: Step, operands: list[Any], axis: int, rank: int) -> AxisChannels | None:
    """Merge one axis of the output."""
    size = step.outputs[0].shape[axis]
    tracked: list[AxisChannels] = []
    values: list[Values] = []
    blocked = False
    for operand in operands:
        shape = operand.shape if isinstance(operand, np.ndarray) else tuple(operand[0].shape)
        own = axis - rank + len(shape)
        channels = None if isinstance(operand, np.ndarray) or own < 0 else operand[1][own]
        if channels is not None and len(channels) == size:
            tracked.append(channels)
            values.append(channels.dead)
            continue
        values.append(_constant_along(operand, own, size))
        if own >= 0 and shape[own] == size and size != 1 and not isinstance(operand, np.ndarray):
            blocked = True
    if not tracked:
        return None
    for channels in tracked[1:]:
        step.unite(tracked[0], channels)
    if blocked:
        step.pin(tracked[0], f"joined in {step.named} to channels that are fixed")
    return tracked[0].becoming(_dead_merged(step, values))


def _dead_merged(step: Step, values: list[Values]) -> Values:
    function = MERGES[type(step.layer).__name__]
    dead = values[0]
    for value in values[1:]:
        dead = function(dead, value)
    return dead / len(values) if type(step.layer).__name__ == "Average" else dead


def _constant_along(operand: Any, axis: int, size: int | None) -> Values:
    """Return a constant operand's numbers along an axis; one for all, or one for each; NaN where others differ."""
    if not isinstance(operand, np.ndarray):
        return np.array([np.nan])
    if operand.ndim == 0 or axis < 0:
        flat = operand.ravel().astype(np.float64)
        return np.array([flat[0] if np.all(flat == flat[0]) else np.nan])
    if operand.shape[axis] not in (1, size):
        return np.array([np.nan])
    rows = np.moveaxis(operand, axis, 0).reshape(operand.shape[axis], -1).astype(np.float64)
    return np.where(np.all(rows == rows[:, :1], axis=1), rows[:, 0], np.nan)


def _cut_constants(step: Step, marks: Marks) -> None:
    """Have the constants among the operands lose what their partners lose."""
    known = {id(tensor) for tensor in step.tensors}

    def edit(args: Any, kwargs: dict[str, Any], keep: Keep) -> tuple[Any, dict[str, Any]]:
        def cut(leaf: Any) -> Any:
            if id(leaf) in known or has_origin(leaf) or not getattr(leaf, "shape", ()):
                return leaf
            array = np.asarray(leaf)
            for axis in range(array.ndim):
                channels = marks[axis - array.ndim]
                if channels is not None and array.shape[axis] == len(channels):
                    array = np.compress(keep(channels.atoms), array, axis=axis)
            return array

        return map_structure(cut, args), map_structure(cut, kwargs)

    step.rewrite(edit)


ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU")
ACTIVATIONS = ("Relu", "Relu6", "Sigmoid", "Softplus", "Softsign", "Silu", "LogSigmoid", "LeakyRelu", "HardSigmoid")
MORE_ACTIVATIONS = ("HardSilu", "Elu", "Selu", "Gelu", "Celu", "HardTanh", "HardShrink", "SoftShrink", "TanhShrink")
RARE_ACTIVATIONS = ("Squareplus", "SparseSigmoid", "SparsePlus", "Threshold", "Tanh", "Erf")
ARITHMETIC = ("Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Square", "Abs", "Absolute", "Negative", "Reciprocal")
MORE_ARITHMETIC = ("Sin", "Cos", "Sign", "Clip", "Cast", "Floor", "Ceil", "Round")
UNARY = (*ACTIVATION_LAYERS, *ACTIVATIONS, *MORE_ACTIVATIONS, *RARE_ACTIVATIONS, *ARITHMETIC, *MORE_ARITHMETIC)
"""Layers and operations on one tensor that work number by number; :func:`dead_after` finds out those that do not."""
NOISE = ("Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", *(f"SpatialDropout{n}D" for n in (1, 2, 3)))
UNCHANGED = (*NOISE, "Identity", "ActivityRegularization", "Masking", "StopGradient")
"""Layers and operations that do nothing at inference."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(UNCHANGED, unchanged),
    **dict.fromkeys(MERGES, merge),
    "Average": average,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Sparsemax"), softmax),
    "PReLU": prelu,
    "Rescaling": rescaling,
}
"""Class of a layer or operation -> its rule."""
