"""What scores learn from the training split before the test split is scored: a threshold of a yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcompress.evaluate.scoring import Predict
from tfcompress.progress import SilentTask

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.progress import ProgressTask

MOST_SAMPLES = 10_000
"""So many training samples are looked at, drawn by a seed: a threshold is known well enough by then."""

_BATCH = 256


def needs_tuning(data: BoundData) -> bool:
    """Tell whether a task would learn from labelled training samples, and there are some."""
    return data.train is not None and any(
        task.tunes and name in data.train.adapter.coders for name, task in data.tasks.items()
    )


def tuned(predict: Predict, data: BoundData, seed: int, progress_task: ProgressTask | None = None) -> BoundData:
    """Return the data with tasks that have seen the float model's outputs on the training split.

    Args:
        predict: the float model, by names.
        data: with a training split; see :func:`needs_tuning`.
        seed: draws the samples.
        progress_task: notified of how many samples are done.
    """
    bar = progress_task or SilentTask()
    split = data.train
    if split is None:
        return data
    wanted = {name: task for name, task in data.tasks.items() if task.tunes and name in split.adapter.coders}
    seen: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in wanted}
    for x, y in split.sample(MOST_SAMPLES, seed).batches(_BATCH):
        outputs = predict(x)
        for name, kept in seen.items():
            labels = y[name] if isinstance(y, dict) else y
            kept.append((outputs[name] if name in outputs else next(iter(outputs.values())), labels))
        bar.advance(len(next(iter(x.values()))))
    both = {name: [np.concatenate(part) for part in zip(*kept, strict=True)] for name, kept in seen.items() if kept}
    return data.with_tasks({name: wanted[name].tuned(*found) for name, found in both.items()})
