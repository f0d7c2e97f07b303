"""Models that a student learns from: computed in the training step, or outside TensorFlow's graph and handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfcompress.distillation.pairs import named_tensors
from tfcompress.errors import TfcompressError
from tfcompress.models.signature import infer_outputs, signature_of
from tfcompress.models.specs import TensorSpec

OWN = "the model before compression"
"""What messages call the teacher that nobody named."""


class OutputForm(NamedTuple):
    """How a teacher gives one of its outputs.

    Attributes:
        shares: whether its classes are probabilities; None: as the student gives its own.
        order: for each of the student's classes its place among the teacher's; empty: the same order.
    """

    shares: bool | None = None
    order: tuple[int, ...] = ()


class Answers(NamedTuple):
    """What a teacher gives for a batch.

    Attributes:
        outputs: of shape (samples, ...), in the student's order of classes.
        layers: what the layers that were asked for give, of shape (samples, ..., channels).
    """

    outputs: list[Any]
    layers: list[Any]


class Teacher:
    """A frozen model, of which nothing is saved with the student; subclasses say how it is computed.

    Attributes:
        name: what messages call it.
        graph: its Keras 3 graph; None: only its outputs can be learnt from.
        in_graph: whether TensorFlow computes it within the training step.
        failure: what it could not answer a batch for; None: it always could. Out of a step, TensorFlow lets only its
            own errors through.
    """

    in_graph = True
    failure: TfcompressError | None = None

    def __init__(
        self, name: str, inputs: Sequence[str], forms: Sequence[OutputForm] = (), graph: Any | None = None
    ) -> None:
        """Describe the model.

        Args:
            name: what messages call it.
            inputs: names of its inputs.
            forms: how it gives each output; empty: as the student does.
            graph: its Keras 3 graph, if there is one.
        """
        self.name, self.graph = name, graph
        self._inputs, self._forms = tuple(inputs), tuple(forms)

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Return its outputs for tensors by its own names, then what the layers of these names give."""
        raise NotImplementedError

    def answers(self, inputs: Mapping[str, Any], layers: Sequence[str] = ()) -> Answers:
        """Return what it gives for a batch.

        Args:
            inputs: tensors of shape (samples, ...) by the names of the student's inputs.
            layers: names of layers of its graph.
        """
        given = dict(inputs)
        if len(self._inputs) == 1 == len(given):
            given = {self._inputs[0]: next(iter(given.values()))}
        found = self.compute(given, layers)
        split = len(found) - len(layers)
        return Answers([self._ordered(place, x) for place, x in enumerate(found[:split])], found[split:])

    def form(self, place: int) -> OutputForm:
        """Return how it gives an output, by its place."""
        return self._forms[place] if self._forms else OutputForm()

    def _ordered(self, place: int, outputs: Any) -> Any:
        order = self.form(place).order
        return keras.ops.take(outputs, np.asarray(order), axis=-1) if order else outputs


class TeacherInStep(Teacher):
    """A model that is called in the training step: of either Keras, or the path of a SavedModel."""

    def __init__(self, model: Any, name: str, forms: Sequence[OutputForm] = (), graph: Any | None = None) -> None:
        """Take a model that takes what the student takes; see :class:`Teacher` for the rest."""
        super().__init__(name, [spec.name for spec in signature_of(model).inputs], forms, graph)
        self._models: dict[tuple[str, ...], Any] = {(): model}

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Call the model, or one that gives layers as well."""
        if tuple(layers) not in self._models:
            self._models[tuple(layers)] = with_layers(self.graph, layers)
        return list(infer_outputs(self._models[tuple(layers)], inputs).values())


Compute = Callable[[Mapping[str, np.ndarray], Sequence[str]], list[np.ndarray]]
"""From inputs by the teacher's names, and names of layers, to outputs and what those layers give."""


class TeacherOutside(Teacher):
    """A model that Python runs in the middle of a step, which XLA then cannot compile.

    Its inputs are prepared by somebody's function, its outputs are kept, or it lives in another process.
    """

    in_graph = False

    def __init__(
        self,
        run: Compute,
        outputs: Sequence[TensorSpec],
        name: str,
        inputs: Sequence[str],
        forms: Sequence[OutputForm] = (),
        graph: Any | None = None,
    ) -> None:
        """Take what runs the model, and the specs of its outputs; see :class:`Teacher` for the rest."""
        super().__init__(name, inputs, forms, graph)
        self._run, self._outputs = run, tuple(outputs)

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Hand a batch out, and what comes of it in."""
        import tensorflow as tf

        names = list(inputs)

        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            try:
                found = self._run(dict(zip(names, arrays, strict=True)), layers)
            except TfcompressError as error:
                self.failure = error
                raise
            return [np.asarray(each, np.float32) for each in found]

        shapes = [spec.shape for spec in self._outputs]
        if layers:
            shapes += [tuple(tensor.shape[1:]) for tensor in named_tensors(self.graph, layers)]
        # Outside a graph, a single output comes without its list.
        found = tf.nest.flatten(tf.numpy_function(run, list(inputs.values()), [tf.float32] * len(shapes)))
        return [tf.ensure_shape(x, (None, *shape)) for x, shape in zip(found, shapes, strict=True)]


def with_layers(graph: Any, layers: Sequence[str]) -> Any:
    """Return a Keras 3 model of the same inputs that gives its outputs and then what layers give, by their names."""
    return keras.Model(graph.inputs, [*graph.outputs, *named_tensors(graph, layers)])


def own_teacher(model: Any) -> Teacher:
    """Return a Keras 3 model as the teacher of what it becomes."""
    return TeacherInStep(model, OWN, graph=model)
