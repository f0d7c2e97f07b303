"""Models that a student learns from: computed in the training step, or outside TensorFlow's graph and handed in.

Python within a step never runs TensorFlow's graphs: it holds one of the threads that would have to compute them, and
on a machine of one core there is no other. What TensorFlow computes is therefore always a part of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfcompress.distillation.kept_answers import KeptAnswers
from tfcompress.distillation.pairs import named_tensors
from tfcompress.errors import TfcompressError
from tfcompress.models.kinds import graph_of
from tfcompress.models.signature import signature_of
from tfcompress.models.specs import TensorSpec
from tfcompress.models.wiring import infer_outputs, wire

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
        in_graph: whether TensorFlow computes all of it within the training step.
    """

    in_graph = True

    def __init__(self, name: str, forms: Sequence[OutputForm] = (), graph: Any | None = None) -> None:
        """Describe the model.

        Args:
            name: what messages call it.
            forms: how it gives each output; empty: as the student does.
            graph: its Keras 3 graph, if there is one.
        """
        self.name, self.graph = name, graph
        self._forms = tuple(forms)
        self._failure: TfcompressError | None = None

    @property
    def failure(self) -> TfcompressError | None:
        """What it could not answer a batch for; None: it always could.

        Out of a step, TensorFlow lets only its own errors through.
        """
        return self._failure

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Return its outputs for tensors by the student's names, then what the layers of these names give."""
        raise NotImplementedError

    def answers(self, inputs: Mapping[str, Any], layers: Sequence[str] = ()) -> Answers:
        """Return what it gives for a batch.

        Args:
            inputs: tensors of shape (samples, ...) by the names of the student's inputs.
            layers: names of layers of its graph.
        """
        found = self.compute(inputs, layers)
        split = len(found) - len(layers)
        return Answers([self._ordered(place, x) for place, x in enumerate(found[:split])], found[split:])

    def form(self, place: int) -> OutputForm:
        """Return how it gives an output, by its place."""
        return self._forms[place] if self._forms else OutputForm()

    def _ordered(self, place: int, outputs: Any) -> Any:
        order = self.form(place).order
        return keras.ops.take(outputs, np.asarray(order), axis=-1) if order else outputs

    def _handed_out(self, run: Callable[..., Any], tensors: Sequence[Any], dtypes: Sequence[Any]) -> list[Any]:
        """Return what Python makes of tensors in the middle of a step; an error of ours is kept in :attr:`failure`."""
        import tensorflow as tf

        def told(*arrays: np.ndarray) -> Any:
            try:
                return run(*arrays)
            except TfcompressError as error:
                self._failure = error
                raise

        # Outside a graph, a single result comes without its list.
        return list(tf.nest.flatten(tf.numpy_function(told, list(tensors), list(dtypes))))


class TeacherInStep(Teacher):
    """A model that is called in the training step: of either Keras, or the path of a SavedModel."""

    def __init__(self, model: Any, name: str, forms: Sequence[OutputForm] = (), graph: Any | None = None) -> None:
        """Take a model that takes what the student takes; see :class:`Teacher` for the rest."""
        self._wiring = wire(graph_of(model))
        super().__init__(name, forms, graph)
        self._models: dict[tuple[str, ...], Any] = {(): model}

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Call the model, or one that gives layers as well."""
        import tensorflow as tf

        if tuple(layers) not in self._models:
            self._models[tuple(layers)] = with_layers(self.graph, layers)
        model, batch = self._models[tuple(layers)], self._wiring.batch
        specs = self._wiring.inputs
        named = inputs if len(specs) > 1 else {specs[0].name: next(iter(inputs.values()))}
        given = {spec.name: tf.cast(named[spec.name], spec.dtype) for spec in specs}
        if batch is None:
            return list(infer_outputs(model, given).values())
        shapes = [spec.shape for spec in signature_of(self._models[()]).outputs]
        shapes += [tuple(tensor.shape[1:]) for tensor in (named_tensors(self.graph, layers) if layers else ())]
        return _in_batches(model, given, batch, shapes)


def _in_batches(model: Any, inputs: Mapping[str, Any], size: int, shapes: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run a model that takes *size* samples at a time on any number of them; the last sample fills the last batch.

    Args:
        model: as for :func:`~tfcompress.models.wiring.infer_outputs`.
        inputs: tensors of shape (samples, ...) by name.
        size: of its batch.
        shapes: of what it gives, without the samples.

    Returns:
        What it gives, float32, shape (samples, ...) each.
    """
    import tensorflow as tf

    samples = tf.shape(next(iter(inputs.values())))[0]
    batches = -(-samples // size)
    places = tf.minimum(tf.range(batches * size), samples - 1)
    pieces = {
        name: tf.reshape(tf.gather(x, places), tf.concat([[batches, size], tf.shape(x)[1:]], axis=0))
        for name, x in inputs.items()
    }

    def run(piece: Mapping[str, Any]) -> list[Any]:
        batch = {name: tf.ensure_shape(x, (size, *inputs[name].shape[1:])) for name, x in piece.items()}
        return [tf.cast(x, "float32") for x in infer_outputs(model, batch).values()]

    given = [tf.TensorSpec((size, *shape), "float32") for shape in shapes]
    found = tf.map_fn(run, pieces, fn_output_signature=given)
    whole = [tf.reshape(x, tf.concat([[batches * size], tf.shape(x)[2:]], axis=0))[:samples] for x in found]
    return [tf.ensure_shape(x, (None, *shape)) for x, shape in zip(whole, shapes, strict=True)]


class TeacherOfPrepared(Teacher):
    """A teacher whose inputs are made of the student's by somebody's function, on arrays."""

    in_graph = False

    def __init__(
        self,
        teacher: Teacher,
        prepare: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        prepared: Sequence[TensorSpec],
        forms: Sequence[OutputForm] = (),
    ) -> None:
        """Take a teacher and what it takes.

        Args:
            teacher: computes what is prepared.
            prepare: from a batch by the names of the student's inputs to one by those of *prepared*.
            prepared: what that gives.
            forms: see :class:`Teacher`.
        """
        super().__init__(teacher.name, forms, teacher.graph)
        self._teacher, self._prepare, self._prepared = teacher, prepare, tuple(prepared)

    @property
    def failure(self) -> TfcompressError | None:
        """What could not be prepared or answered."""
        return self._failure or self._teacher.failure

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Hand a batch out, and compute what comes of it in."""
        names = list(inputs)

        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            made = self._prepare(dict(zip(names, arrays, strict=True)))
            return [np.asarray(made[spec.name], spec.dtype) for spec in self._prepared]

        found = self._handed_out(run, list(inputs.values()), [spec.dtype for spec in self._prepared])
        given = {spec.name: _shaped(x, spec) for spec, x in zip(self._prepared, found, strict=True)}
        return self._teacher.compute(given, layers)


Compute = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
"""From inputs by the student's names to outputs; it must not run TensorFlow in this process."""


class TeacherOutside(Teacher):
    """A model in another process, to which a batch is handed in the middle of a step; XLA cannot compile that."""

    in_graph = False

    def __init__(
        self, run: Compute, outputs: Sequence[TensorSpec], name: str, forms: Sequence[OutputForm] = ()
    ) -> None:
        """Take what runs the model, and the specs of its outputs; see :class:`Teacher` for the rest."""
        super().__init__(name, forms)
        self._run, self._outputs = run, tuple(outputs)

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Hand a batch out, and what comes of it in."""
        names = list(inputs)

        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            return [np.asarray(each, np.float32) for each in self._run(dict(zip(names, arrays, strict=True)))]

        found = self._handed_out(run, list(inputs.values()), ["float32"] * len(self._outputs))
        return [_shaped(x, spec) for x, spec in zip(found, self._outputs, strict=True)]


class TeacherKept(Teacher):
    """A teacher whose outputs are kept, and computed only of samples that are not known yet."""

    in_graph = False

    def __init__(
        self,
        teacher: Teacher,
        kept: KeptAnswers,
        outputs: Sequence[TensorSpec],
        forms: Sequence[OutputForm] = (),
    ) -> None:
        """Take a teacher, what is kept of it, and the specs of its outputs, of fixed sizes."""
        super().__init__(teacher.name, forms, teacher.graph)
        self._teacher, self._kept, self._outputs = teacher, kept, tuple(outputs)

    @property
    def failure(self) -> TfcompressError | None:
        """What could not be kept or answered."""
        return self._failure or self._teacher.failure

    def compute(self, inputs: Mapping[str, Any], layers: Sequence[str]) -> list[Any]:
        """Look a batch up, and compute and keep it where any of it is not known; what layers give is not kept."""
        import tensorflow as tf

        if layers:
            return self._teacher.compute(inputs, layers)
        names, tensors = list(inputs), list(inputs.values())

        def look_up(*arrays: np.ndarray) -> list[np.ndarray]:
            found = self._kept.look_up(dict(zip(names, arrays, strict=True)))
            if found is None:
                shapes = [(len(arrays[0]), *map(int, spec.shape)) for spec in self._outputs]  # type: ignore[arg-type]
                return [np.array(False), *(np.zeros(shape, np.float32) for shape in shapes)]
            return [np.array(True), *found]

        def keep(*arrays: np.ndarray) -> list[np.ndarray]:
            given, found = arrays[: len(names)], list(arrays[len(names) :])
            self._kept.keep(dict(zip(names, given, strict=True)), found)
            return found

        def computed() -> list[Any]:
            found = [tf.cast(x, "float32") for x in self._teacher.compute(inputs, ())]
            return shaped(self._handed_out(keep, [*tensors, *found], ["float32"] * len(found)))

        def shaped(found: Sequence[Any]) -> list[Any]:
            return [_shaped(x, spec) for x, spec in zip(found, self._outputs, strict=True)]

        known, *found = self._handed_out(look_up, tensors, ["bool", *["float32"] * len(self._outputs)])
        return list(tf.cond(tf.ensure_shape(known, ()), lambda: shaped(found), computed))


def _shaped(tensor: Any, spec: TensorSpec) -> Any:
    """Return a tensor that came out of Python with the shape that it is known to have."""
    import tensorflow as tf

    return tf.ensure_shape(tensor, (None, *spec.shape))


def with_layers(graph: Any, layers: Sequence[str]) -> Any:
    """Return a Keras 3 model of the same inputs that gives its outputs and then what layers give, by their names."""
    return keras.Model(graph.inputs, [*graph.outputs, *named_tensors(graph, layers)])


def own_teacher(model: Any) -> Teacher:
    """Return a Keras 3 model as the teacher of what it becomes."""
    return TeacherInStep(model, OWN, graph=model)
