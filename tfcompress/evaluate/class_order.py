"""Whether a model numbers its classes otherwise than the labels: another order in which it is right far more often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runner.mcnemar import mid_p
from tfcompress.data.class_names import LISTED
from tfcompress.tasks.task import Task

GAIN = 0.1
"""An order must make so much more of the samples right, as a fraction, to be worth a line."""

CHANCE = 1e-6
"""And that by less than this chance, by McNemar's test of the samples by which the order was not found."""


@dataclass(frozen=True)
class OtherOrder:
    """An order of the classes in which the model is right more often.

    Attributes:
        classes: for each output of the model, the class of the labels that it stands for.
        before: fraction right as the labels are numbered, of the samples that the order was not found by.
        after: the same in this order.
    """

    classes: tuple[int, ...]
    before: float
    after: float

    def line(self, output: str, names: Sequence[str]) -> str:
        """Return the sentence that users read about it.

        Args:
            output: the output's name.
            names: of the classes in the order of the labels' numbers; empty where they have none.
        """
        found = f"{100 * self.after:.1f} % of the samples instead of {100 * self.before:.1f} %"
        if len(names) == len(self.classes):
            order = [names[label] for label in self.classes]
            shown = ",".join(order[:LISTED]) + (",..." if len(order) > LISTED else "")
            how = f"--classes {shown}"
        else:
            moved = [f"{label} is its {place}" for place, label in enumerate(self.classes) if place != label]
            how = f"class {', '.join(moved[:LISTED])}{', ...' if len(moved) > LISTED else ''}; renumber the labels"
        return f"output {output!r} fits the labels much better in another order of the classes ({found}): {how}"


class ClassOrder:
    """Counts which class a model gives for which label; an order is found by one half of the samples.

    It is judged by the other half, for among many orders one fits any samples well.

    Args:
        classes: how many the output has.
    """

    def __init__(self, classes: int) -> None:
        self._classes = max(2, classes)
        self._halves: tuple[Counter[tuple[int, int]], Counter[tuple[int, int]]] = (Counter(), Counter())
        self._seen = 0
        self._counted = True

    def add(self, outputs: np.ndarray, labels: np.ndarray | None) -> None:
        """Take a batch: outputs (samples, classes) or (samples, 1), and class numbers, one a sample."""
        size = len(outputs)
        if labels is None or labels.size != size or outputs.size not in (size, size * self._classes):
            self._counted = False  # a label for each position: orders are not what goes wrong there
        if not self._counted or labels is None:
            return
        rows = outputs.reshape(size, -1)
        if rows.shape[1] == 1:
            threshold = 0.5 if bool(((rows >= 0) & (rows <= 1)).all()) else 0.0
            given = (rows[:, 0] > threshold).astype(np.int64)
        else:
            given = rows.argmax(axis=1)
        truth = labels.reshape(size).astype(np.int64)
        half = (np.arange(self._seen, self._seen + size) % 2).astype(bool)
        for place, chosen in enumerate((~half, half)):
            self._halves[place].update(zip(truth[chosen].tolist(), given[chosen].tolist(), strict=True))
        self._seen += size

    def other(self) -> OtherOrder | None:
        """Return an order in which the model is right far more often; None where there is none."""
        found, judged = self._halves
        samples = sum(judged.values())
        if not self._counted or not samples:
            return None
        order = self._matching(found)
        cells = [(label == given, order[given] == label, count) for (label, given), count in judged.items()]
        before = sum(count for plain, _, count in cells if plain)
        after = sum(count for _, ordered, count in cells if ordered)
        only_before = sum(count for plain, ordered, count in cells if plain and not ordered)
        only_after = sum(count for plain, ordered, count in cells if ordered and not plain)
        if after - before < GAIN * samples or mid_p(only_before, only_after) >= CHANCE:
            return None
        return OtherOrder(tuple(order), before / samples, after / samples)

    def _matching(self, cells: Mapping[tuple[int, int], int]) -> list[int]:
        """Give each output the label that goes with it most often and is not taken: greedily, the surest first."""
        order: dict[int, int] = {}
        free = set(range(self._classes))
        for (label, given), _ in sorted(cells.items(), key=lambda item: (-item[1], item[0])):
            if given not in order and label in free:
                order[given] = label
                free.discard(label)
        order |= {given: given for given in range(self._classes) if given not in order and given in free}
        rest = iter(sorted(set(range(self._classes)) - set(order.values())))
        return [order[given] if given in order else next(rest) for given in range(self._classes)]


class ClassOrders:
    """The order of the classes of each output that has some.

    Args:
        tasks: of each scored output, by name.
        classes: how many classes each output has, by name; None: none.
    """

    def __init__(self, tasks: Mapping[str, Task], classes: Mapping[str, int | None]) -> None:
        self._orders = {
            name: ClassOrder(number)
            for name, task in tasks.items()
            if task.has_classes and (number := classes.get(name)) is not None
        }

    def add(self, output: str, outputs: np.ndarray, labels: np.ndarray | None) -> None:
        """Take a batch of one output; see :meth:`ClassOrder.add`."""
        if output in self._orders:
            self._orders[output].add(outputs, labels)

    def lines(self, names: Sequence[str]) -> list[str]:
        """Return a line for each output that another order fits much better; see :meth:`OtherOrder.line`."""
        found = {name: order.other() for name, order in self._orders.items()}
        return [other.line(name, names) for name, other in found.items() if other is not None]
