"""What a model scores with a part of one group's channels gone, group by group; nothing is trained in between.

A channel is taken away by zeros in every kernel that reads it (in those that make it, where none does: a number of
attention's keys), in a copy of the model: what the smaller model would compute, without building and tracing a model
for every point. As in the stage, the channels that stay say what the others said as far as they can
(:mod:`tfcompress.channels.compensation`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress import plain
from tfcompress._version import __version__
from tfcompress.channels.compensation import is_linear, merged, moments_of, staying
from tfcompress.channels.groups import Group, Slice, groups
from tfcompress.files import output_errors, write_atomic
from tfcompress.models.copies import input_like
from tfcompress.models.samples import Samples
from tfcompress.progress import SILENT, Progress

Evaluate = Callable[[Any], float]
"""From a Keras 3 model to its score; higher is better."""

FRACTIONS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Parts of a group that are taken away, in turn."""

_FORMAT = 1
"""Of the cached file. History: 1 — first."""


@dataclass(frozen=True)
class Curve:
    """One group's scores.

    Attributes:
        group: its name.
        channels: how many channels it has.
        points: (fraction of the channels taken away, score), the fractions rising.
    """

    group: str
    channels: int
    points: tuple[tuple[float, float], ...]

    def removable(self, lowest: float) -> float:
        """Return the largest measured fraction up to which no score is below *lowest*; 0 where none is."""
        allowed = 0.0
        for fraction, score in self.points:
            if score < lowest:
                break
            allowed = fraction
        return allowed

    def weight(self, baseline: float) -> float:
        """Return how fast the score falls: the mean fall for each unit of ``-log(kept fraction)``, at least a trace.

        Only fractions up to one half count: what is measured beyond says little about a removal that is repaired by
        training.
        """
        falls = [(baseline - score) / -math.log1p(-fraction) for fraction, score in self.points if fraction <= 0.5]
        return max(float(np.mean(falls)) if falls else 0.0, 1e-3)


@dataclass(frozen=True)
class Sensitivity:
    """An analysis.

    Attributes:
        baseline: score of the whole model.
        curves: one a group.
        cached: how many of the points were read from the disk.
    """

    baseline: float
    curves: tuple[Curve, ...]
    cached: int = 0


def copy_of(model: Any) -> Any:
    """Return a copy of a Keras 3 model with the same names, layers and weights, of its class.

    Keras by itself would call an input that nobody named by its tensor, not by its layer as data and files do.
    """
    inputs = None if isinstance(model, keras.Sequential) else keras.tree.map_structure(input_like, model.input)
    copy = keras.models.clone_model(model, input_tensors=inputs)
    copy.set_weights(model.get_weights())
    return copy


def fingerprint(model: Any, samples: Samples | None, settings: Mapping[str, Any]) -> str:
    """Return a hash of everything an analysis depends on.

    Args:
        model: the model that is analysed, as it is now: its graph and its weights count.
        samples: what it is scored on; every value counts.
        settings: what else there is, such as the criterion.
    """
    versions = {"tfcompress": __version__, "keras": keras.__version__, "tensorflow": tf.__version__}
    known = {"settings": dict(settings), "versions": versions, "format": _FORMAT}
    digest = hashlib.sha256(model.to_json().encode())
    digest.update(json.dumps(known, sort_keys=True, default=str).encode())
    for weight in model.weights:
        _add(digest, weight.path, weight.numpy())
    if samples is not None:
        labels = samples.labels if isinstance(samples.labels, Mapping) else {"": samples.labels}
        for name, values in [*sorted(samples.inputs.items()), *sorted(labels.items())]:
            _add(digest, name, np.asarray(values))
    return digest.hexdigest()


def _add(digest: Any, name: str, array: np.ndarray) -> None:
    digest.update(f"\n{name} {array.dtype.str}{array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).tobytes())


def analyse(
    model: Any,
    scores: Mapping[str, np.ndarray],
    evaluate: Evaluate,
    *,
    inputs: Mapping[str, np.ndarray] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> Sensitivity:
    """Score the model with parts of each group's channels gone, those first that matter least.

    Args:
        model: a Keras 3 model; it stays as it is.
        scores: group -> how much each channel matters, shape (channels,); the groups to look at.
        evaluate: gives a model's score. It sees one copy of the model with ever other weights.
        inputs: samples that the channels which stay are fitted on, by input name; None: nothing is fitted.
        fractions: parts to take away, rising, each in (0, 1); at least one channel always stays.
        cache: file that keeps what is measured, read again where it is there; None: nothing is kept. Its name has to
            tell what it belongs to (:func:`fingerprint`).
        progress: where progress goes.

    Raises:
        OutputError: *cache* cannot be written.
    """
    kept = _Kept.read(cache)
    copy = copy_of(model)
    known = {group.name: group for group in groups(copy) if group.name in scores}
    readers = [member for group in known.values() for member in group.members]
    moments = {} if inputs is None else moments_of(copy, readers, inputs)
    curves = []
    with progress.task("measuring sensitivity", 1 + len(scores) * len(fractions)) as task:
        baseline = kept.get("", 0.0, lambda: evaluate(copy))
        task.advance()
        for number, (name, values) in enumerate(scores.items()):
            task.describe(f"{name} ({number + 1} of {len(scores)})")
            points = []
            for fraction in fractions:
                points.append(
                    (
                        fraction,
                        kept.get(name, fraction, _without(copy, known[name], values, fraction, moments, evaluate)),
                    )
                )
                task.advance()
            kept.write(cache)
            curves.append(Curve(name, known[name].channels, tuple(points)))
    return Sensitivity(baseline, tuple(curves), kept.found)


def _without(
    model: Any,
    group: Group,
    scores: np.ndarray,
    fraction: float,
    moments: Mapping[str, np.ndarray],
    evaluate: Evaluate,
) -> Callable[[], float]:
    """Return a function that scores the model without the least channels of a group, and mends it again."""

    def measured() -> float:
        gone = np.argsort(scores, kind="stable")[: min(group.channels - 1, round(fraction * group.channels))]
        users = [member for member in group.members if member.role == "reads"]
        users = users or [member for member in group.members if member.role == "makes"]
        before = [(member.variable, member.variable.numpy()) for member in users]
        try:
            for member in users:
                member.variable.assign(_blind(member, gone, moments.get(member.place)))
            return evaluate(model)
        finally:
            for variable, values in reversed(before):
                variable.assign(values)

    return measured


def _blind(user: Slice, gone: np.ndarray, moments: np.ndarray | None) -> np.ndarray:
    """Return a weight with nothing in it of the channels which are gone."""
    if moments is not None and is_linear(user):
        return merged(user, staying(user, gone), moments)
    values = np.array(user.variable.numpy())
    np.moveaxis(values, user.axis, 0)[np.isin(user.channel_of, gone)] = 0
    return values


class _Kept:
    """Points that are kept on the disk: group -> fraction as text -> score."""

    def __init__(self, points: dict[str, dict[str, float]]) -> None:
        self._points = points
        self.found = 0

    @classmethod
    def read(cls, path: Path | None) -> _Kept:
        """Read what is there; a file that is not ours, or of another format, counts as none."""
        if path is None or not path.is_file():
            return cls({})
        try:
            stored = plain.parse_json(plain.read_text(path, plain.JSON_BYTES))
        except (OSError, ValueError):
            return cls({})
        points = stored.get("points") if isinstance(stored, dict) and stored.get("format") == _FORMAT else None
        return cls(points if isinstance(points, dict) and all(isinstance(row, dict) for row in points.values()) else {})

    def get(self, group: str, fraction: float, measure: Callable[[], float]) -> float:
        """Return a point, measured now if it is not kept."""
        row = self._points.setdefault(group, {})
        if f"{fraction:g}" in row:
            self.found += 1
        else:
            row[f"{fraction:g}"] = float(measure())
        return row[f"{fraction:g}"]

    def write(self, path: Path | None) -> None:
        """Keep what is known so far."""
        if path is not None:
            with output_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps({"format": _FORMAT, "points": self._points}))
