"""What ``fit`` compares outputs with, and how much each sample counts: labels, or the float model's own outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.data.splits import Split


def taught_outputs(data: BoundData) -> list[str]:
    """Return the outputs that the training split has no labels of, and that can be trained: those of floats."""
    labelled = data.need_train().adapter.coders
    return [spec.name for spec in data.signature.outputs if spec.name not in labelled and "float" in spec.dtype]


def class_weights(data: BoundData) -> dict[str, np.ndarray]:
    """Return what each class weighs, for every output whose labels in the training split are of counted classes.

    A class weighs ``n / (k * n_c)``, where n_c of n labels are of it and k classes occur (King & Zeng 2001, "Logistic
    Regression in Rare Events Data", section 4.2, for equal shares): all weigh the same together, and the mean is 1.

    Returns:
        By output name, float32, shape (classes,); 0 for a class that does not occur.
    """
    found = {}
    for name, counts in data.findings.counts.get("train", {}).items():
        if counts.any():
            shares = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
            found[name] = np.where(counts > 0, shares, 0.0).astype(np.float32)
    return found


@dataclass(frozen=True)
class Targets:
    """Completes batches of a split as ``fit`` takes them.

    Attributes:
        outputs: names of all outputs of the model.
        taught: names of those that learn from the teacher.
        teacher: the float model, which *taught* outputs are compared with.
        weights: what each class of an output weighs; empty: every sample counts the same.
    """

    outputs: tuple[str, ...]
    taught: tuple[str, ...] = ()
    teacher: Any = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, x: dict[str, np.ndarray], y: Any, given: Any) -> tuple[dict[str, np.ndarray], Any, Any]:
        """Return one batch with its targets and sample weights.

        Args:
            x: inputs by name, shape (samples, ...).
            y: labels in their one form: an array, one by output name, or None.
            given: the data's sample weights, as the labels; or None.

        Returns:
            Inputs, targets and weights; the latter two an array for a model of one output, else one by output name.
        """
        targets = self._by_output(y)
        if self.taught:
            from tfcompress.models.signature import call

            own = call(self.teacher, x)
            targets = {name: own[name] if name in self.taught else targets[name] for name in self._trained(targets)}
        counts = self._by_output(given)
        for name, weights in self.weights.items():
            counts[name] = _product(counts.get(name), _looked_up(weights, targets[name]))
        if counts:
            size = len(next(iter(x.values())))
            counts = {name: counts.get(name, np.ones(size, np.float32)) for name in targets}
        return x, self._plain(targets), self._plain(counts) if counts else None

    def _trained(self, labelled: Mapping[str, Any]) -> list[str]:
        return [name for name in self.outputs if name in labelled or name in self.taught]

    def _by_output(self, values: Any) -> dict[str, np.ndarray]:
        if values is None:
            return {}
        return dict(values) if isinstance(values, Mapping) else {self.outputs[0]: values}

    def _plain(self, values: dict[str, np.ndarray]) -> Any:
        return values if len(self.outputs) > 1 else values[self.outputs[0]]


def _looked_up(weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what each label weighs, float32, without the axis of the one value; 0 for one that is no class."""
    numbers = labels[..., 0] if labels.ndim > 1 and labels.shape[-1] == 1 else labels
    known = (numbers >= 0) & (numbers < len(weights))
    found: np.ndarray = np.where(known, weights[np.where(known, numbers, 0).astype(np.int64)], np.float32(0))
    return found


def _product(given: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
    if given is None:
        return weights
    if given.ndim == weights.ndim + 1 and given.shape[-1] == 1:
        given = given[..., 0]
    given, weights = (x.reshape(x.shape + (1,) * (max(given.ndim, weights.ndim) - x.ndim)) for x in (given, weights))
    return given * weights


def samples_of(data: BoundData, teacher: Any, count: int, seed: int) -> tuple[dict[str, np.ndarray], Any]:
    """Return training samples and labels for what looks at some before the training begins.

    Where the training split has no labels, those are the float model's answers: the class with the highest score, yes
    or no. Outputs that are no classes have none: against its own numbers a model has no error, and no gradient.

    Args:
        data: the bound data.
        teacher: the float model.
        count: how many samples, at most.
        seed: draws them.

    Returns:
        Inputs by name, and labels: an array, one by output name, or None.
    """
    split: Split = data.need_train()
    inputs, labels = next(split.batches(count, seed=seed, limit=count))
    if labels is not None:
        return inputs, labels
    from tfcompress.models.signature import call
    from tfcompress.training.objectives import kind_of_output

    own = call(teacher, inputs)
    kinds = {name: kind_of_output(data, teacher, name, own[name]) for name in taught_outputs(data)}
    answers = {name: answer for name, kind in kinds.items() if (answer := _answers(kind, own[name])) is not None}
    if len(data.signature.outputs) > 1:
        return inputs, answers or None
    return inputs, next(iter(answers.values()), None)


def _answers(kind: str, outputs: np.ndarray) -> np.ndarray | None:
    if kind in ("softmax", "logits"):
        return outputs.argmax(axis=-1).astype(np.int32)
    threshold = {"sigmoid": 0.5, "binary logits": 0.0}.get(kind)
    return None if threshold is None else (outputs > threshold).astype(np.float32)
