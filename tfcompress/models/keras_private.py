"""Every private name of Keras 3 and tf_keras that we use, in one place; nothing else may know one.

A release of Keras may change any of them without notice: then this module is what to mend. Where Keras has a public
way to the same, that is taken instead. Neither Keras is imported before a function that needs it is called.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from tfcompress.safety.allowed_classes import APPLICATION_LAYERS, Writer
from tfcompress.safety.configuration import Name

LayerClass = TypeVar("LayerClass", bound=type)


# The graph of a model


def has_graph(model: Any) -> bool:
    """Say whether a model that is not Sequential knows its graph of calls; a subclassed one doesn't."""
    return hasattr(model, "_nodes_by_depth")


def is_network(model: Any) -> bool:
    """Say whether a tf_keras model is functional or a built Sequential one."""
    return bool(model._is_graph_network)


def functional(model: Any) -> Any:
    """Return the functional model that computes a Keras 3 model: of a Sequential one that inside it, else itself."""
    import keras

    return model._functional if isinstance(model, keras.Sequential) else model


def nodes(function: Any) -> Iterator[Any]:
    """Give the nodes (calls) of a function or functional model of either Keras, in an order that can be run again.

    A node of Keras 3 has ``operation``, ``arguments``, ``outputs``, ``is_input``; one of tf_keras ``layer``,
    ``call_args``, ``call_kwargs``, ``outputs``.
    """
    by_depth = function._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from by_depth[depth]


def first_arguments(operation: Any) -> Any | None:
    """Return the ``arguments`` (``args``, ``kwargs``) of a Keras 3 operation's first call; None: it was not called."""
    return operation._inbound_nodes[0].arguments if operation._inbound_nodes else None


def forget_calls_(operation: Any) -> None:
    """Let a Keras 3 operation that was copied know none of the calls of the one that it was copied from."""
    operation._inbound_nodes, operation._outbound_nodes = [], []


def input_structure(model: Any) -> Any:
    """Return the symbolic inputs of a Keras 3 model, as they are nested."""
    return functional(model)._inputs_struct


def output_structure(model: Any) -> Any:
    """Return the symbolic outputs of a Keras 3 model, as they are nested."""
    return functional(model)._outputs_struct


def replayed(model: Any, inputs: Any, stand_in: Callable[[Any], Any]) -> Any:
    """Make the calls of a functional Keras 3 model again.

    Args:
        model: its graph is read.
        inputs: tensors, nested as the model's inputs are.
        stand_in: takes an operation of the model, gives what is called in its place.

    Returns:
        The outputs, nested as the model's are.
    """
    return model._run_through_graph(inputs, operation_fn=stand_in)


# Tensors


def has_origin(leaf: Any) -> bool:
    """Say whether something is a symbolic tensor that came out of a call or an input, in either Keras."""
    return hasattr(leaf, "_keras_history")


def origin(tensor: Any) -> Any:
    """Return the layer or operation that a symbolic tensor of either Keras comes from."""
    return getattr(tensor._keras_history, "layer", None) or tensor._keras_history.operation


def mask_of(tensor: Any) -> Any | None:
    """Return the mask that travels with a tensor of Keras 3; None: there is none."""
    return getattr(tensor, "_keras_mask", None)


# Layers


def all_layers(model: Any, *, itself: bool = False) -> list[Any]:
    """Return every layer in a model or layer, those inside others too; nested models are among them.

    Args:
        model: of either Keras.
        itself: whether it is the first of them.
    """
    return list(model._flatten_layers(include_self=itself))


def own_trainable_variables(layer: Any) -> list[Any]:
    """Return the variables that a Keras 3 layer made itself to be trained, frozen or not; not those of layers in it."""
    return list(layer._trainable_variables)


def track_(layer: Any, variable: Any) -> None:
    """Make a variable that exists already one of a Keras 3 layer's."""
    layer._track_variable(variable)


def build_shapes(model: Any) -> Mapping[str, Any]:
    """Return what a Keras 3 model was built for: ``x_shape`` for the argument ``x`` -> its shape; empty: it was not."""
    return getattr(model, "_build_shapes_dict", None) or {}


def lambda_output_shape(layer: Any) -> Any:
    """Return the ``output_shape`` that a Keras 3 Lambda was made with; its attribute of that name is what it gives."""
    return layer._output_shape


def attention_projections(layer: Any) -> dict[str, Any]:
    """Return the dense layers of a built attention over heads, MultiHeadAttention or GroupedQueryAttention of Keras 3.

    Returns:
        ``query``, ``key``, ``value``, ``output``, and ``gate`` where there is one.
    """
    found = {name: getattr(layer, f"_{name}_dense", None) for name in ("query", "key", "value", "gate", "output")}
    return {name: dense for name, dense in found.items() if dense is not None}


@contextlib.contextmanager
def overheard(layer: Any, heard: Callable[[Any], None]) -> Iterator[None]:
    """Have a function called with what a Keras 3 layer is called with, by a layer around it too, as long as this lasts.

    Args:
        layer: of one argument.
        heard: called with that argument, before the layer.
    """
    own = layer.call

    def call(inputs: Any, **options: Any) -> Any:
        heard(inputs)
        return own(inputs, **options)

    layer.call = call
    try:
        yield
    finally:
        del layer.call  # of the object: what its class has is there again


def adjusts_moments(layer_class: LayerClass) -> LayerClass:
    """Let a subclass of Keras 3's BatchNormalization change the batch's statistics before they are used.

    Its method ``adjusted_moments(mean, variance)`` takes both, of shape (channels,) with the other axes gone or of
    size 1, and gives what is normalized with and averaged. Keras has no public way between the two steps.
    """

    def moments(layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:
        adjusted: tuple[Any, Any] = layer.adjusted_moments(*own(layer, inputs, mask))
        return adjusted

    changed: Any = layer_class
    own, changed._moments = changed._moments, moments
    return layer_class


def hold_still_(layer: Any, variables: Iterable[Any]) -> None:
    """Let a tf_keras layer count variables of its own that it trains among those that it doesn't."""
    still = {id(variable): variable for variable in variables}
    layer._trainable_weights = [v for v in layer._trainable_weights if id(v) not in still]
    layer._non_trainable_weights.extend(still.values())


def weight_quantizers(wrapper: Any) -> list[tuple[Any, Any, Any]]:
    """Return what tfmot's ``QuantizeWrapper`` took from the tf_keras layer inside it.

    Returns:
        A weight, its quantizer and that one's variables each; nothing of any other layer.
    """
    return list(getattr(wrapper, "_weight_vars", ()))


# Where Keras keeps its classes


@functools.cache
def operation_classes() -> Mapping[str, Any]:
    """Return the classes of Keras 3 behind the functions of ``keras.ops``, by name: ``Add`` behind ``add``."""
    import keras
    from keras.src import ops

    found: dict[str, Any] = {}
    for each in pkgutil.iter_modules(ops.__path__, f"{ops.__name__}."):
        if not each.name.endswith("_test"):
            items = vars(importlib.import_module(each.name)).values()
            operations = (item for item in items if isinstance(item, type) and issubclass(item, keras.Operation))
            found = {item.__name__: item for item in operations} | found
    return found


def application_layers(names: Iterable[Name], writer: Writer) -> dict[str, Any]:
    """Return, by name, those of ``APPLICATION_LAYERS`` that a file names: an ``.h5`` does not say where from."""
    package = f"{'keras' if writer == 'keras3' else 'tf_keras'}.src.applications"
    named = {name.name for name in names} & set(APPLICATION_LAYERS)
    return {each: getattr(importlib.import_module(f"{package}.{APPLICATION_LAYERS[each]}"), each) for each in named}


def is_of_applications(layer: Any) -> bool:
    """Say whether a layer's class is one that ``keras.applications`` (Keras 3) has and does not export."""
    return type(layer).__module__.startswith("keras.src.applications")


def in_safe_mode() -> bool | None:
    """Say whether Keras 3 is reading a file in its safe mode; None: nobody has said."""
    from keras.src.saving import serialization_lib

    found: bool | None = serialization_lib.in_safe_mode()
    return found


def numpy_functions() -> Any:
    """Return the module in which Keras 3 keeps what its operations compute on TensorFlow."""
    return importlib.import_module("keras.src.backend.tensorflow.numpy")
