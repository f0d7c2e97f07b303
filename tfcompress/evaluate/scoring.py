"""How well a model does on a split, whatever runs it: a Keras model, an interpreter, any callable by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.errors import DataError
from tfcompress.progress import SilentTask
from tfcompress.tasks.task import Evaluation, Scorer, Task

if TYPE_CHECKING:
    from tfcompress.data.splits import Split
    from tfcompress.progress import ProgressTask

Predict = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""From inputs by name, shape (samples, ...), to outputs by name, shape (samples, ...)."""


def evaluate(
    predict: Predict,
    split: Split,
    tasks: Mapping[str, Task],
    *,
    progress_task: ProgressTask | None = None,
    batch_size: int = 256,
    limit: int | None = None,
) -> Evaluation:
    """Run a model over a split, one batch in memory at a time.

    Args:
        predict: the model, by names.
        split: samples with labels.
        tasks: what the labels of each output are (:attr:`tfcompress.data.dataset.BoundData.tasks`).
        progress_task: notified of how many samples are done.
        batch_size: samples a call.
        limit: only the first so many samples.

    Returns:
        The evaluation of the first output that has labels; for a model of several outputs, its score holds theirs.

    Raises:
        DataError: the split has no samples or no labels, or *predict* gives another number of them.
        ModelError: the model predicts what its task cannot score.
    """
    bar = progress_task or SilentTask()
    scorers: dict[str, Scorer] = {}
    several = False
    for x, y in split.batches(batch_size, limit=limit):
        if y is None:
            msg = f"data: the {split.name} split has no labels, and accuracy needs them; give y_{split.name} too"
            raise DataError(msg)
        outputs = predict(x)
        several = isinstance(y, dict)
        named = y if isinstance(y, dict) else {_only(outputs): y}
        for name, labels in named.items():
            if name not in scorers:
                scorers[name] = tasks.get(name, next(iter(tasks.values()))).scorer()
            scorers[name].add(_checked(outputs, name, labels), labels)
        bar.advance(len(next(iter(x.values()))))
    if not scorers:
        msg = f"data: the {split.name} split holds zero samples; give more data"
        raise DataError(msg)
    found = {name: scorer.evaluation() for name, scorer in scorers.items()}
    first = next(iter(found.values()))
    if not several:
        return first
    scores = {name: evaluation.score for name, evaluation in found.items()}
    return dataclasses.replace(first, score=dataclasses.replace(first.score, outputs=scores))


def _only(outputs: Mapping[str, np.ndarray]) -> str:
    if len(outputs) != 1:
        msg = f"data: the model gives {len(outputs)} outputs ({', '.join(outputs)}), so labels need their names"
        raise DataError(msg)
    return next(iter(outputs))


def _checked(outputs: Mapping[str, np.ndarray], name: str, labels: np.ndarray) -> np.ndarray:
    if name not in outputs:
        msg = f"data: there are labels for output {name!r}; the model's outputs are {', '.join(outputs)}"
        raise DataError(msg)
    if len(outputs[name]) != len(labels):
        msg = f"the model gave {len(outputs[name])} predictions of {name!r} for {len(labels)} samples"
        raise DataError(msg)
    return outputs[name]
