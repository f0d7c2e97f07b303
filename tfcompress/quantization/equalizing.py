"""Cross-layer equalization: channels of one tensor brought to one size, the network's function left as it is.

A tensor has one scale for all its channels; one that is 64 times as large as the others leaves them two bits. What lies
between two layers with kernels may commute with scaling each channel by a positive factor (``f(s x) = s f(x)``: ReLU,
PReLU, pooling …): then channel *c* of the first layer's kernel and bias is divided by ``s[c]`` and that of the second
layer's kernel multiplied by it (Nagel et al. 2019, arXiv:1906.04721, section 4.1).

Every factor here is a power of two. So no number is rounded on the way, and the new model gives the same outputs bit
for bit; and a network whose channels somebody scaled by powers of two is brought to the same weights as without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfcompress.models.copies import model_copy
from tfcompress.models.graph import leaf_layers
from tfcompress.quantization import rules
from tfcompress.quantization.baking import CHANNEL_AXES
from tfcompress.quantization.post_training import Conditions
from tfcompress.quantization.steps import Step, Steps, Value, read_steps
from tfcompress.quantization.stepwise import run_through

IN_AXES: dict[str, int] = {"Conv1D": 1, "Conv2D": 2, "Dense": 0, "DepthwiseConv1D": 1, "DepthwiseConv2D": 2}
"""Layers that take the factors in -> the axis of their kernel that is their input's channels."""

OUT_LAYERS = frozenset({"Conv1D", "Conv2D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D"})
"""Layers whose output channels are scaled."""

_COMMUTES = frozenset(
    {
        *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
        *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
        *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "LeakyReLU", "PReLU", "LeakyRelu"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "Identity", "Flatten"),
    }
)
_SWEEPS = 20
_FARTHEST = 60.0  # powers of two that a factor may be, at most: float32 has 126
_CLUSTERED = 4  # so many weights a distinct value, at least, are no accident


@dataclass
class Chain:
    """Two layers or more with nothing between them that a positive factor a channel does not pass.

    Attributes:
        first: the layer that makes the channels.
        normalization: what normalizes its sums; None: nothing does.
        value: the tensor whose channels are to be of one size, behind the activation.
        next: the layers that take them, and how many of their inputs are one channel's (more than one after Flatten).
        capped: a ReLU6 lies between: see :func:`_room`.
    """

    first: Step
    value: Value
    normalization: Step | None = None
    next: list[tuple[Step, int]] = field(default_factory=list)
    capped: bool = False


def by_activations(model: Any, conditions: Conditions) -> Any:
    """Return a model of the same function whose channels have one largest activation, and weights in balance with it.

    The factor of channel *c* is ``sqrt(a[c] / w[c])``, *a* its largest activation on the samples and *w* its largest
    weight in the layers that follow: both become ``sqrt(a[c] w[c])``. Where only depthwise layers follow, which have a
    scale for each channel, it is ``a[c]``.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: its samples tell the largest activations.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model.
    """
    steps = read_steps(model)
    found = list(chains(steps, model))
    wanted = {chain.value: chain for chain in found}
    largest: dict[Value, np.ndarray] = {}

    def seen(value: Value, tensor: Any) -> None:
        if value in wanted:
            tensor = np.abs(np.asarray(tensor, np.float64))
            largest[value] = tensor.reshape(-1, tensor.shape[-1]).max(axis=0)

    run_through(steps, conditions.inputs, seen)
    kernels = _magnitudes(found)
    factors: dict[int, np.ndarray] = {}
    for chain in reversed(found):  # what a layer's output channels are divided by changes what its input's weigh
        after = _input_weights(chain, kernels)
        wish = _balancing(largest[chain.value], after, free=all(_is_depthwise(step) for step, _ in chain.next))
        factors[id(chain)] = _power_of_two(wish * _room(chain, wish))
        _scale_magnitudes_(chain, factors[id(chain)], kernels)
    return _applied(model, found, factors)


def by_weights(model: Any, conditions: Conditions | None = None) -> Any:
    """Return a model of the same function whose kernels are in balance: needs no samples.

    The factor of channel *c* is ``sqrt(r1[c] / r2[c])``, its largest weight in the layer that makes it (with the
    normalization) over that in the layers that follow, in sweeps over the network until they stand still (Nagel et al.
    2019, eq. 11).

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: not looked at.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model.
    """
    found = list(chains(read_steps(model), model))
    kernels = _magnitudes(found)
    total = {id(chain): np.ones(_channels(chain)) for chain in found}
    for _ in range(_SWEEPS):
        farthest = 1.0
        for chain in found:
            before = _output_weights(chain.first, kernels[chain.first])
            wish = np.sqrt(_ratio(before, _input_weights(chain, kernels)))
            wish = wish * _room(chain, wish)
            total[id(chain)] *= wish
            _scale_magnitudes_(chain, wish, kernels)
            farthest = max(farthest, float(np.max(np.maximum(wish, 1 / wish))))
        if farthest < 1.01:
            break
    return _applied(model, found, {key: _power_of_two(value) for key, value in total.items()})


def scaled_by(model: Any, steps: Steps, draw: Callable[[int], np.ndarray]) -> Any:
    """Return a model of the same function with channels divided by factors of one's own: to make what is mended here.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        steps: the same, read.
        draw: takes how many channels there are; gives their factors, powers of two.
    """
    found = [chain for chain in chains(steps, model) if not chain.capped]
    return _applied(model, found, {id(chain): draw(_channels(chain)) for chain in found})


def chains(steps: Steps, model: Any) -> Iterator[Chain]:
    """Give the chains of a model, in its order.

    Args:
        steps: the model, read.
        model: the model itself: only layers that are its own, by path and class, and called once, can be scaled.
    """
    own = {path: type(layer).__name__ for path, layer in leaf_layers(model)}
    uses = Counter(id(step.op) for step in steps.steps)
    scalable = {s for s in steps.steps if own.get(s.path) == type(s.op).__name__.removeprefix("Freezable")}
    scalable -= {step for step in scalable if uses[id(step.op)] > 1 or _in_values_last(step)}
    for step in steps.steps:
        if step in scalable and type(step.op).__name__ in OUT_LAYERS and not _is_clustered(step):
            found = _chain_from(step, scalable)
            if found is not None:
                yield found


def _in_values_last(step: Step) -> bool:
    return getattr(step.op, "data_format", "channels_last") == "channels_first"


def _chain_from(first: Step, scalable: set[Step]) -> Chain | None:
    """Follow what a layer makes to the layers that take it; None: something on the way has other factors, or none."""
    chain = Chain(first, first.outputs[0])
    if not _pass_activation(chain, getattr(first.op, "activation", None)):
        return None
    if len(chain.value.users) == 1 and type(chain.value.users[0].op).__name__ == "FreezableBatchNormalization":
        after = chain.value.users[0]
        linear = getattr(first.op, "activation", None) in (None, keras.activations.linear)
        if after not in scalable or not linear or chain.value.is_output:
            return None
        chain.normalization, chain.value = after, after.outputs[0]
    return chain if _followed(chain, chain.value, 1, scalable) and chain.next else None


def _followed(chain: Chain, value: Value, times: int, scalable: set[Step]) -> bool:
    """Add what takes a value to the chain; returns whether all of it passes factors, or takes them in."""
    if value.is_output or not value.is_float:
        return False
    for user in value.users:
        name = type(user.op).__name__
        if name in IN_AXES and user in scalable and getattr(user.op, "groups", 1) == 1 and not _is_clustered(user):
            chain.next.append((user, times))
        elif rules.kind_of(user.op) == "relu" or name in _COMMUTES:
            chain.capped |= rules.kind_of(user.op) == "relu" and rules.bounds_at_six(user.op)
            if name == "Flatten":
                times *= int(np.prod(value.symbol.shape[1:-1]))
            if value is chain.value and len(value.users) == 1 and (rules.kind_of(user.op) == "relu" or "ReLU" in name):
                chain.value = user.outputs[0]
            if not _followed(chain, user.outputs[0], times, scalable):
                return False
        else:
            return False
    return True


def _pass_activation(chain: Chain, activation: Any) -> bool:
    chain.capped |= activation is keras.activations.relu6
    plain = (None, keras.activations.linear, keras.activations.relu, keras.activations.relu6)
    return activation in plain or getattr(activation, "__name__", "") == "leaky_relu"


def _room(chain: Chain, wish: np.ndarray) -> np.ndarray:
    """Return 1 where a channel may be scaled as it is wished, else the reciprocal of the wish.

    A ReLU6 cuts off at 6 whatever the factor, so a channel behind one commutes with none unless it never gets there:
    its largest sum, ``bias + 6 sum(max(w, 0))`` where its input lies in [0, 6], must be below 6 before and after.
    """
    if not chain.capped:
        return np.ones_like(wish)
    bound = _largest_sum(chain)
    return np.where((bound <= 6.0) & (bound <= 6.0 * _power_of_two(wish)), 1.0, 1.0 / wish)


def _largest_sum(chain: Chain) -> np.ndarray:
    """Return the largest value that each channel can take before its activation; infinity: it is not known."""
    maker = chain.first.inputs[0].maker
    ends = maker is not None and (
        (rules.kind_of(maker.op) == "relu" and rules.bounds_at_six(maker.op))
        or getattr(maker.op, "activation", None) is keras.activations.relu6
    )
    if not ends:
        return np.full(_channels(chain), np.inf)
    op, factor = chain.first.op, _normalizing(chain)
    kernel = np.asarray(op.kernel, np.float64) * _by_channel(chain.first, factor)
    axes = CHANNEL_AXES[type(op).__name__]
    others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    sums = 6.0 * np.maximum(kernel, 0.0).sum(axis=others).reshape(-1)
    bias = np.asarray(op.bias, np.float64) if op.use_bias else np.zeros(_channels(chain))
    if chain.normalization is not None:
        norm = chain.normalization.op
        beta = np.asarray(norm.beta, np.float64) if norm.center else 0.0
        bias = beta + (bias - np.asarray(norm.moving_mean, np.float64)) * factor
    return np.asarray(sums + bias)


def _is_clustered(step: Step) -> bool:
    """Say whether a kernel holds few different values: factors would make many of them."""
    values = np.asarray(step.op.kernel)
    values = values[values != 0]
    return bool(values.size >= 64 and np.unique(values).size * _CLUSTERED < values.size)


def _is_depthwise(step: Step) -> bool:
    return type(step.op).__name__.startswith("Depthwise")


def _magnitudes(found: list[Chain]) -> dict[Step, np.ndarray]:
    """Return the kernels as the file will hold them: with the normalization behind them, which is folded in."""
    kernels = {
        step: np.asarray(step.op.kernel, np.float64)
        for chain in found
        for step in (chain.first, *(step for step, _ in chain.next))
    }
    for chain in found:
        kernels[chain.first] = kernels[chain.first] * _by_channel(chain.first, _normalizing(chain))
    return kernels


def _channels(chain: Chain) -> int:
    return int(chain.first.outputs[0].symbol.shape[-1])


def _normalizing(chain: Chain) -> np.ndarray:
    """Return what the normalization multiplies each channel with."""
    return np.ones(_channels(chain)) if chain.normalization is None else np.abs(chain.normalization.op.factor)


def _by_channel(step: Step, factor: np.ndarray) -> np.ndarray:
    """Shape a factor for each output channel to multiply the kernel of a step."""
    kernel, axes = step.op.kernel, CHANNEL_AXES[type(step.op).__name__]
    return factor.reshape([size if axis in axes else 1 for axis, size in enumerate(kernel.shape)])


def _by_input(step: Step, factor: np.ndarray, times: int) -> np.ndarray:
    """Shape a factor for each input channel, which comes so many times, to multiply the kernel of a step."""
    axis = IN_AXES[type(step.op).__name__]
    shape = [1] * len(step.op.kernel.shape)
    shape[axis] = -1
    return np.tile(factor, times).reshape(shape)


def _output_weights(step: Step, kernel: np.ndarray) -> np.ndarray:
    axes = CHANNEL_AXES[type(step.op).__name__]
    others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    return np.asarray(np.abs(kernel).max(axis=others).reshape(-1))


def _input_weights(chain: Chain, kernels: Mapping[Step, np.ndarray]) -> np.ndarray:
    """Return the largest weight of each channel in the layers that take it, shape (channels,)."""
    found = []
    for step, times in chain.next:
        axis = IN_AXES[type(step.op).__name__]
        largest = np.abs(kernels[step]).max(axis=tuple(a for a in range(kernels[step].ndim) if a != axis))
        found.append(largest.reshape(times, -1).max(axis=0))
    return np.asarray(np.max(found, axis=0))


def _scale_magnitudes_(chain: Chain, factor: np.ndarray, kernels: dict[Step, np.ndarray]) -> None:
    kernels[chain.first] = kernels[chain.first] / _by_channel(chain.first, factor)
    for step, times in chain.next:
        kernels[step] = kernels[step] * _by_input(step, factor, times)


def _balancing(activations: np.ndarray, weights: np.ndarray, *, free: bool) -> np.ndarray:
    """Return factors for channels by their largest activations and weights, shape (channels,).

    Of a channel that the samples leave at zero, or that nothing weighs, the other becomes what it is in the others.
    """
    alive = (activations > 0) & (weights > 0)
    if not alive.any():
        return np.ones_like(weights)
    a, w = np.where(activations > 0, activations, 1.0), np.where(weights > 0, weights, 1.0)
    level = 1.0 if free else float(np.exp(np.mean(np.log(a * w)[alive]) / 2))
    lone = np.where(activations > 0, a / level, np.where(weights > 0, level / w, 1.0))
    return np.asarray(np.where(alive, a if free else np.sqrt(a / w), lone))


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Return one over the other; 1 where either is zero, as in a channel that is dead."""
    alive = (over > 0) & (under > 0) & np.isfinite(over) & np.isfinite(under)
    return np.where(alive, np.where(alive, over, 1.0) / np.where(alive, under, 1.0), 1.0)


def _power_of_two(factor: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 ** np.clip(np.round(np.log2(factor)), -_FARTHEST, _FARTHEST))


def _applied(model: Any, found: list[Chain], factors: Mapping[int, np.ndarray]) -> Any:
    """Return a copy of the model with the factors in its weights."""
    new = model_copy(model)
    layers = dict(leaf_layers(new))
    for chain in found:
        factor = factors[id(chain)].astype(np.float32)
        _divide_(chain, factor, layers)
        for step, times in chain.next:
            kernel = layers[step.path].kernel
            kernel.assign(np.asarray(kernel) * _by_input(step, factor, times))
    return new


def _divide_(chain: Chain, factor: np.ndarray, layers: Mapping[str, Any]) -> None:
    """Divide the channels that a chain's first layer makes, behind its normalization."""
    norm = None if chain.normalization is None else layers[chain.normalization.path]
    if norm is not None and norm.scale:
        variables = [norm.gamma, *([norm.beta] if norm.center else [])]
    else:
        layer = layers[chain.first.path]
        layer.kernel.assign(np.asarray(layer.kernel) / _by_channel(chain.first, factor))
        variables = [layer.bias] if layer.use_bias else []
        variables += [] if norm is None else [norm.moving_mean, *([norm.beta] if norm.center else [])]
    for variable in variables:
        variable.assign(np.asarray(variable) / factor)
