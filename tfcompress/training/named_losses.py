"""Keras losses that are asked for by name: whether one fits the labels, and what has to be done to them for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.errors import RecipeError, nearest
from tfcompress.keras_names import loss_class
from tfcompress.tasks.classification import are_probabilities
from tfcompress.training.targets import own_tasks

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.models.specs import TensorSpec
    from tfcompress.tasks.label_form import Shape
    from tfcompress.tasks.task import Task
    from tfcompress.train_settings import Train

_OVER_CLASSES = ("CategoricalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalHinge", "KLDivergence")
_OF_PARTS = ("BinaryCrossentropy", "BinaryFocalCrossentropy", "Dice", "Tversky")
_OF_SIDES = ("Hinge", "SquaredHinge")
_OF_ERRORS = ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "CosineSimilarity")
_OF_NUMBERS = ("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson")

FITTING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "logits": ("SparseCategoricalCrossentropy", *_OVER_CLASSES, *_OF_PARTS, *_OF_SIDES, *_OF_ERRORS),
        "binary logits": (*_OF_PARTS, *_OF_SIDES, *_OF_ERRORS),
        "numbers": (*_OF_ERRORS, *_OF_NUMBERS, *_OF_PARTS, "KLDivergence"),
        "directions": _OF_ERRORS,
    }
)
"""Class names of the losses that make sense, by what the outputs are; those of parts want numbers in [0, 1]."""

RIGHT = MappingProxyType(
    {
        "logits": "sparse_categorical_crossentropy or categorical_crossentropy",
        "binary logits": "binary_crossentropy",
        "numbers": "mean_squared_error, mean_absolute_error or huber",
        "directions": "cosine_similarity",
    }
)
"""What to give instead, by what the outputs are."""

NO_SETTINGS: Mapping[str, float] = MappingProxyType({})
"""Of a loss with its defaults."""

LOOKED_AT = 1024
"""Training samples whose labels are looked at."""


def check_losses(data: BoundData, train: Train) -> None:
    """Refuse losses by name that make no sense for the labels, before any work.

    Args:
        data: the bound data; its training split is what counts.
        train: the settings.

    Raises:
        RecipeError: an output that is not there, or has no labels; a loss that does not go with its labels.
    """
    outputs = [spec.name for spec in data.signature.outputs]
    unknown = next((name for name in train.losses if name and name not in outputs), None)
    if unknown is not None:
        known = ", ".join(outputs)
        msg = f"train.loss: no output {unknown!r}{nearest(unknown, outputs)}; the model's outputs are {known}"
        raise RecipeError(msg)
    tasks = own_tasks(data)
    for spec in data.signature.outputs:
        asked = train.loss_of(spec.name)
        if asked == "auto":
            continue
        if spec.name in tasks:
            _check_fitting(asked, spec, tasks[spec.name], _targets_of(data, spec.name, tasks[spec.name]))
        elif spec.name in train.losses or not tasks:
            msg = (
                f"train.loss {asked!r} compares output {spec.name!r} with labels, and it is trained without: it learns "
                "from the float model's own output, whose loss is chosen by what it is; leave --loss out"
            )
            raise RecipeError(msg)


def _targets_of(data: BoundData, name: str, task: Task) -> np.ndarray:
    inputs, labels = next(data.need_train().batches(LOOKED_AT, limit=LOOKED_AT))
    return task.targets(inputs, labels[name] if isinstance(labels, Mapping) else labels)


def _is_yes_or_no(task: Task, shape: Shape) -> bool:
    """Whether an output, of that shape without the batch axis, has one value for two classes, or tags."""
    return task.teaching == "binary logits" or (task.teaching == "logits" and task.classes(shape) != shape[-1:][0])


def _check_fitting(asked: str, output: TensorSpec, task: Task, targets: np.ndarray) -> None:
    known = loss_class(asked)
    if known is None:
        return  # a registered one of the user's own
    kind = "binary logits" if _is_yes_or_no(task, output.shape) else task.teaching
    where = f"train.loss {asked!r} does not go with output {output.name!r} ({task.name})"
    if known not in FITTING[kind]:
        msg = f"{where}; give {RIGHT[kind]}, or leave --loss out"
        raise RecipeError(msg)
    if known == "SparseCategoricalCrossentropy" and targets.dtype.kind == "f":
        msg = f"{where}: its labels are shares of the classes, no class numbers; give categorical_crossentropy"
        raise RecipeError(msg)
    if kind == "numbers" and known in (*_OF_PARTS, "KLDivergence") and not _in_unit_interval(targets):
        msg = f"{where}: it wants targets in [0, 1], these reach from {targets.min():g} to {targets.max():g}; "
        raise RecipeError(msg + f"give {RIGHT[kind]}")


def fits(loss: str, output: TensorSpec, task: Task) -> bool:
    """Tell whether a class of losses trains outputs of a task, whatever the labels.

    Args:
        loss: the class's name.
        output: what is trained.
        task: what its labels mean.
    """
    kind = "binary logits" if _is_yes_or_no(task, output.shape) else task.teaching
    return loss in FITTING[kind] and not (kind == "numbers" and loss in (*_OF_PARTS, "KLDivergence"))


def _in_unit_interval(values: np.ndarray) -> bool:
    return bool(values.min(initial=0.0) >= 0.0 and values.max(initial=0.0) <= 1.0)


def named_loss(
    name: str, task: Task, outputs: np.ndarray, keras: Any, settings: Mapping[str, float] = NO_SETTINGS
) -> Any:
    """Return the loss called *name*, for labels in the one form of their task.

    Class numbers become vectors with a single 1 for losses that compare vectors; labels that are no class (padding, a
    void class) do not count; a loss that can take logits is configured for what the outputs are.

    Args:
        name: as Keras knows it, as a class or as a function, or a registered one of the user's own.
        task: what the labels mean.
        outputs: the float model's on a few samples, shape (n, ..., k).
        keras: the module ``keras`` or ``tf_keras``.
        settings: of the loss, by the names of its arguments; the others are its defaults.

    Raises:
        RecipeError: this Keras has no such loss.
    """
    known = loss_class(name)
    try:
        if known is None:
            return keras.losses.get(name)
        kind = getattr(keras.losses, known)
    except (ValueError, AttributeError) as error:
        msg = f"train.loss must be 'auto' or the name of a loss of {keras.__name__}, got {name!r}"
        raise RecipeError(msg) from error
    options: dict[str, Any] = {"from_logits": _are_logits(known, outputs)} if known.endswith("Crossentropy") else {}
    options |= settings
    if not task.has_classes:
        return kind(**options)
    over_classes = task.teaching == "logits" and outputs.shape[-1] > 1
    inner = kind(reduction="none", **options)
    sparse = known == "SparseCategoricalCrossentropy"
    return _coded(inner, keras, over_classes=over_classes, sparse=sparse, pads=task.pads)


def _are_logits(known: str, outputs: np.ndarray) -> bool:
    return not (_in_unit_interval if known.startswith("Binary") else are_probabilities)(outputs)


def _coded(inner: Any, keras: Any, *, over_classes: bool, sparse: bool, pads: bool) -> Any:
    """Return a loss that gives *inner* labels in the coding that it wants, and counts those alone that are classes."""

    class Coded(keras.losses.Loss):  # type: ignore[misc]  # of either Keras
        def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            import tensorflow as tf

            if pads and sample_weight is not None:
                sample_weight = tf.reshape(sample_weight, [tf.shape(y_true)[0], -1])
            # a copy has no mask of Keras's, by which it would average once more where labels tell padding
            return super().__call__(y_true, tf.identity(y_pred) if pads else y_pred, sample_weight)

        def call(self, y_true: Any, y_pred: Any) -> Any:
            given, counted = (_numbers if over_classes else _yes_or_no)(y_true, y_pred)
            if over_classes and not sparse:
                given = _vectors(given, y_pred)
            values = inner(given, y_pred)
            return values if counted is None or len(values.shape) == 0 else _averaged(values, counted)

    return Coded(name=inner.name)


def _numbers(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return class numbers (of no class: 0) and which ones are of a class; labels that are vectors as they are."""
    import tensorflow as tf

    classes = y_pred.shape[-1]
    if len(y_true.shape) == len(y_pred.shape):
        if y_true.shape[-1] == classes:
            return y_true, None
        y_true = y_true[..., 0]
    numbers = tf.cast(y_true, tf.int32)
    counted = tf.logical_and(numbers >= 0, numbers < classes)
    return tf.where(counted, numbers, 0), counted


def _vectors(given: Any, y_pred: Any) -> Any:
    import tensorflow as tf

    vectors = given if len(given.shape) == len(y_pred.shape) else tf.one_hot(given, y_pred.shape[-1])
    return tf.cast(vectors, y_pred.dtype)


def _yes_or_no(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return 0 and 1 (anything else: 0), and where an output of one value has either."""
    import tensorflow as tf

    given = tf.cast(y_true, y_pred.dtype)
    if y_pred.shape[-1] != 1:
        return given, None
    counted = tf.logical_and(given >= 0, given <= 1)
    flat = counted[..., 0] if len(given.shape) == len(y_pred.shape) else counted
    return tf.where(counted, given, tf.zeros_like(given)), flat


def _averaged(values: Any, counted: Any) -> Any:
    """Return the values that count, so scaled that their mean over all is the mean over those."""
    import tensorflow as tf

    share = tf.cast(tf.reshape(counted, tf.shape(values)), values.dtype)
    return values * share / tf.maximum(tf.reduce_mean(share), 1e-7)
