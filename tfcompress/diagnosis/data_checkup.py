"""Whether data is fit to calibrate a model on: what export would draw, looked at before it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.data.bound import BoundData
from tfcompress.data.splits import BoundSplit
from tfcompress.diagnosis.calibration_lint import (
    lint_classes,
    lint_halves,
    lint_overlap,
    lint_ranges,
    lint_reaches,
    reach,
)
from tfcompress.diagnosis.layer_values import layer_values
from tfcompress.diagnosis.training_memory import lint_scaling
from tfcompress.reports.remark import Remark, by_gravity

MOST_TESTED = 5000
"""Test samples that calibration samples are looked for among."""
MOST_COMPARED = 500
"""Test samples that an export compares its calibration samples with."""
MOST_MACS = 20_000_000_000
"""Multiply-accumulates that an export spends on looking at layers: a few seconds on two cores."""
FEWEST = 16
"""Samples that are run whatever that costs."""
_UNKNOWN_MACS = 100_000_000
_BATCH = 64
ROWS_AT_ONCE = 32
"""Samples that layers are looked at together."""


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
    inputs, counts = _drawn(bound, split, count, seed)
    values = {f"{value.path}#{place}": value.values for place, value in enumerate(layer_values(model, inputs))}
    remarks = [*lint_scaling(model, inputs), *lint_halves({**inputs, **values}), *_unlabelled(bound)]
    remarks += [remark for each in counts.values() for remark in lint_classes(each)]
    if bound.test is not None and bound.test is not split:
        tested, _ = _drawn(bound, bound.test, MOST_TESTED, seed)
        remarks += [
            *lint_ranges(inputs, tested, (f"calibration ({split.name})", "test")),
            *lint_overlap(inputs, tested),
        ]
    return DataCheckup(inputs, split.name, tuple(remarks))


def check_calibration(
    model: Any | None, bound: BoundData, count: int, seed: int, *, macs: int | None = None
) -> tuple[Remark, ...]:
    """Look at samples as an export's calibration draws them, in a fraction of the time that the export takes.

    What :meth:`BoundData.lint` has reported already is left out: copies of test samples in the training split, and
    classes that occur nowhere in it. Layers run on as many samples as :data:`MOST_MACS` allow.

    Args:
        model: a functional or sequential Keras 3 model; None: the layers are not known, only the samples are looked at.
        bound: the data, bound to it.
        count: how many samples calibration takes.
        seed: draws them.
        macs: multiply-accumulates of one sample; None: not known.

    Raises:
        DataError: data that cannot be read.
    """
    split = bound.representative_split
    inputs, counts = _drawn(bound, split, count, seed)
    remarks: list[Remark] = []
    if model is not None:
        run = max(FEWEST, min(count, MOST_MACS // max(1, macs or _UNKNOWN_MACS)))
        first = {name: values[:run] for name, values in inputs.items()}
        remarks += lint_scaling(model, first)
        remarks += lint_reaches(_reaches(model, first), len(next(iter(first.values()))))
    else:
        remarks += lint_halves(inputs)
    if split.name not in bound.findings.missing_classes:
        remarks += [remark for each in counts.values() for remark in lint_classes(each)]
    if bound.test is not None and bound.test is not split:
        tested, _ = _drawn(bound, bound.test, MOST_COMPARED, seed)
        remarks += lint_ranges(inputs, tested, (f"calibration ({split.name})", "test"))
        if split is not bound.train:
            remarks += lint_overlap(inputs, tested)
    return by_gravity(remarks)


def _reaches(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return how far inputs and layers reach on either half of the samples; a few samples are held at a time."""
    samples = len(next(iter(inputs.values())))
    halves: list[dict[str, float]] = [{}, {}]
    for start in range(0, samples, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = {name: values[rows] for name, values in inputs.items()}
        values = [*part.items(), *((f"{v.path}#{n}", v.values) for n, v in enumerate(layer_values(model, part)))]
        split = max(0, min(ROWS_AT_ONCE, samples // 2 - start))
        for name, array in values:
            if array.dtype.kind == "f":
                for seen, half in zip(halves, (array[:split], array[split:]), strict=True):
                    seen[name] = max(seen.get(name, 0.0), reach(half))
    return {name: (halves[0][name], halves[1][name]) for name in halves[0]} if samples > 1 else {}


def _drawn(
    bound: BoundData, split: BoundSplit, count: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return inputs, and how often each class occurs, by the name of an output that has classes."""
    pairs = list(split.sample(count, seed).batches(_BATCH))
    inputs = {name: np.concatenate([x[name] for x, _ in pairs]) for name in pairs[0][0]}
    coders = split.adapter.coders
    counts: dict[str, np.ndarray] = {}
    for _, y in pairs:
        for name, labels in ({} if y is None else y if isinstance(y, dict) else {next(iter(coders)): y}).items():
            found = coders[name].occurring(labels) if name in coders else None
            if found is not None:
                counts[name] = counts.get(name, 0) + found
    return inputs, counts


def _unlabelled(bound: BoundData) -> Iterator[Remark]:
    for spec in bound.signature.outputs:
        if bound.coders and spec.name not in bound.coders:
            remedy = "give labels for it, or cut it off: training would not hear of it"
            yield Remark("risk", spec.name, "this output has no labels in the data", remedy)
