"""Training that drives whole channels towards zero, so that less is lost when they go.

Added to the loss is a penalty of the groups that may shrink, of a strength that grows over the training. ``slimming``
is the sum of the absolute scales of BatchNormalizations (Liu et al. 2017, arXiv:1708.06519, eq. 1). ``group-norm`` is
the sum of the squares of everything that makes or reads a channel, over all channels (Fang et al. 2023, DepGraph,
arXiv:2301.12900, eq. 4); each counts by ``2 ** (4 (max - n) / (max - min))``, *n* the channel's squared norm and *max*
and *min* those of its group: weak channels are pressed hardest, by factors that are taken anew at every epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.channels.groups import Group, Slice, groups
from tfcompress.errors import UnsupportedError
from tfcompress.models.own_training import refuse_unheard_loss
from tfcompress.models.scope import in_scope
from tfcompress.recipe import Channels

STEEPNESS = 4.0
"""The weakest channel of a group is pressed ``2 ** 4`` times as hard as the strongest (Fang et al. 2023)."""


def penalize_(model: Any, stage: Channels, tell: Callable[[str], None] = lambda _: None) -> list[Any]:
    """Add the penalty that a stage asks for to the loss that a model is trained with.

    Args:
        model: a functional or sequential Keras 3 model; its ``compute_loss`` is changed, for training alone.
        stage: says how to regularize, how strongly, and which layers.
        tell: takes a sentence at the end of the training about what came of it.

    Returns:
        Callbacks for ``fit``, which let the strength grow; without them there is no penalty.

    Raises:
        UnsupportedError: the model has nothing to penalize, or computes its loss by itself.
    """
    refuse_unheard_loss(model, f"channels.regularize {stage.regularize!r}")
    free = [g for g in groups(model) if not g.pinned and any(in_scope(path, stage.scope) for path in g.producers)]
    find = _scales if stage.regularize == "slimming" else _weights
    pressed = [_Pressed(group, tuple(map(_Term.of, find(group)))) for group in free if find(group)]
    if not pressed:
        without = "BatchNormalization with a scale behind channels that may go" if free else "channels that may go"
        way_out = "; use 'group-norm'" if free else ""
        msg = f"channels.regularize {stage.regularize!r} finds no {without} in model {model.name!r}{way_out}"
        raise UnsupportedError(msg)
    penalty = _Penalty(pressed, squared=stage.regularize == "group-norm")
    own = model.compute_loss

    def compute_loss(
        x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = own(x, y, y_pred, sample_weight, training)
        return loss + tf.cast(penalty.value(), loss.dtype) if training else loss

    model.compute_loss = compute_loss
    return [_Growth(penalty, stage, tell)]


def _scales(group: Group) -> list[Slice]:
    """Return where the scales of a group's BatchNormalizations sit."""
    return [m for m in _weights(group) if m.kind == "BatchNormalization" and m.weight == "gamma"]


def _weights(group: Group) -> list[Slice]:
    """Return everything trained that makes or reads a group's channels."""
    return [m for m in group.members if m.role != "follows" and m.variable.trainable]


@dataclass(frozen=True, eq=False)
class _Term:
    """One weight's part; *factors*: of the axis's size, how hard each index is pressed (0: it is another group's)."""

    place: Slice
    factors: Any

    @classmethod
    def of(cls, place: Slice) -> _Term:
        return cls(place, tf.Variable((place.channel_of >= 0).astype(np.float32), trainable=False))

    def value(self, size_of: Callable[[Any], Any]) -> Any:
        weight = tf.cast(keras.ops.convert_to_tensor(self.place.variable), tf.float32)
        others = [axis for axis in range(len(weight.shape)) if axis != self.place.axis]
        return tf.reduce_sum(self.factors * tf.reduce_sum(size_of(weight), others))


@dataclass(frozen=True, eq=False)
class _Pressed:
    """A group, and the weights of it that are pressed."""

    group: Group
    terms: tuple[_Term, ...]

    def sizes(self, size_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what each channel comes to over all terms, shape (channels,)."""
        channels = self.group.channels
        parts = [term.place.total(size_of(term.place.variable.numpy()), channels) for term in self.terms]
        result: np.ndarray = np.sum(parts, axis=0)
        return result


class _Penalty:
    """The sum over all groups, times a strength that is 0 until it is set."""

    def __init__(self, pressed: Sequence[_Pressed], *, squared: bool) -> None:
        self.pressed, self.squared = pressed, squared
        self.strength = tf.Variable(0.0, trainable=False)

    def value(self) -> Any:
        size_of = tf.square if self.squared else tf.abs
        return self.strength * tf.add_n([term.value(size_of) for each in self.pressed for term in each.terms])

    def sizes(self, each: _Pressed) -> np.ndarray:
        return each.sizes(np.square if self.squared else np.abs)

    def weigh_(self) -> None:
        """Take the factors of channels anew from the weights as they are; slimming presses all alike."""
        for each in self.pressed if self.squared else ():
            factors = pressures_of(self.sizes(each))
            for term in each.terms:
                here = term.place.channel_of
                term.factors.assign(np.where(here >= 0, factors[here], 0.0))

    def least_half(self) -> float:
        """Return the share of its group that the weaker half of the channels comes to, on average over the groups."""
        shares = []
        for each in self.pressed:
            sizes = np.sort(self.sizes(each))
            shares.append(sizes[: len(sizes) // 2].sum() / max(float(sizes.sum()), 1e-30))
        return float(np.mean(shares))


def pressures_of(norms: np.ndarray) -> np.ndarray:
    """Return how hard channels are pressed: ``2 ** (4 (max - n) / (max - min))``; 1 where all are alike.

    Args:
        norms: squared norms of the channels of a group, shape (channels,).

    Returns:
        Shape (channels,): 1 for the strongest, 16 for the weakest.

    Example:
        >>> pressures_of(np.array([1.0, 3.0, 5.0])).tolist()
        [16.0, 4.0, 1.0]
    """
    span = float(norms.max() - norms.min())
    if span <= 0.0:
        return np.ones(len(norms))
    result: np.ndarray = 2.0 ** (STEEPNESS * (norms.max() - norms) / span)
    return result


class _Growth(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Lets the strength grow from nothing to what was asked; where a training is taken up again it goes on."""

    def __init__(self, penalty: _Penalty, stage: Channels, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.penalty, self.stage, self.tell = penalty, stage, tell
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the weights anew."""
        self.epoch = epoch
        self.penalty.weigh_()

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Grow a little."""
        steps = self.params.get("steps")
        within = (batch + 1) / steps if steps else 1.0
        share = (self.epoch + within) / self.params["epochs"]
        self.penalty.strength.assign(min(1.0, share) * self.stage.strength)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Say what came of it."""
        what = "squared norms" if self.penalty.squared else "scales"
        share, stage = self.penalty.least_half(), self.stage
        self.tell(
            f"channels: trained with {stage.regularize}, of a strength that grew to {stage.strength:g}, before any "
            f"went: the weaker half of a group's channels came to {share:.1%} of its {what}"
        )
