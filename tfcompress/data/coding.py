"""What the labels mean: decided once, from every split together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data.adapt import Adapter
from tfcompress.data.labels import LabelCoder, check_numbers, infer_labels
from tfcompress.data.raw import Labels
from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import TensorSpec


def coders_for(peeks: Mapping[str, tuple[Adapter, Labels]]) -> dict[str, dict[str, LabelCoder]]:
    """Tell what the labels of each output mean, from samples of all splits.

    Splits may hold them in different forms (class numbers here, one-hot there), never for different tasks. Samples
    without a label (NaN) say nothing; they are refused where they are read.

    Args:
        peeks: by split, its adapter (without coders) and some of its labels, or None.

    Returns:
        By split and output name.

    Raises:
        DataError: labels that fit no task, or another one in each split.
    """
    found: dict[str, dict[str, LabelCoder]] = {name: {} for name in peeks}
    for output in _outputs(peeks):
        parts = {
            name: (adapter.by_output(y)[output.name], adapter.labels_where(output.name, y))
            for name, (adapter, y) in peeks.items()
            if y is not None and output.name in adapter.by_output(y)
        }
        for name, coder in _coders(parts, output).items():
            found[name][output.name] = coder
    return found


def _outputs(peeks: Mapping[str, tuple[Adapter, Labels]]) -> tuple[TensorSpec, ...]:
    return next(iter(peeks.values()))[0].signature.outputs if peeks else ()


def _coders(parts: Mapping[str, tuple[np.ndarray, str]], output: TensorSpec) -> dict[str, LabelCoder]:
    """Return the coder of each split's labels, given ``(labels, where)`` by split."""
    coders: dict[str, LabelCoder] = {}
    for name, (y, where) in parts.items():
        check_numbers(y, where)
        alike = [other for other, _ in parts.values() if other.shape[1:] == y.shape[1:] and other.dtype.kind in "biuf"]
        coders[name] = infer_labels(_labelled(np.concatenate(alike)), output, where)
    tasks = {coder.task.name for coder in coders.values()}
    if len(tasks) > 1:
        told = ", ".join(f"{coder.where} would be {coder.task.name}" for coder in coders.values())
        msg = f"data: the labels of output {output.name!r} must mean the same in every split: {told}"
        raise DataError(msg)
    return coders


def _labelled(y: np.ndarray) -> np.ndarray:
    """Return the samples that have a label; all of them where none has."""
    if y.dtype.kind != "f":
        return y
    good = ~np.isnan(y).reshape(len(y), -1).any(axis=1)
    return y[good] if good.any() else y
