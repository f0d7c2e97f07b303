"""What ``fit`` compares outputs with, and how much each sample counts: labels, or the float model's own outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.training.balance import weighed

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.tasks.task import Task


def own_tasks(data: BoundData) -> dict[str, Task]:
    """Return, by output, the task whose loss trains it: of labels in the training split, or one that needs none."""
    return {name: task for name, task in data.need_train().adapter.tasks.items() if not task.taught}


def taught_outputs(data: BoundData) -> list[str]:
    """Return the outputs that train against the float model's own: those of floats that no task's loss trains."""
    trained = own_tasks(data)
    return [spec.name for spec in data.signature.outputs if spec.name not in trained and "float" in spec.dtype]


@dataclass(frozen=True)
class Targets:
    """Completes batches of a split as ``fit`` takes them.

    Attributes:
        ranks: by name of every output of the model, the axes of its loss before it is averaged, samples among them.
        tasks: by output, the task whose loss trains it.
        taught: names of outputs that learn from the teacher.
        teacher: the float model, which *taught* outputs are compared with.
        weights: what each class of an output weighs; empty: every sample counts the same.
    """

    ranks: Mapping[str, int]
    tasks: Mapping[str, Task] = field(default_factory=dict)
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
            Inputs, targets and weights; the latter two an array for a model of one output, else one by output name;
            weights are None where every sample counts the same.
        """
        labels = self._by_output(y)
        targets = self._targets(x, labels)
        counts = {name: self._count(name, labels, self._by_output(given)) for name in targets}
        if all(count is None for count in counts.values()):
            return x, self._plain(targets), None
        ones = np.ones(len(next(iter(x.values()))), np.float32)
        filled = {name: ones if count is None else count for name, count in counts.items()}
        return x, self._plain(targets), self._plain(filled)

    def _targets(self, x: dict[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        from tfcompress.models.signature import call

        own = call(self.teacher, x) if self.taught else {}
        found = {}
        for name in self.ranks:
            if name in self.taught:
                found[name] = own[name]
            elif name in self.tasks:
                found[name] = self.tasks[name].targets(x, labels.get(name))
        return found

    def _count(self, name: str, labels: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return how much each sample of an output counts, or each place in it; None: all the same."""
        parts = [given[name]] if name in given else []
        if name in self.weights:
            parts.append(weighed(self.weights[name], labels[name]))
        if not parts:
            return None
        count: np.ndarray = parts[0] if len(parts) == 1 else np.multiply(*_same_rank(*parts))
        spread: np.ndarray = count.reshape(count.shape + (1,) * (self.ranks[name] - count.ndim))
        return spread

    def _by_output(self, values: Any) -> dict[str, np.ndarray]:
        if values is None:
            return {}
        return dict(values) if isinstance(values, Mapping) else {next(iter(self.ranks)): values}

    def _plain(self, values: dict[str, np.ndarray]) -> Any:
        return values if len(self.ranks) > 1 else next(iter(values.values()))


def _same_rank(one: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    rank = max(one.ndim, other.ndim)
    return [x.reshape(x.shape + (1,) * (rank - x.ndim)) for x in (one, other)]
