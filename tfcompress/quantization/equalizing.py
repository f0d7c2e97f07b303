"""Cross-layer equalization: channels of one tensor brought to one size, the network's function left as it is.

A tensor has one scale for all its channels; one that is 64 times as large as the others leaves them two bits. Where
what lies between the layers that make a channel and those that take it commutes with a positive factor
(:mod:`tfcompress.quantization.scalable_channels`), the channel is divided by ``s`` in the kernels and biases of the
first and multiplied by it in the kernels of the others (Nagel et al. 2019, arXiv:1906.04721, section 4.1).

Every factor here is a power of two. So no number is rounded on the way, and the new model gives the same outputs bit
for bit; and a network whose channels somebody scaled by powers of two is brought to the same weights as without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfcompress.models.copies import model_copy
from tfcompress.models.graph import leaf_layers
from tfcompress.quantization.post_training import Conditions
from tfcompress.quantization.scalable_channels import ScalableChannels, ScalableLayer, scalable_channels
from tfcompress.quantization.steps import Steps, Value, read_steps
from tfcompress.quantization.stepwise import run_through

_SWEEPS = 40
_STILL = 1e-9  # in powers of two: how far a factor moves in a sweep, at most, that is the last
_FARTHEST = 60.0  # powers of two that a factor may be, at most: float32 has 126


def by_activations(model: Any, conditions: Conditions) -> Any:
    """Return a model of the same function whose channels have one largest activation, and weights in balance with it.

    The factor of a channel is ``sqrt(a / w)``, *a* its largest activation on the samples and *w* its largest weight in
    the layers that take it: both become ``sqrt(a w)``. Where only depthwise layers take it, which have a scale for each
    channel, it is ``a``. As *w* depends on the factors behind, they are found in sweeps; each halves, at least, how far
    any is from where they stand still, which so is the same wherever they begin.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: its samples give the largest activations.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model.
    """
    steps = read_steps(model)
    found = scalable_channels(steps, model)
    activations = _largest_activations(steps, found, conditions)
    return _applied(model, found, _balanced(found, activations, np.ones(found.count, bool)))


def by_statistics(model: Any, deviations: float = 6.0) -> Any:
    """Do the same without samples: behind a BatchNormalization a channel reaches ``|beta| + deviations * |gamma|``.

    Where nothing normalizes a channel, it is as large as the largest weight that makes it times what that is fed with.
    A channel of a normalization without gamma stays: only its kernel could be scaled, and then the moving variance
    would be that of another channel.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        deviations: at either side of a channel's mean that it reaches.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model.
    """
    found = scalable_channels(read_steps(model), model)
    factor = _balanced(found, _expected_ranges(found, deviations), _has_own_scale(found))
    return _applied(model, found, factor)


def by_weights(model: Any, conditions: Conditions | None = None) -> Any:
    """Return a model of the same function whose kernels are in balance: needs no samples.

    The factor of a channel is ``sqrt(r1 / r2)``, its largest weight in the layers that make it (with the normalization)
    over that in the layers that take it, in sweeps over the network until they stand still (Nagel et al. 2019, eq. 11).

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        conditions: not looked at.

    Raises:
        ModelError: the model was never built.
        UnsupportedError: a subclassed model.
    """
    found = scalable_channels(read_steps(model), model)
    weights = _Weights(found)
    factor = np.ones(found.count)
    for _ in range(_SWEEPS):
        before = factor
        for family in range(found.kin.max(initial=-1) + 1):
            new = factor * np.sqrt(_ratio(weights.made(factor), weights.taken(factor) * factor))
            factor = np.where((found.kin == family) & _has_room(found, new), new, factor)
        if np.abs(np.log2(factor / before)).max(initial=0.0) < _STILL:
            break
    return _applied(model, found, _power_of_two(factor))


def scaled_by(model: Any, steps: Steps, draw: Callable[[int], np.ndarray]) -> Any:
    """Return a model of the same function with channels divided by factors of one's own: to make what is mended here.

    Args:
        model: a functional or sequential Keras 3 model that is built; it is only read.
        steps: the same, read.
        draw: takes how many sets of channels there are; gives their factors, powers of two.
    """
    found = scalable_channels(steps, model)
    return _applied(model, found, np.where(found.bound > 0, 1.0, draw(found.count)))


def _balanced(found: ScalableChannels, activations: np.ndarray, free_to_move: np.ndarray) -> np.ndarray:
    """Return powers of two for channels, from their largest activations; 1 where they are not free to move."""
    weights = _Weights(found)
    free = weights.is_taken_depthwise_alone()
    factor = np.ones(found.count)
    for _ in range(_SWEEPS):
        # A channel that is always zero, or that nothing weighs, must not decide the others' factors: it is left out.
        alive = (activations > 0) & (weights.taken(np.ones(found.count)) > 0)
        new = _balancing(activations, weights.taken(np.where(alive, factor, np.inf)), found.kin, free)
        new = np.where(free_to_move & _has_room(found, new), new, 1.0)
        moved = np.abs(np.log2(new / factor)).max(initial=0.0)
        factor = new
        if moved < _STILL:
            break
    return _power_of_two(factor)


def _has_own_scale(found: ScalableChannels) -> np.ndarray:
    """Say which channels can be scaled behind their normalization's variance, shape (count,)."""
    own = np.ones(found.count + 1, bool)
    for layer in found.layers:
        if layer.normalization is not None and not layer.normalization.op.scale:
            own[layer.outs] = False
    return own[:-1]


def _expected_ranges(found: ScalableChannels, deviations: float) -> np.ndarray:
    """Return how far each channel is expected to reach, from the weights of the model alone, shape (count,).

    Scaled channels reach as far in proportion, whatever the others' factors are.
    """
    largest = np.zeros(found.count + 1)
    for layer in found.layers:  # in the model's order: what a layer takes is known
        if layer.normalization is not None:
            norm = layer.normalization.op
            beta = np.abs(np.asarray(norm.beta, np.float64)) if norm.center else 0.0
            deviation = layer.factor * np.sqrt(np.asarray(norm.moving_variance, np.float64))
            reached = beta + deviations * deviation
        else:
            given = layer.magnitudes() * _each(layer.ins, largest[:-1])[:, np.newaxis]
            reached = given.reshape(-1) if layer.is_depthwise else given.max(axis=0)
        np.maximum.at(largest, layer.outs, reached)
    return largest[:-1]


class _Weights:
    """The largest weights of every layer whose channels can be scaled."""

    def __init__(self, found: ScalableChannels) -> None:
        self._count = found.count
        self._layers = [(layer, layer.magnitudes()) for layer in found.layers]

    def taken(self, factor: np.ndarray) -> np.ndarray:
        """Return the largest weight that each channel is multiplied with, were its own factor 1; shape (count,)."""
        largest = np.zeros(self._count + 1)
        for layer, weights in self._layers:
            outs = _each(layer.outs, factor)
            shared = weights / (outs.reshape(weights.shape) if layer.is_depthwise else outs)
            np.maximum.at(largest, layer.ins, shared.max(axis=1))
        return largest[:-1]

    def made(self, factor: np.ndarray) -> np.ndarray:
        """Return the largest weight that each channel is made with; shape (count,)."""
        largest = np.zeros(self._count + 1)
        for layer, weights in self._layers:
            scaled = weights * _each(layer.ins, factor)[:, np.newaxis]
            scaled = scaled.reshape(-1) if layer.is_depthwise else scaled.max(axis=0)
            np.maximum.at(largest, layer.outs, scaled / _each(layer.outs, factor))
        return largest[:-1]

    def is_taken_depthwise_alone(self) -> np.ndarray:
        """Say of each channel whether only depthwise layers take it; shape (count,)."""
        free = np.ones(self._count + 1, bool)
        for layer, _ in self._layers:
            if not layer.is_depthwise:
                free[layer.ins] = False
        return free[:-1]


def _each(sets: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return the factor of each channel: 1 where its set is -1."""
    return np.asarray(np.append(factor, 1.0)[sets])


def _largest_activations(steps: Steps, found: ScalableChannels, conditions: Conditions) -> np.ndarray:
    """Return the largest magnitude of each channel over all tensors that hold it, shape (count,)."""
    wanted: Mapping[Value, np.ndarray] = dict(found.tensors)
    largest = np.zeros(found.count + 1)

    def seen(value: Value, tensor: Any) -> None:
        if value in wanted:
            tensor = np.abs(np.asarray(tensor, np.float64))
            np.maximum.at(largest, wanted[value], tensor.reshape(-1, tensor.shape[-1]).max(axis=0))

    run_through(steps, conditions.inputs, seen)
    return largest[:-1]


def _has_room(found: ScalableChannels, factor: np.ndarray) -> np.ndarray:
    """Say which channels may be scaled so.

    A ReLU6 cuts off at 6 whatever the factor, so a channel behind one commutes with none unless it never gets there:
    its largest sum must be below 6 before and after.
    """
    return np.asarray((found.bound <= 6.0) & (found.bound <= 6.0 * _power_of_two(factor)))


def _balancing(activations: np.ndarray, weights: np.ndarray, kin: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return factors for channels by their largest activations and weights, shape (count,).

    Of a channel that the samples leave at zero, or that nothing weighs, the other becomes what it is in the others of
    its family.
    """
    alive = (activations > 0) & (weights > 0)
    a, w = np.where(activations > 0, activations, 1.0), np.where(weights > 0, weights, 1.0)
    many = np.bincount(kin, alive & ~free)
    mean = np.bincount(kin, np.where(alive & ~free, np.log(a * w), 0.0)) / np.maximum(many, 1)
    level = np.where(free, 1.0, np.exp(mean / 2)[kin])
    lone = np.where(activations > 0, a / level, np.where(weights > 0, level / w, 1.0))
    found = np.where(alive, np.where(free, a, np.sqrt(a / w)), lone)
    return np.asarray(np.where(np.bincount(kin, alive)[kin] > 0, found, 1.0))


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Return one over the other; 1 where either is zero, as in a channel that is dead."""
    alive = (over > 0) & (under > 0) & np.isfinite(over) & np.isfinite(under)
    return np.where(alive, np.where(alive, over, 1.0) / np.where(alive, under, 1.0), 1.0)


def _power_of_two(factor: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 ** np.clip(np.round(np.log2(factor)), -_FARTHEST, _FARTHEST))


def _applied(model: Any, found: ScalableChannels, factor: np.ndarray) -> Any:
    """Return a copy of the model with the factors in its weights."""
    new = model_copy(model)
    layers = dict(leaf_layers(new))
    for each in found.layers:
        kernel = layers[each.step.path].kernel
        kernel.assign(np.asarray(kernel) * each.by_input(_each(each.ins, factor).astype(np.float32)))
        _divide_(each, _each(each.outs, factor).astype(np.float32), layers)
    return new


def _divide_(each: ScalableLayer, factor: np.ndarray, layers: Mapping[str, Any]) -> None:
    """Divide the channels that a layer makes, behind its normalization."""
    norm = None if each.normalization is None else layers[each.normalization.path]
    if norm is not None and norm.scale:
        variables = [norm.gamma, *([norm.beta] if norm.center else [])]
    else:
        layer = layers[each.step.path]
        layer.kernel.assign(np.asarray(layer.kernel) / each.by_output(factor))
        variables = [layer.bias] if layer.use_bias else []
        variables += [] if norm is None else [norm.moving_mean, *([norm.beta] if norm.center else [])]
    for variable in variables:
        variable.assign(np.asarray(variable) / factor)
