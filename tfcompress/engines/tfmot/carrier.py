"""A Keras 3 model that runs a tf_keras graph: Keras 3's ``fit``, optimizers, losses and callbacks on tfmot's model.

Every variable of the graph is seen by Keras 3 through a ``keras.Variable`` that holds the very same ``tf.Variable``, as
Keras's own ``TFSMLayer`` does it; so there is one copy of the weights, and both sides see every change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfcompress.errors import UsageError
from tfcompress.models import keras_private
from tfcompress.models.specs import unique_names


class CarriedGraph(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Runs a whole tf_keras model as one Keras 3 layer.

    Attributes:
        graph: the tf_keras model.
    """

    def __init__(self, graph: Any, name: str) -> None:
        """Show the variables of *graph* to Keras 3."""
        super().__init__(name=name, dtype="float32", autocast=False)
        self.graph = graph
        # tfmot's graph assigns its variables and looks into tf.cond: XLA has no compiled form for parts of that.
        self.supports_jit = False
        trained = {id(variable) for variable in graph.trainable_variables}
        for variable in _once(graph.weights):
            keras_private.track_(self, _seen_from_keras3(variable, trainable=id(variable) in trained))
        self.built = True

    def call(self, inputs: list[Any], training: bool | None = None) -> list[Any]:
        """Run the graph.

        Args:
            inputs: a tensor of shape (batch, …) for each of the graph's inputs, in its order.
            training: as everywhere in Keras; None: inference.

        Returns:
            A tensor for each of the graph's outputs, in its order.
        """
        fed = inputs if len(inputs) > 1 else inputs[0]
        outputs: list[Any] = tf.nest.flatten(self.graph(fed, training=bool(training)))
        for loss in self.graph.losses:
            self.add_loss(loss)
        return outputs

    def compute_output_spec(self, inputs: list[Any], training: bool | None = None) -> list[Any]:
        """Return the graph's output shapes, without running it."""
        return [keras.KerasTensor(tuple(t.shape), dtype=t.dtype.name) for t in self.graph.outputs]

    def get_config(self) -> dict[str, Any]:
        """Refuse: a file of this layer could not be read again.

        Raises:
            UsageError: always, saying what to do.
        """
        msg = (
            "a Keras 3 model that runs tfmot's graph cannot be saved or cloned as a whole: job.finish() gives a plain "
            "one; with QAT export it, keep model.tfcompress_graph.save('….h5'), or save_weights('….weights.h5')"
        )
        raise UsageError(msg)


def _once(variables: list[Any]) -> list[Any]:
    return list({id(variable): variable for variable in variables}.values())


def _seen_from_keras3(variable: Any, *, trainable: bool) -> Any:
    name = unique_names([variable.name.removesuffix(":0")])[0]
    seen = keras.Variable(variable, dtype=variable.dtype.name, trainable=trainable, name=name)
    if variable.constraint is not None:
        seen.constraint = _on_tensors(variable.constraint)
    return seen


def _on_tensors(constraint: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a constraint of tf_keras take a variable of Keras 3."""
    return lambda weights: constraint(tf.convert_to_tensor(weights))


def carrier_model(graph: Any, like: Any) -> Any:
    """Return a Keras 3 model that runs *graph* and is fed and read as *like* is.

    Args:
        graph: a tf_keras model with the inputs and outputs of *like*, in its order.
        like: a Keras 3 functional or Sequential model; names and structures (a list, a dict by name) are taken from it.

    Returns:
        A functional Keras 3 model; its attribute ``tfcompress_graph`` is *graph*.
    """
    fed = like.inputs[0] if isinstance(like, keras.Sequential) else like.input
    inputs = keras.tree.map_structure(lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), fed)
    by_name = {t.name: t for t in keras.tree.flatten(inputs)}
    flat = CarriedGraph(graph, name=f"{graph.name}_graph")([by_name[t.name] for t in like.inputs])
    names = unique_names(keras_private.origin(t).name for t in like.outputs)
    named = zip(_apart(names, by_name), flat, strict=True)
    outputs = [keras.layers.Identity(name=name, dtype=t.dtype)(t) for name, t in named]
    given = like.outputs[0] if isinstance(like, keras.Sequential) else like.output
    model = keras.Model(inputs, keras.tree.pack_sequence_as(given, outputs), name=like.name)
    model.tfcompress_graph = graph
    return model


def _apart(names: list[str], taken: dict[str, Any]) -> list[str]:
    """Rename outputs that are called like an input (a model that passes one on): layers need names of their own."""
    return [f"{name}_output" if name in taken else name for name in names]
