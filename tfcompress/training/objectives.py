"""What trains each output: the loss of its task, a Keras loss by its name, or the distance to the float model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.models.graph import last_activation
from tfcompress.tasks.classification import are_probabilities
from tfcompress.tasks.task_table import said_task, trained_by
from tfcompress.training.named_losses import fits, named_loss
from tfcompress.training.targets import own_tasks, taught_outputs

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.models.specs import TensorSpec
    from tfcompress.tasks.task import Task
    from tfcompress.train_settings import Train

TEMPERATURE = 4.0
"""By which class scores are softened where the float model's outputs stand in for labels, unless a stage says so."""

_BY_ACTIVATION = {"sigmoid": "sigmoid", "unitnormalization": "directions"}


@dataclass(frozen=True)
class Objective:
    """What trains one output.

    Attributes:
        loss: a Keras loss.
        metrics: what the history records beside it.
        words: what the loss is, for people.
        taught: whether the float model's outputs are the target.
    """

    loss: Any
    metrics: list[Any]
    words: str
    taught: bool = False


def objectives(
    data: BoundData, train: Train, outputs: Mapping[str, np.ndarray], teacher: Any, keras: Any, temperature: float
) -> dict[str, Objective]:
    """Choose what trains each output that has labels, or can learn from the float model.

    Args:
        data: the bound data; its training split is what counts.
        train: says losses by name, where it does.
        outputs: the float model's outputs on a few samples by name, shape (n, ..., k).
        teacher: the float model.
        keras: the module ``keras`` or ``tf_keras``.
        temperature: softens what is learnt from the float model.

    Returns:
        By output name, in the model's order.

    Raises:
        RecipeError: a loss that this Keras does not have.
    """
    tasks, taught = own_tasks(data), taught_outputs(data)
    found = {}
    for spec in data.signature.outputs:
        own, name = outputs[spec.name], train.loss_of(spec.name)
        if spec.name in taught:
            found[spec.name] = _taught(kind_of_output(data, teacher, spec.name, own), own, keras, temperature)
        elif spec.name in tasks:
            task = tasks[spec.name]
            if name == "auto":
                found[spec.name] = _by_itself(spec, task, own, keras)
            else:
                loss = named_loss(name, task, own, keras)
                found[spec.name] = Objective(loss, task.metrics(own, keras), _name_of(loss))
    return found


def _by_itself(spec: TensorSpec, task: Task, own: np.ndarray, keras: Any) -> Objective:
    """Return the loss that the model was compiled with where it goes with the task, else the task's own."""
    traits, loss, metrics = spec.traits, task.loss(own, keras), task.metrics(own, keras)
    if traits.loss is None or (type(loss).__name__ == traits.loss and not traits.loss_settings):
        return Objective(loss, metrics, _name_of(loss))
    if not fits(traits.loss, spec, task):
        return Objective(loss, metrics, f"{_name_of(loss)} (not {traits.loss}, which no {task.name} is trained by)")
    if traits.loss == f"Sparse{type(loss).__name__}":
        return Objective(loss, metrics, f"{_name_of(loss)} (not {traits.loss}, which takes class numbers, no shares)")
    compiled = named_loss(traits.loss, task, own, keras, traits.loss_settings)
    settings = "".join(f", {key} {value:g}" for key, value in traits.loss_settings.items())
    return Objective(compiled, metrics, f"{_name_of(compiled)}{settings} (which the model was compiled with)")


def _name_of(loss: Any) -> str:
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))


def kind_of_output(data: BoundData, teacher: Any, name: str, own: np.ndarray) -> str:
    """Return what an output is to a model that learns from it: a key of ``tfcompress.distillation.distances.WORDS``.

    The task decides where it is known: by the user, or inferred from labels of another split or from the loss that
    the model was compiled with. Else the last activation.

    Args:
        data: the bound data.
        teacher: the float model.
        name: of the output.
        own: its values on a few samples, shape (n, ..., k).
    """
    names = [spec.name for spec in data.signature.outputs]
    telling = data.signature.outputs[names.index(name)].traits.telling_loss
    known = said_task(data.dataset.labelling, name) or data.tasks.get(name)
    task = known or (None if telling is None else trained_by(telling))
    teaching = None if task is None else task.teaching
    if teaching in ("numbers", "directions"):
        return teaching
    activation = last_activation(teacher.outputs[names.index(name)])
    several = own.ndim > 1 and own.shape[-1] > 1
    if several and (activation == "softmax" or (activation != "sigmoid" and are_probabilities(own))):
        return "softmax"
    if activation in _BY_ACTIVATION:
        return _BY_ACTIVATION[activation]
    return teaching_of(task, own) if task else "numbers"


def teaching_of(task: Task, own: np.ndarray) -> str:
    """Return what outputs of a task are, given some of shape (n, ..., k): one value for two classes is a yes or no."""
    return "binary logits" if task.teaching == "logits" and own.shape[-1] == 1 else task.teaching


def _taught(kind: str, own: np.ndarray, keras: Any, temperature: float) -> Objective:
    from tfcompress.distillation.distances import SOFTENED, WORDS

    softened = f" at temperature {temperature:g}" if kind in SOFTENED else ""
    scaled = " over the variance of the outputs" if kind == "numbers" else ""
    words = f"{WORDS[kind]} from the float model's{softened}{scaled}"
    return Objective(distance(kind, own, keras, temperature), _agreement(kind, keras), words, taught=True)


def spread_of(own: np.ndarray) -> float:
    """Return the variance of outputs, (samples, ..., k) or (samples,), the mean over the last axis; 1 without any."""
    spread = float(np.var(own.reshape(-1, *own.shape[1:][-1:]), axis=0).mean())
    return spread if spread > 0 else 1.0


def distance(kind: str, own: np.ndarray, keras: Any, temperature: float) -> Any:
    """Return the loss of an output that learns from the float model's own.

    Args:
        kind: what the output is, a key of ``tfcompress.distillation.distances.WORDS``.
        own: the float model's on a few samples, shape (n, ..., k), for the scale of numbers.
        keras: the module ``keras`` or ``tf_keras``.
        temperature: softens classes.
    """
    from tfcompress.distillation.distances import distances

    scale = 1.0 / spread_of(own) if kind == "numbers" else 1.0

    class FromTheFloatModel(keras.losses.Loss):  # type: ignore[misc]  # of either Keras
        """The distance to the float model's outputs; *teaching* says what the outputs are to a distilling model."""

        teaching = kind

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return scale * distances(kind, y_true, y_pred, temperature)

    return FromTheFloatModel(name="from_the_float_model")


def _agreement(kind: str, keras: Any) -> list[Any]:
    """Return the metric of how often the answer is the float model's."""
    threshold = {"sigmoid": 0.5, "binary logits": 0.0}.get(kind)
    if threshold is not None:

        def same_answer(y_true: Any, y_pred: Any) -> Any:
            import tensorflow as tf

            same = tf.equal(tf.greater(y_true, threshold), tf.greater(y_pred, threshold))
            return tf.reduce_mean(tf.cast(same, tf.float32), axis=-1)

        return [keras.metrics.MeanMetricWrapper(same_answer, name="agreement")]
    if kind in ("softmax", "logits"):
        return [keras.metrics.MeanMetricWrapper(keras.metrics.categorical_accuracy, name="agreement")]
    return []


def said_of(found: Mapping[str, Objective]) -> str:
    """Return in one line what trains which output."""
    if len(found) == 1:
        return next(iter(found.values())).words
    return ", ".join(f"{name}: {each.words}" for name, each in found.items())
