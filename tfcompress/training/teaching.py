"""Who is trained and who teaches, in a run: students and teachers out of files, refused before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress import files
from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.references import imported
from tfcompress.stages.distill import MODEL_FILES
from tfcompress.teachers import Schooling, engage
from tfcompress.training.first_samples import training_samples
from tfcompress.training.targets import taught_outputs

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.distillation.teacher import Teacher
    from tfcompress.models.loading import Loaded
    from tfcompress.models.specs import Signature
    from tfcompress.recipe import Recipe
    from tfcompress.train_settings import Train

SAMPLES = 512
"""Training samples by which a teacher is compared with the model before the training."""

ANSWERS = "answers"
"""Folder of the user's cache in which answers of teachers are kept."""


@dataclass(frozen=True)
class Teaching:
    """Who is trained, and who teaches.

    Attributes:
        student: the Keras 3 graph that is trained in place of the model, or the model at another size of its
            pictures; None: the model itself.
        teachers: whom to learn from; none: the model before compression.
        notes: what was found out or chosen, a line each.
        resizing: where the student takes pictures of another size, the model that resizes them to its own before all
            else; None: both take the same.
    """

    student: Any = None
    teachers: tuple[Teacher, ...] = ()
    notes: tuple[str, ...] = ()
    resizing: Any = None
    _closing: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Let go of files and processes."""
        for close in self._closing:
            close()


def teaching_for(recipe: Recipe, loaded: Loaded, data: BoundData, loading: Mapping[str, Any]) -> Teaching:
    """Load who is asked for, and see that they fit each other.

    Args:
        recipe: its stages say who; of its training, augmentation decides whether answers can be kept, and the seed
            draws samples and weights.
        loaded: the model.
        data: the bound data, at the size of pictures that the recipe asks for; it has a training split.
        loading: ``trust``, ``custom`` and ``limits`` for files.

    Raises:
        ModelError: a file that is no model.
        DataError: a teacher that takes or gives something else than the model, or numbers the classes otherwise.
        UsageError: no such file or function.
        UnsupportedError: a student that the model cannot be exchanged for, or that cannot be made.
    """
    stage: Any = next((stage for stage in recipe.stages if stage.teaches), None)
    student, resizing, notes = _at_other_size(loaded, recipe)
    if stage is None or not (stage.teacher or stage.student):
        return Teaching(student, (), tuple(notes), resizing)
    if stage.student:
        student = _student(stage, loaded, recipe.train.seed, loading)
        _check_forms(student, loaded, data)
        size = f"{student.count_params():,} parameters"
        teacher = ", ".join(stage.teacher) or loaded.source
        notes.append(
            f"student {stage.student!r} ({size}) is trained in place of {loaded.source!r}, taught by {teacher}"
        )
    engaged = _Engagement(stage, loaded.native if resizing is None else resizing, data, recipe.train, loading)
    teachers, told, closing = engaged.done(stage.teacher or (loaded,), notes)
    return Teaching(student, teachers, told, resizing, closing)


def _at_other_size(loaded: Loaded, recipe: Recipe) -> tuple[Any, Any, list[str]]:
    """Return the model at the size of pictures that a recipe asks for, itself for such pictures, and what to say.

    Both are None where nothing is asked.
    """
    size, model = recipe.input_size, loaded.keras3
    if size is None or model is None:
        return None, None, []
    from tfcompress.models.picture_size import at_size, from_size, picture_of
    from tfcompress.models.profile import profile

    student, own = at_size(model, size), picture_of(model)
    if own == size:
        return None, None, []
    before, after = profile(model).macs, profile(student).macs
    note = (
        f"input {size.name!r} takes pictures of {size.text} instead of {own.text if own else ''}: {before:,} → "
        f"{after:,} multiply-accumulates; accuracy is compared with the model's at its own size"
    )
    return student, from_size(model, size), [note]


@dataclass(frozen=True)
class _Engagement:
    """Teachers being loaded, for one model and its data."""

    stage: Any
    model: Any
    data: BoundData
    train: Train
    loading: Mapping[str, Any]

    def done(
        self, sources: Sequence[Any], notes: list[str]
    ) -> tuple[tuple[Teacher, ...], tuple[str, ...], tuple[Callable[[], None], ...]]:
        samples = training_samples(self.data, self.model, self.train, SAMPLES)
        about = self._about(samples.inputs)
        teachers, closing = [], []
        try:
            for source in sources:
                found = engage(source, self.loading, about)
                closing.append(found.close)
                teachers.append(found.teacher)
                notes += found.notes
                _check_order(found.teacher.name, found.outputs, samples.labels, about.labels, self.data)
        except BaseException:  # Ctrl-C, too: no child is left behind
            for close in closing:
                close()
            raise
        return tuple(teachers), tuple(notes), tuple(closing)

    def _about(self, inputs: Mapping[str, np.ndarray]) -> Schooling:
        from tfcompress.data.class_names import read_class_names

        keeps = can_keep_answers(self.train) and not self.stage.compares_layers
        return Schooling(
            self.data.signature,
            inputs,
            self.data.dataset.labels,
            self.stage.teacher_preprocess,
            read_class_names(self.stage.teacher_classes or None),
            files.cache_folder(ANSWERS) if keeps else None,
        )


def can_keep_answers(train: Train) -> bool:
    """Tell whether the same samples come again and again: as they are, or mirrored."""
    return "shift" not in train.augment


def _check_order(
    name: str, outputs: Mapping[str, np.ndarray], labels: Any, names: Sequence[str], data: BoundData
) -> None:
    """Refuse a teacher that is right far more often in another order of its classes.

    Raises:
        DataError: naming the order.
    """
    from tfcompress.evaluate.class_order import ClassOrder

    first = data.signature.outputs[0].name
    by_output = labels if isinstance(labels, Mapping) else {first: labels}
    for output, given in outputs.items():
        truth = by_output.get(output)
        if truth is None or np.asarray(truth).dtype.kind not in "iu" or given.ndim != 2 or given.shape[1] < 2:
            continue
        order = ClassOrder(given.shape[1])
        order.add(given, np.asarray(truth))
        other = order.other()
        if other is None:
            continue
        called = list(names) or [str(place) for place in range(given.shape[1])]
        said = ",".join(called[label] for label in other.classes)
        msg = (
            f"teacher {name!r} fits the labels much better in another order of its classes ({100 * other.after:.1f} % "
            f"of {len(given)} samples instead of {100 * other.before:.1f} %); say it by --teacher-classes {said}"
        )
        raise DataError(msg)


def _student(stage: Any, loaded: Loaded, seed: int, loading: Mapping[str, Any]) -> Any:
    import keras

    if loaded.keras3 is None:
        msg = f"model {loaded.source!r} cannot be exchanged for a student: {loaded.refusal}"
        raise UnsupportedError(msg)
    keras.utils.set_random_seed(seed)
    if stage.student_scale is not None:
        from tfcompress.distillation.students import smaller

        return smaller(loaded.keras3, stage.student_scale)
    given = _given_student(stage, loading)
    if given.keras3 is None:
        msg = f"student {stage.student!r} cannot be trained: {given.refusal}"
        raise UnsupportedError(msg)
    _check_shapes(stage.student, given.signature, loaded)
    return named_like(given.keras3, loaded)


def _given_student(stage: Any, loading: Mapping[str, Any]) -> Loaded:
    from tfcompress.models.loading import load_model

    if not stage.student_function:
        if not (stage.student.endswith(MODEL_FILES) or Path(stage.student).exists()):
            msg = f"--student must be a Keras file, module:function, or a size such as width=0.5, got {stage.student!r}"
            raise UsageError(msg)
        return load_model(stage.student, **loading)
    make = imported(stage.student_function, "--student", what="function")
    try:
        made = make()
    except Exception as error:  # the user's function may fail in any way
        msg = f"--student {stage.student!r} failed: {type(error).__name__}: {error}"
        raise UsageError(msg) from error
    return load_model(made)


def _check_shapes(name: str, own: Signature, loaded: Loaded) -> None:
    sides = (("takes", own.inputs, loaded.signature.inputs), ("gives", own.outputs, loaded.signature.outputs))
    for verb, got, wanted in sides:
        if [spec.shape for spec in got] != [spec.shape for spec in wanted]:
            shapes = [", ".join(f"{spec.name} {spec.shape}" for spec in side) for side in (wanted, got)]
            msg = (
                f"student {name!r} must be exchangeable for {loaded.source!r}, which {verb} {shapes[0]}; it {verb} "
                f"{shapes[1]}"
            )
            raise UnsupportedError(msg)


def _check_forms(student: Any, loaded: Loaded, data: BoundData) -> None:
    """Refuse a student that ends otherwise than the model, where the model's own outputs stand in for labels.

    Raises:
        UnsupportedError: naming the output.
    """
    from tfcompress.models.graph import last_activation

    pairs = zip(loaded.signature.outputs, student.outputs, loaded.keras3.outputs, strict=True)  # type: ignore[union-attr]
    for spec, own, models in pairs:
        ends = [last_activation(tensor) for tensor in (own, models)]
        bounded = [end if end in ("softmax", "sigmoid") else "no softmax" for end in ends]
        if spec.name in taught_outputs(data) and bounded[0] != bounded[1]:
            msg = (
                f"the student's output {spec.name!r} ends in {ends[0]} and the model's in {ends[1]}: without labels it "
                "is trained against the model's, so let both end alike"
            )
            raise UnsupportedError(msg)


def named_like(student: Any, loaded: Loaded) -> Any:
    """Return a student whose inputs and outputs are called as the model's: data, files and scores go by the names.

    Args:
        student: a Keras 3 graph; it may share layers with the one returned.
        loaded: the model.

    Raises:
        UnsupportedError: an input of the model has the name of a layer of the student's.
    """
    import keras

    from tfcompress.models.copies import model_copy
    from tfcompress.models.keras_private import functional, input_structure, origin, replayed
    from tfcompress.models.layer_copies import layer_copy

    inputs, outputs = ([origin(t).name for t in side] for side in (loaded.keras3.inputs, loaded.keras3.outputs))  # type: ignore[union-attr]
    own_inputs, ends = ([origin(t).name for t in side] for side in (student.inputs, student.outputs))
    if (own_inputs, ends) == (inputs, outputs):
        return student
    names = dict(zip(ends, outputs, strict=True))
    taken = {name for name in (*outputs, *inputs) if name not in names}
    fresh = dict(zip((id(t) for t in student.inputs), inputs, strict=True))

    def stand_in(operation: Any) -> Any:
        wanted = names.get(operation.name, f"{operation.name}_inner" if operation.name in taken else operation.name)
        return operation if wanted == operation.name else layer_copy(operation, wanted)

    def entry(tensor: Any) -> Any:
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=fresh[id(tensor)])

    given = keras.tree.map_structure(entry, input_structure(student))
    made = keras.Model(given, replayed(functional(student), given, stand_in), name=student.name)
    return model_copy(made)
