"""How much each channel of each group matters, by five criteria.

A group's channels sit in several weights. What each weight that counts for the criterion says is divided by its mean
over the channels, so that no weight outvotes another by its scale, and the group's score is the mean of these. Only the
order and the shares of the scores inside one group mean something (:mod:`tfcompress.channels.ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcompress.channels.activity import mean_absolute, observe
from tfcompress.channels.groups import Group, Slice
from tfcompress.channels.task_loss import gradients
from tfcompress.errors import DataError, UnsupportedError
from tfcompress.models.samples import Samples
from tfcompress.models.scope import listed

Scores = dict[str, np.ndarray]
"""Group -> a score of at least 0 for each channel, shape (channels,); a group that cannot be judged is left out."""

GRADIENT_BATCH = 32
"""Samples behind one gradient: of few, for what cancels out over many samples matters too."""


def scores(
    model: Any, groups: Sequence[Group], criterion: str, *, samples: Samples | None = None, limit: int = 1024
) -> Scores:
    """Score the channels of groups.

    Args:
        model: the Keras 3 model that the groups were found in.
        groups: what to score.
        criterion: ``l1``, ``l2``, ``bn_gamma``, ``taylor`` or ``activation``.
        samples: needed by ``activation``, and with labels or aims by ``taylor``.
        limit: so many samples are looked at, at most.

    Raises:
        DataError: the criterion needs samples or labels that were not given.
        UnsupportedError: the criterion can judge none of the groups.
    """
    part = None if samples is None else samples.first(limit)
    if criterion in ("taylor", "activation"):
        if part is None:
            msg = f"channels.criterion {criterion!r} needs samples, got none; give training data, or use 'l2'"
            raise DataError(msg)
        found = _taylor(model, groups, part) if criterion == "taylor" else _activation(model, groups, part)
    else:
        judge = {"l1": _l1, "l2": _l2, "bn_gamma": _gamma}[criterion]
        found = {group.name: joined(judge(group)) for group in groups}
    judged = {name: score for name, score in found.items() if score is not None}
    if groups and not judged:
        names = listed([repr(group.name) for group in groups])
        msg = f"channels.criterion {criterion!r} can judge none of the groups {names}; use 'l2' or 'taylor'"
        raise UnsupportedError(msg)
    return judged


def joined(parts: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return the mean of what several weights say, each divided by its own mean; None for no weights.

    Args:
        parts: arrays of shape (channels,), at least 0.
    """
    if not parts:
        return None
    scaled = [part / part.mean() if part.mean() > 0.0 else part for part in parts]
    result: np.ndarray = np.mean(scaled, axis=0)
    return result


def _kernels(group: Group) -> list[Slice]:
    """Return where the group is made by kernels; biases and normalizations have a say of their own."""
    return [m for m in group.members if m.role == "makes" and len(m.variable.shape) > 1]


def _l1(group: Group) -> list[np.ndarray]:
    """Sum of absolute weights of a filter (Li et al. 2017, arXiv:1608.08710, section 3.1)."""
    return [m.total(np.abs(m.variable.numpy()), group.channels) for m in _kernels(group)]


def _l2(group: Group) -> list[np.ndarray]:
    """Root of the sum of squared weights of a filter."""
    return [np.sqrt(m.total(np.square(m.variable.numpy()), group.channels)) for m in _kernels(group)]


def _gamma(group: Group) -> list[np.ndarray]:
    """Absolute scale of the BatchNormalization behind a channel (Liu et al. 2017, arXiv:1708.06519, section 3)."""
    members = (m for m in group.members if m.kind == "BatchNormalization" and m.weight == "gamma")
    return [m.total(np.abs(m.variable.numpy()), group.channels) for m in members]


def _taylor(model: Any, groups: Sequence[Group], samples: Samples) -> dict[str, np.ndarray | None]:
    """Squared first-order change of the loss without a channel, averaged over small batches.

    Molchanov et al. 2019 (arXiv:1906.10771), eq. 8 with the joint sum of section 3.1: (sum of g*w)**2, where g*w is
    summed over every weight that READS the channel in any layer, which is the gradient of a gate on the channel. A
    group that no weight reads (it ends in a mean, say) is judged by the kernels that make it.
    """
    members = {group.name: _readers(group) or _kernels(group) for group in groups}
    variables = list({id(m.variable): m.variable for parts in members.values() for m in parts}.values())
    place = {id(variable): number for number, variable in enumerate(variables)}
    weights = [variable.numpy() for variable in variables]
    totals: dict[str, np.ndarray] = {group.name: np.zeros(group.channels) for group in groups if members[group.name]}
    for found in gradients(model, variables, samples, batch_size=GRADIENT_BATCH, purpose="channels.criterion 'taylor'"):
        products = [gradient * weight for gradient, weight in zip(found, weights, strict=True)]
        for group in groups:
            parts = [m.total(products[place[id(m.variable)]], group.channels) for m in members[group.name]]
            if parts:
                totals[group.name] += np.square(np.sum(parts, axis=0))
    return dict(totals)


def _readers(group: Group) -> list[Slice]:
    return [m for m in group.members if m.role == "reads"]


def _activation(model: Any, groups: Sequence[Group], samples: Samples) -> dict[str, np.ndarray | None]:
    """Mean absolute activation on samples where layers read the channels (Molchanov et al. 2017, arXiv:1611.06440)."""
    paths = {m.place for group in groups for m in _readers(group)}
    means = observe(model, samples.inputs, paths, mean_absolute)
    return {
        group.name: joined([_by_channel(m, means[m.place], group) for m in _measured(group, means)]) for group in groups
    }


def _measured(group: Group, means: dict[str, np.ndarray]) -> list[Slice]:
    """Return the readers whose input has its channels along the axes that the weight sums over."""
    return [m for m in _readers(group) if len(means.get(m.place, ())) == math.prod(_read_sizes(m))]


def _read_sizes(member: Slice) -> tuple[int, ...]:
    return tuple(int(member.variable.shape[axis]) for axis in member.reading_axes)


def _by_channel(member: Slice, means: np.ndarray, group: Group) -> np.ndarray:
    by_axis = np.moveaxis(means.reshape(_read_sizes(member)), member.reading_axes.index(member.axis), 0)
    means = by_axis.reshape(len(member.channel_of), -1).mean(axis=1)
    here = member.channel_of >= 0
    sums = np.bincount(member.channel_of[here], weights=means[here], minlength=group.channels)
    counts = np.bincount(member.channel_of[here], minlength=group.channels)
    result: np.ndarray = sums / np.maximum(counts, 1)
    return result
