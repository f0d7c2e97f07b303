"""What a task is: everything that depends on what the labels of an output mean.

Importing a task imports neither numpy nor TensorFlow; what needs them imports them when it is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from tfcompress.errors import DataError
from tfcompress.tasks import paired
from tfcompress.tasks.figures import FRACTION, FigureKind, figure_kind
from tfcompress.tasks.label_form import LabelForm, Numbering, Shape
from tfcompress.tasks.labelling import Labelling
from tfcompress.tasks.score import Difference, Figure, Score, untested
from tfcompress.tasks.traits import OutputTraits

if TYPE_CHECKING:
    import numpy as np

TeachingForm = Literal["logits", "binary logits", "numbers", "directions"]
"""What the outputs of a model are to one that learns from them."""

Inputs = Mapping[str, "np.ndarray"]
"""The inputs of a batch by name, (samples, ...), as the model takes them."""

NO_INPUTS: Inputs = MappingProxyType({})
"""For scorers that look at outputs and labels only."""

MOST_CONFUSED = 10
"""So many pairs of classes that are taken for each other are reported."""
_MARGIN = 0.01
"""A difference of at most one percentage point does not matter."""
_RELATIVE_MARGIN = 0.05
"""Nor does one of at most a twentieth, of figures that are no fractions."""


@dataclass(frozen=True)
class Evaluation:
    """A score, and what a paired comparison needs beside it.

    Attributes:
        score: what is reported.
        outcomes: the main figure of each sample, shape (samples,): bool where it is right or wrong, else float; None
            where it is none of single samples (a rank, an area, a function's), so that nothing can be tested.
        outputs: of each scored output of a model of several, by name, the main one first.
        answers: what the model gave for the first samples, by output, (samples, ...); empty where nobody asked.
    """

    score: Score
    outcomes: np.ndarray | None = field(repr=False)
    outputs: Mapping[str, Evaluation] = field(default_factory=dict, repr=False, kw_only=True)
    answers: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, kw_only=True)


class Scorer(Protocol):
    """Adds batches up."""

    def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
        """Take one batch.

        Args:
            outputs: of one output, (samples, ...).
            labels: in the task's one form; None only where the task needs none.
            inputs: of the model, by name, (samples, ...) each.
        """

    def evaluation(self) -> Evaluation:
        """Return the figures of all batches."""


class Task(ABC):
    """What the labels of an output mean.

    Attributes:
        name: how recipes and reports call it.
        figures: what it is scored by (:data:`tfcompress.tasks.figures.FIGURES`), the main one first.
        teaching: what the outputs are to a model that learns from them.
        constant: the best prediction that doesn't look at the input, in words.
        needs_labels: whether nothing can be scored, or trained by :meth:`loss`, without labels.
        taught: whether training always goes by the float model's own outputs, even where there are labels.
        heeds: which of :class:`~tfcompress.tasks.labelling.Labelling`'s ``ignore_label`` and ``windows_of`` change it;
            said to no task that heeds it, they are refused.
        by_likeness: whether a figure of its score says how alike a file and the float file answer; see :meth:`alike`.
        kind: what :meth:`kinds` tells apart, in a word.
        unlike: activations that such an output does not end in; one that does is of another task if labels fit that.
        any_numbers: whether labels of any value fit, so that labels of no other task are of this one.
        pads: whether some steps of an output may be padding, which a label of its own marks; see :meth:`padded`.
        in_pixels: whether labels, or what stands in for them, lie in the pixels of the model's own input.
        pipelines: what model hubs call it, by how many axes an input has without the batch: 3 for images.
    """

    name: ClassVar[str]
    figures: ClassVar[tuple[str, ...]]
    teaching: ClassVar[TeachingForm]
    constant: ClassVar[str]
    needs_labels: ClassVar[bool] = True
    taught: ClassVar[bool] = False
    heeds: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str] = "class"
    by_likeness: ClassVar[bool] = False
    unlike: ClassVar[tuple[str, ...]] = ()
    any_numbers: ClassVar[bool] = False
    pads: ClassVar[bool] = False
    in_pixels: ClassVar[bool] = False
    pipelines: ClassVar[Mapping[int, str]] = MappingProxyType({})

    @property
    def together(self) -> int:
        """How many samples on end are scored as one, so that they are drawn together or not at all."""
        return 1

    @property
    def main(self) -> str:
        """The figure that is compared."""
        return self.figures[0]

    @property
    def main_kind(self) -> FigureKind:
        """What is known of the main figure."""
        return figure_kind(self.main)

    @property
    def has_classes(self) -> bool:
        """Whether the outputs are scores of classes, so that their largest means something."""
        return self.teaching in ("logits", "binary logits")

    def configured(self, labelling: Labelling) -> Task:
        """Return the task as the user wants it; the default takes no settings.

        Raises:
            UsageError: a setting that the task cannot have.
        """
        return self

    def options(self) -> dict[str, Any]:
        """Return what :mod:`edge_runner` must be given to score alike, as plain values for JSON."""
        return {}

    def suits(self, inputs: Mapping[str, Shape], shape: Shape) -> bool:
        """Tell whether an output may be of this task beside such inputs; asked where nobody said the task.

        Args:
            inputs: the shapes of the model's inputs by name, without the batch axis.
            shape: the output's.
        """
        return True

    def as_told(self, options: Mapping[str, Any]) -> Task:
        """Return the task with what :meth:`options` gave where the data was written; the default has nothing there.

        Args:
            options: plain values out of a file; any may be missing, or be of a wrong type.
        """
        return self

    def as_scored(self, score: Score) -> Task:
        """Return the task that scores other samples by the same figures; the default looks at no samples for that.

        Args:
            score: of the same output on all test samples.
        """
        return self

    def told_by(self, inputs: Mapping[str, Shape], shape: Shape, traits: OutputTraits) -> str:
        """Return in words what shows that an output without labels is of this task; empty: nothing does.

        Args:
            inputs: as for :meth:`suits`.
            shape: the output's.
            traits: what the model says about it.
        """
        return ""

    def possible(self, inputs: Mapping[str, Shape], shape: Shape) -> str:
        """Return in words why an output without labels might be of this task if it were said; empty: it is not likely.

        See :meth:`suits` for the arguments.
        """
        return ""

    @abstractmethod
    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether labels are of this task.

        Args:
            y: some labels as stored, numbers, shape (samples, ...).
            shape: the output's, without the batch axis.
        """

    def takes(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether labels may be of this task, by their shape; asked where the user said the task.

        What is wrong with single samples is reported by :meth:`encode`, so that the message can name them. See
        :meth:`fits` for the arguments.
        """
        return self.fits(y, shape)

    def form(self, y: np.ndarray, shape: Shape, where: str) -> LabelForm:
        """Return how labels like *y* come; see :meth:`fits`, and *where* is what messages call them."""
        return LabelForm(shape, where)

    def formed(self, form: LabelForm) -> Task:
        """Return the task for labels that come like this; the default is the same for all."""
        return self

    @abstractmethod
    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return one batch of labels in the task's one form.

        Args:
            y: labels as stored, numbers, shape (samples, ...).
            rows: the samples' numbers, for messages.
            form: how they come.

        Raises:
            DataError: values out of range or not finite, a shape that does not fit.
        """

    def classes(self, shape: Shape) -> int | None:
        """Return the number of classes of an output of this shape; None for a task without classes."""
        return None

    def numbering(self, names: Sequence[str], shape: Shape, *, given: bool) -> Numbering | None:
        """Return which numbers labels that are names have; None where they cannot be such an output's.

        The default takes a name for each class, in the order that they come in.

        Args:
            names: of all that occur or were given, each once.
            shape: the output's, without the batch axis.
            given: whether somebody gave their order; else it is the alphabet's.

        Raises:
            DataError: names that need an order, or are too many.
        """
        return Numbering(tuple(names)) if len(names) == self.classes(shape) else None

    def occurring(self, y: np.ndarray, shape: Shape) -> np.ndarray | None:
        """Return how often each class occurs, int64, (classes,); None where nothing is amiss if one never does.

        Args:
            y: encoded labels, (samples, ...).
            shape: the output's, without the batch axis.
        """
        import numpy as np

        classes = self.classes(shape)
        return None if classes is None else np.bincount(y.reshape(-1).astype(np.int64), minlength=classes)

    def allowed(self, shape: Shape) -> str | None:
        """Return the labels that an output of this shape takes, in words; None where it takes none."""
        return None

    def targets(self, inputs: Inputs, labels: np.ndarray | None) -> np.ndarray:
        """Return what training compares the outputs with: the labels, or what the task makes of the inputs.

        Args:
            inputs: a batch of the model's inputs.
            labels: in the task's one form; None only where the task needs none.
        """
        return present(labels)

    def learnt(self, labels: np.ndarray) -> np.ndarray | None:
        """Tell which samples training and calibration may look at; None: all of them.

        Args:
            labels: in the task's one form, (samples, ...).

        Returns:
            bool, (samples,).
        """
        return None

    def kinds(self, labels: np.ndarray) -> np.ndarray | None:
        """Return what both parts of divided data should have their share of; None: nothing.

        The default is the class, where a sample has one.

        Args:
            labels: in the task's one form, (samples, ...).

        Returns:
            Whole numbers, (samples,): of each sample its class, someone's identity; or bool, (samples, marks): marks
            that may be rare, each of which both parts should have wherever it occurs twice.
        """
        import numpy as np

        return labels.reshape(-1).astype(np.int64) if self.has_classes and labels.size == len(labels) else None

    def padded(self, y: np.ndarray, padding: np.ndarray) -> np.ndarray:
        """Return encoded labels of which some steps are padding; the default has no steps.

        Args:
            y: in the task's one form, (samples, steps).
            padding: which steps don't count, bool, (samples, steps).
        """
        return y

    def for_runner(self, y: np.ndarray) -> np.ndarray:
        """Return encoded labels as edge_runner takes them."""
        return y

    def doubt(self, form: LabelForm, *, whole: bool) -> str | None:
        """Return why the labels may be meant otherwise, for people to see.

        Args:
            form: how they come.
            whole: whether every one is a whole number.
        """
        return None

    def trained_by(self, loss: str) -> bool:
        """Tell whether a Keras loss of this name, in lower case without underscores, trains such an output."""
        return False

    def compiled_with(self, loss: str) -> bool:
        """Tell whether a model may have been compiled with a loss for such an output; see :meth:`trained_by`.

        Of a loss, only one task can be what it trains; of labels that fit that and a more special task, both may be.
        """
        return self.trained_by(loss)

    @abstractmethod
    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return the loss that trains such an output.

        Args:
            outputs: the model's outputs on some samples, shape (samples, ..., k), to know probabilities from logits.
            keras: the module ``keras`` or ``tf_keras``.
        """

    def metrics(self, outputs: np.ndarray, keras: Any) -> list[Any]:
        """Return the metrics that go into the training history; see :meth:`loss`."""
        return []

    @property
    def tunes(self) -> bool:
        """Whether :meth:`tuned` would find something that is not known yet."""
        return False

    def tuned(self, outputs: np.ndarray, labels: np.ndarray) -> Task:
        """Return the task with what scoring learns from the training split; the default learns nothing.

        Args:
            outputs: the float model's, (samples, ...).
            labels: in the task's one form, of the same samples.
        """
        return self

    @abstractmethod
    def scorer(self) -> Scorer:
        """Return what adds up a score."""

    def score(self, counted: Mapping[str, Any]) -> Score:
        """Return the score that edge_runner's scorers counted, here or on a device; see :func:`counted_score`."""
        return counted_score(counted, self.figures)

    def alike(self, score: Score | None, likeness: Mapping[str, Any], samples: int) -> Score | None:
        """Return a score with what is known of how alike a file and the float file answer; the default adds nothing.

        Args:
            score: of the file by labels; None: there are none.
            likeness: of this output, the fields of :class:`tfcompress.tflite.agreement.OutputAgreement`.
            samples: that the files were compared on.
        """
        return score

    def beats_chance(self, score: Score) -> bool | None:
        """Tell whether a score is better than that of the best constant prediction; None where nobody knows."""
        return None if score.chance is None else score.main_figure.beats(score.chance)

    def margin(self, before: float) -> float:
        """Return how large a difference of the main figure from *before* may be and not matter."""
        return _MARGIN if self.main_kind.unit == FRACTION else _RELATIVE_MARGIN * abs(before)

    def compare(self, before: Evaluation, after: Evaluation) -> Difference | None:
        """Test the difference of two scored models on the same samples; None where a main figure is not known.

        Without outcomes the difference is reported and not tested.

        Samples that are right or wrong are compared by McNemar's test, others by a paired t of each sample's figure.
        """
        found = untested(before.score, after.score)
        if found is None:
            return None
        one, two = before.outcomes, after.outcomes
        if one is None or two is None:
            return found
        tested = (paired.of_right if one.dtype == two.dtype == bool else paired.of_means)(one, two)
        return self.judged(found, tested, before.score)

    def judged(self, found: Difference, tested: paired.Paired, before: Score) -> Difference:
        """Return a difference with what a test says of it.

        Args:
            found: of the main figures.
            tested: of the same samples.
            before: the first model's score.
        """
        ends = (tested.low, tested.high) if tested.low > float("-inf") else (None, None)
        return replace(
            found,
            low=ends[0],
            high=ends[1],
            p=tested.p,
            test=tested.test,
            verdict=tested.verdict(found.better, self.margin(before.main_figure.value or 0.0)),
        )


def present(labels: np.ndarray | None) -> np.ndarray:
    """Return labels that must be there.

    Raises:
        DataError: there are none.
    """
    if labels is None:
        msg = "data: this task needs labels, and there are none; give y beside x"
        raise DataError(msg)
    return labels


def counted_score(counted: Mapping[str, Any], figures: tuple[str, ...]) -> Score:
    """Return what edge_runner's scorers (and reports of older formats) hold side by side as a score.

    Args:
        counted: ``task``, ``samples``, figures by name, ``NAME_low`` and ``NAME_high`` where they have an interval, and
            ``per_class`` with ``samples`` and ``right``, ``confusion`` with ``[class, predicted, count]`` of each cell
            that is not zero; None or absent is what was not measured.
        figures: which to take, the main one first; it is there even where it was not measured.
    """
    main, *others = figures
    names = [main, *(name for name in others if counted.get(name) is not None)]
    classes = counted.get("per_class") or {}
    total = sum(found["samples"] for found in classes.values())
    return Score(
        task=counted["task"],
        samples=counted["samples"],
        main=main,
        figures={name: _figure(counted, name) for name in names},
        per_class={number: found["right"] / found["samples"] for number, found in classes.items()},
        confusion=_confused(counted.get("confusion") or ()),
        chance=max(found["samples"] for found in classes.values()) / total if total else None,
    )


def _confused(cells: Sequence[Sequence[int]]) -> tuple[tuple[int, int, int], ...]:
    """Return the largest cells off the diagonal; what is no class (-1) was taken for nothing, and is left out."""
    mistakes = [(t, p, count) for t, p, count in cells if t != p and p >= 0]
    return tuple(sorted(mistakes, key=lambda cell: (-cell[2], cell))[:MOST_CONFUSED])


def _figure(counted: Mapping[str, Any], name: str) -> Figure:
    kind = figure_kind(name)
    value, low, high = (_number(counted.get(key)) for key in (name, f"{name}_low", f"{name}_high"))
    return Figure(value=value, low=low, high=high, unit=kind.unit, better=kind.better)


def _number(value: Any) -> float | None:
    """Return a number as float, whoever wrote it.

    Raises:
        TypeError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"a figure must be a number, got {value!r:.80}"
        raise TypeError(msg)
    return float(value)
