"""Letting a model learn from others, beside its labels (Hinton et al. 2015, arXiv:1503.02531, and what came after)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfcompress.distillation.distances import in_form_of
from tfcompress.distillation.losses import Compared
from tfcompress.distillation.pairs import Pair, check_layers_known, check_pairs, found_pairs, named_tensors
from tfcompress.distillation.placed import PlacedLayers
from tfcompress.distillation.projection import Projection
from tfcompress.distillation.teacher import Answers, Teacher
from tfcompress.errors import UsageError
from tfcompress.models.graph import last_activation
from tfcompress.models.keras_private import origin
from tfcompress.models.signature import signature_of
from tfcompress.recipe import Distill
from tfcompress.stages.lessons import LESSON_LOSSES
from tfcompress.tasks.task_table import trained_by


class _Layers(NamedTuple):
    """One loss of layers: its name and weight, the pairs, and a projection for each (None: it needs none)."""

    loss: str
    weight: float
    pairs: Sequence[Pair]
    projections: Sequence[Projection | None]


class Lesson:
    """What a student learns, and from whom.

    The losses of several teachers are averaged, which pulls the student as the mean of what they give does: all losses
    of outputs but the relations differ from it by what does not depend on the student.

    Attributes:
        stage: the losses and their weights.
        student: the graph that learns, as it was given.
        notes: which layers are compared, one line a teacher.
    """

    def __init__(self, stage: Distill, teachers: Sequence[Teacher], student: Any) -> None:
        """Find the layers to compare.

        Args:
            stage: what is asked.
            teachers: at least one.
            student: the Keras 3 graph that learns, as it was given.

        Raises:
            UsageError: layers that are not there, or that cannot be compared.
            UnsupportedError: a teacher whose layers are not known, where they are to be compared.
        """
        self.stage, self.student, self._teachers = stage, student, tuple(teachers)
        self.notes: list[str] = []
        self._inputs = [spec.name for spec in signature_of(student).inputs]
        self._activations = [last_activation(tensor) for tensor in student.outputs]
        self._names = [str(origin(tensor).name) for tensor in student.outputs]
        self._of_outputs = {n: w for n, w in stage.losses.items() if LESSON_LOSSES[n].of == "outputs"}
        _check_outputs(self._names, student.outputs, self._of_outputs)
        self._of_layers = [self._layers(student, teacher) for teacher in self._teachers]
        self._terms = {name: keras.metrics.Mean(name) for name in ("task", "teacher")}

    def _layers(self, student: Any, teacher: Teacher) -> list[_Layers]:
        found = []
        for name, weight in self.stage.losses.items():
            if LESSON_LOSSES[name].of != "layers":
                continue
            check_layers_known(teacher.graph, teacher.name)
            least = LESSON_LOSSES[name].least_axes
            pairs = [Pair(*each) for each in self.stage.pairs] or found_pairs(student, teacher.graph, least)
            check_pairs(student, teacher.graph, teacher.name, pairs, least)
            found.append(_Layers(name, weight, pairs, [_projection(name, student, teacher, pair) for pair in pairs]))
            if not self.stage.pairs:
                listed = ", ".join(f"{own}={other}" for own, other in pairs)
                self.notes.append(f"{name} of {teacher.name} compares the last layers of each size: {listed}")
        return found

    @property
    def in_graph(self) -> bool:
        """Whether TensorFlow computes every teacher within the training step."""
        return all(teacher.in_graph for teacher in self._teachers)

    @property
    def layers(self) -> list[str]:
        """Names of the student's layers that are compared, each once."""
        pairs = [pair for each in self._of_layers for part in each for pair in part.pairs]
        return list(dict.fromkeys(pair.student for pair in pairs))

    def loss(self, inputs: Any, outputs: Any, task: Any, layers: Mapping[str, Any] | None = None) -> Any:
        """Return how far a student is from its teachers, scalar; summed over the outputs, averaged over the teachers.

        Args:
            inputs: a batch, as the student takes it.
            outputs: what the student makes of it.
            task: what was given as loss to the student's ``compile``; distinguishes class scores from other numbers.
            layers: what the student's layers gave for it, by their names.
        """
        given = self._by_name(inputs)
        got = keras.tree.flatten(outputs)
        kinds = self._kinds(task, len(got))
        total = 0.0
        for teacher, parts in zip(self._teachers, self._of_layers, strict=True):
            wanted = list(dict.fromkeys(pair.teacher for part in parts for pair in part.pairs))
            answers = teacher.answers(given, wanted)
            total += self._from_outputs(teacher, answers, got, kinds)
            total += _from_layers(parts, dict(zip(wanted, answers.layers, strict=True)), layers or {})
        return total / len(self._teachers)

    def _from_outputs(self, teacher: Teacher, answers: Answers, got: Sequence[Any], kinds: Sequence[str]) -> Any:
        total = 0.0
        for place, (wanted, own, kind) in enumerate(zip(answers.outputs, got, kinds, strict=True)):
            if "float" not in keras.backend.standardize_dtype(own.dtype):
                continue  # class numbers, say, through which nothing is learnt
            shares = teacher.form(place).shares
            alike = wanted if shares is None else in_form_of(kind, wanted, are_shares=shares)
            compared = Compared(_float(alike), _float(own), kind, self.stage.temperature)
            total += sum(weight * LESSON_LOSSES[name].load()(compared) for name, weight in self._of_outputs.items())
        return total

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, dict) and set(inputs) >= set(self._inputs):
            return {name: inputs[name] for name in self._inputs}
        return dict(zip(self._inputs, keras.tree.flatten(inputs), strict=True))

    def _kinds(self, task: Any, count: int) -> list[str]:
        losses = _in_order(task, self._names, count)
        return [_kind(loss, name) for loss, name in zip(losses, self._activations, strict=True)]

    @property
    def _projections(self) -> list[Projection]:
        found = [each for parts in self._of_layers for part in parts for each in part.projections]
        return [each for each in found if each is not None]

    def count_(self, **terms: Any) -> None:
        """Count what each of ``task`` and ``teacher`` adds to the loss of a step, scalar."""
        for name, value in terms.items():
            self._terms[name].update_state(value)

    def terms(self) -> dict[str, float]:
        """Return the means of what was counted since this was asked last; what was not counted is left out."""
        found = {name: float(mean.result()) for name, mean in self._terms.items() if float(mean.count)}
        for mean in self._terms.values():
            mean.reset_state()
        return found

    def state(self) -> dict[str, np.ndarray]:
        """Return what is learnt beside the student, as arrays by name, for a training that may be killed."""
        numbered = enumerate(self._projections)
        return {f"{place}/{name}": value for place, each in numbered for name, value in each.state().items()}

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave."""
        for place, each in enumerate(self._projections):
            start = f"{place}/"
            each.restore_({name.removeprefix(start): x for name, x in state.items() if name.startswith(start)})


def _check_outputs(names: Sequence[str], outputs: Sequence[Any], losses: Mapping[str, float]) -> None:
    """Refuse losses of vectors for outputs that are single numbers."""
    for name in losses:
        for output, tensor in zip(names, outputs, strict=True):
            if LESSON_LOSSES[name].least_axes and (len(tensor.shape) < 2 or tensor.shape[-1] == 1):
                msg = f"distill.loss {name!r} compares vectors, and output {output!r} is a single number; leave it out"
                raise UsageError(msg)


def _projection(name: str, student: Any, teacher: Teacher, pair: Pair) -> Projection | None:
    if name != "features":
        return None
    own, other = named_tensors(student, [pair.student])[0], named_tensors(teacher.graph, [pair.teacher])[0]
    return Projection(int(own.shape[-1]), int(other.shape[-1]), seed=0)


def _from_layers(parts: Sequence[_Layers], wanted: Mapping[str, Any], got: Mapping[str, Any]) -> Any:
    """Return the losses of layers, each averaged over its pairs."""
    total = 0.0
    for part in parts:
        loss = LESSON_LOSSES[part.loss].load()
        of_pairs = [
            loss(Compared(_float(wanted[pair.teacher]), _float(got[pair.student]), project=project))
            for pair, project in zip(part.pairs, part.projections, strict=True)
        ]
        total += part.weight * sum(of_pairs) / len(of_pairs)
    return total


def _float(tensor: Any) -> Any:
    return keras.ops.cast(tensor, "float32")


def _in_order(task: Any, names: Sequence[str], count: int) -> list[Any]:
    """Return what was given as loss to ``compile`` for each output, in the order in which the model has them."""
    if isinstance(task, dict) and set(task) <= set(names):
        return [task.get(name) for name in names]
    losses = keras.tree.flatten(task) if isinstance(task, (list, tuple, dict)) else [task] * count
    return losses if len(losses) == count else [None] * count


def _kind(loss: Any, activation: str) -> str:
    """Say what an output is: probabilities, logits, the same of yes or no, directions, or plain numbers."""
    known = getattr(loss, "teaching", None)
    if known or activation in ("softmax", "sigmoid"):
        return str(known or activation)
    name = (loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")) or ""
    return trained_by(name).teaching


def learn_from_(model: Any, lesson: Lesson) -> None:
    """Make the training loss of *model* ``(1 - weight) * task + weight * lesson``; its evaluation stays as it is.

    Methods are replaced on this one model: its class, and with it what a file says of it, stay Keras's own, so that a
    checkpoint loads as a plain model without a teacher.

    Args:
        model: functional or Sequential, the stages at work in it; compiled later, by whoever trains it.
        lesson: what to learn, from whom.

    Raises:
        UnsupportedError: another stage has left nothing of a layer that is compared.
    """
    task_loss = model.compute_loss
    weight = lesson.stage.weight
    placed = PlacedLayers(model, lesson.layers, lesson.student)
    if not lesson.in_graph:
        model.supports_jit = False  # what Keras asks when it decides whether XLA compiles the step

    def compute_loss(
        x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of a batch: of task and teacher in training, of the task alone in evaluation.

        Raises:
            UsageError: the inputs or outputs are missing.
        """
        if not training:
            return task_loss(x, y, y_pred, sample_weight, training)
        if x is None or y_pred is None:
            msg = "compute_loss of a distilled model needs x and y_pred (its teacher looks at x), got None; give both"
            raise UsageError(msg)
        from_teacher = weight * lesson.loss(x, y_pred, getattr(model, "loss", None), placed.given())
        lesson.count_(teacher=from_teacher)
        if weight == 1:
            return from_teacher
        from_task = (1.0 - weight) * task_loss(x, y, y_pred, sample_weight, training)
        lesson.count_(task=from_task)
        return from_task + from_teacher

    model.compute_loss = compute_loss
