"""Whether data is fit to calibrate a model on: what export would draw, looked at before it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.data.bound import BoundData
from tfcompress.data.splits import BoundSplit
from tfcompress.diagnosis.calibration_lint import lint_classes, lint_halves, lint_overlap, lint_ranges
from tfcompress.diagnosis.layer_values import layer_values
from tfcompress.diagnosis.training_memory import lint_scaling
from tfcompress.reports.remark import Remark

MOST_TESTED = 5000
"""Test samples that calibration samples are looked for among."""
_BATCH = 64


@dataclass(frozen=True)
class DataCheckup:
    """What was found.

    Attributes:
        inputs: the samples that calibration would take, arrays of shape (samples, ...) by input name.
        split: where they come from.
        remarks: what is wrong with them.
    """

    inputs: Mapping[str, np.ndarray]
    split: str
    remarks: tuple[Remark, ...]


def check_data(model: Any, bound: BoundData, count: int, seed: int) -> DataCheckup:
    """Look at the samples that a calibration draws from data.

    Args:
        model: a functional or sequential Keras 3 model.
        bound: the data, bound to it.
        count: how many samples calibration takes.
        seed: draws them.

    Raises:
        DataError: data that cannot be read.
    """
    split = bound.representative_split
    inputs, labels = _drawn(split, count, seed)
    values = {f"{value.path}#{place}": value.values for place, value in enumerate(layer_values(model, inputs))}
    remarks = [*lint_scaling(model, inputs), *lint_halves({**inputs, **values}), *_unlabelled(bound)]
    if labels is not None and bound.classes is not None:
        remarks += lint_classes(labels, bound.classes)
    if bound.test is not None and bound.test is not split:
        tested, _ = _drawn(bound.test, MOST_TESTED, seed)
        remarks += [
            *lint_ranges(inputs, tested, (f"calibration ({split.name})", "test")),
            *lint_overlap(inputs, tested),
        ]
    return DataCheckup(inputs, split.name, tuple(remarks))


def _drawn(split: BoundSplit, count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return inputs, and the labels of the first output; None: there are none."""
    pairs = list(split.sample(count, seed).batches(_BATCH))
    inputs = {name: np.concatenate([x[name] for x, _ in pairs]) for name in pairs[0][0]}
    first: list[Any] = [next(iter(y.values()), None) if isinstance(y, dict) else y for _, y in pairs]
    return inputs, None if first[0] is None else np.concatenate(first)


def _unlabelled(bound: BoundData) -> Iterator[Remark]:
    for spec in bound.signature.outputs:
        if bound.coders and spec.name not in bound.coders:
            remedy = "give labels for it, or cut it off: training would not hear of it"
            yield Remark("risk", spec.name, "this output has no labels in the data", remedy)
