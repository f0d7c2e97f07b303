"""How well a model does on a split, whatever runs it: a Keras model, an interpreter, any callable by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfcompress.errors import DataError
from tfcompress.evaluate.metrics import MeasuredScorer
from tfcompress.progress import SilentTask
from tfcompress.tasks.metric import Metric
from tfcompress.tasks.task import Evaluation, Scorer, Task

if TYPE_CHECKING:
    from tfcompress.evaluate.class_order import ClassOrders
    from tfcompress.models.samples import Samples
    from tfcompress.progress import ProgressTask

Predict = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""From inputs by name, shape (samples, ...), to outputs by name, shape (samples, ...)."""


NO_METRICS: Mapping[str, Sequence[Metric]] = MappingProxyType({})
"""Only the tasks' own figures."""


class Scored(Protocol):
    """Samples that are scored; :class:`tfcompress.data.splits.Split` is one."""

    @property
    def name(self) -> str:
        """Which split they are."""

    def batches(self, batch_size: int, *, limit: int | None = None) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
        """Yield inputs by name and labels in their one form; see :meth:`tfcompress.data.splits.Split.batches`."""


@dataclass(frozen=True, repr=False)
class HeldSamples:
    """Samples in memory, to be scored again and again.

    Attributes:
        name: which split they are of.
        samples: with labels in their one form, but for tasks that need none.
    """

    name: str
    samples: Samples

    def batches(self, batch_size: int, *, limit: int | None = None) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
        """Yield batches in their order."""
        x, y = self.samples.inputs, self.samples.labels
        size = len(next(iter(x.values())))
        for start in range(0, size if limit is None else min(size, limit), batch_size):
            part = slice(start, start + batch_size)
            labels = {name: of[part] for name, of in y.items()} if isinstance(y, dict) else y
            yield {name: of[part] for name, of in x.items()}, labels[part] if isinstance(labels, np.ndarray) else labels


def evaluate(
    predict: Predict,
    split: Scored,
    tasks: Mapping[str, Task],
    *,
    metrics: Mapping[str, Sequence[Metric]] = NO_METRICS,
    main_metric: str | None = None,
    orders: ClassOrders | None = None,
    progress_task: ProgressTask | None = None,
    batch_size: int = 256,
    limit: int | None = None,
) -> Evaluation:
    """Run a model over a split, one batch in memory at a time.

    Args:
        predict: the model, by names.
        split: samples; with labels, but for tasks that need none.
        tasks: of each output to be scored, the main one first (:attr:`tfcompress.data.bound.BoundData.tasks`).
        metrics: figures besides the tasks' own, by output (:attr:`tfcompress.data.bound.BoundData.metrics`).
        main_metric: the figure of the main output that is compared; None: its task's.
        orders: look on as well; None: nobody does.
        progress_task: notified of how many samples are done.
        batch_size: samples a call.
        limit: only the first so many samples.

    Returns:
        The evaluation of the first output that was scored; for a model of several outputs, its score holds theirs.

    Raises:
        DataError: the split has no samples or no labels, or *predict* gives another number of them.
        ModelError: the model predicts what its task cannot score.
    """
    bar = progress_task or SilentTask()
    scorers: dict[str, Scorer] = {}
    several = False
    for x, y in split.batches(batch_size, limit=limit):
        _check_labelled(y, tasks, split.name)
        outputs = predict(x)
        several = len(outputs) > 1
        size = len(next(iter(x.values())))
        for name, labels in _labels(y, outputs, tasks).items():
            if name not in scorers:
                scorers[name] = _scorer(name, tasks, metrics, main_metric)
            scorers[name].add(_checked(outputs, name, size), labels, x)
            if orders is not None:
                orders.add(name if name in tasks else next(iter(tasks)), outputs[name], labels)
        bar.advance(len(next(iter(x.values()))))
    if not scorers:
        msg = f"data: the {split.name} split holds zero samples; give more data"
        raise DataError(msg)
    order = [*(name for name in tasks if name in scorers), *(name for name in scorers if name not in tasks)]
    found = {name: scorers[name].evaluation() for name in order}
    first = next(iter(found.values()))
    if not several:
        return first
    scores = {name: evaluation.score for name, evaluation in found.items()}
    return dataclasses.replace(first, score=dataclasses.replace(first.score, outputs=scores), outputs=found)


def _scorer(
    name: str, tasks: Mapping[str, Task], metrics: Mapping[str, Sequence[Metric]], main_metric: str | None
) -> Scorer:
    """Return the scorer of an output; of a single one, whatever the model calls it."""
    output = name if name in tasks else next(iter(tasks))
    main = main_metric if output == next(iter(tasks)) else None
    return MeasuredScorer(tasks[output], metrics.get(output, ()), main, name)


def _check_labelled(y: object, tasks: Mapping[str, Task], split: str) -> None:
    if y is None and all(task.needs_labels for task in tasks.values()):
        msg = f"data: the {split} split has no labels, and accuracy needs them; give y_{split} too"
        raise DataError(msg)


def _labels(
    y: np.ndarray | dict[str, np.ndarray] | None, outputs: Mapping[str, np.ndarray], tasks: Mapping[str, Task]
) -> dict[str, np.ndarray | None]:
    """Return the labels of each output that is scored, None for those that need none and have none."""
    given = {_only(outputs): y} if isinstance(y, np.ndarray) else y or {}
    unlabelled = {name for name, task in tasks.items() if not task.needs_labels}
    if len(outputs) == len(tasks) == len(unlabelled) == 1:
        unlabelled = {_only(outputs)}
    return {**dict.fromkeys(unlabelled - set(given)), **given}


def _only(outputs: Mapping[str, np.ndarray]) -> str:
    if len(outputs) != 1:
        msg = f"data: the model gives {len(outputs)} outputs ({', '.join(outputs)}), so labels need their names"
        raise DataError(msg)
    return next(iter(outputs))


def _checked(outputs: Mapping[str, np.ndarray], name: str, samples: int) -> np.ndarray:
    if name not in outputs:
        msg = f"data: there are labels for output {name!r}; the model's outputs are {', '.join(outputs)}"
        raise DataError(msg)
    if len(outputs[name]) != samples:
        msg = f"the model gave {len(outputs[name])} predictions of {name!r} for {samples} samples"
        raise DataError(msg)
    return outputs[name]
