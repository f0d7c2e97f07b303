"""Operations that are not layers (``x + 1``, ``tf.concat``, ``keras.ops.mean``): what they become in the other Keras.

An operation that the other Keras has too becomes that; any other stays what it is, inside a layer that runs it:
``keras2_layers.KerasOperation`` or ``keras3_layers.TensorFlowOperation``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tfcompress.errors import UnsupportedError
from tfcompress.models.call_template import Template
from tfcompress.models.keras_private import has_origin, origin

_XY = {"x": "x1", "y": "x2"}
_REDUCE = {"input_tensor": "x", "axis": "axis", "keepdims": "keepdims"}

KERAS_OPS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "__operators__.add": ("add", _XY),
    "math.add": ("add", _XY),
    "math.subtract": ("subtract", _XY),
    "math.multiply": ("multiply", _XY),
    "math.truediv": ("true_divide", _XY),
    "math.divide": ("true_divide", _XY),
    "math.pow": ("power", _XY),
    "math.maximum": ("maximum", _XY),
    "math.minimum": ("minimum", _XY),
    "math.negative": ("negative", {"x": "x"}),
    "math.abs": ("absolute", {"x": "x"}),
    "math.square": ("square", {"x": "x"}),
    "math.sqrt": ("sqrt", {"x": "x"}),
    "math.rsqrt": ("rsqrt", {"x": "x"}),
    "math.exp": ("exp", {"x": "x"}),
    "math.log": ("log", {"x": "x"}),
    "math.tanh": ("tanh", {"x": "x"}),
    "math.sigmoid": ("sigmoid", {"x": "x"}),
    "nn.relu": ("relu", {"features": "x"}),
    "nn.relu6": ("relu6", {"features": "x"}),
    "math.reduce_mean": ("mean", _REDUCE),
    "math.reduce_sum": ("sum", _REDUCE),
    "math.reduce_max": ("max", _REDUCE),
    "math.reduce_min": ("min", _REDUCE),
    "concat": ("concatenate", {"values": "xs", "axis": "axis"}),
    "reshape": ("reshape", {"tensor": "x", "shape": "newshape"}),
    "transpose": ("transpose", {"a": "x", "perm": "axes"}),
    "expand_dims": ("expand_dims", {"input": "x", "axis": "axis"}),
    "squeeze": ("squeeze", {"input": "x", "axis": "axis"}),
    "linalg.matmul": ("matmul", {"a": "x1", "b": "x2"}),
    "clip_by_value": ("clip", {"t": "x", "clip_value_min": "x_min", "clip_value_max": "x_max"}),
}
"""TensorFlow function -> the function of ``keras.ops`` that computes the same, and the names of its arguments.

A call with an argument that is not listed (but the name) keeps the TensorFlow function.
"""

OP_LAYERS: Mapping[str, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    "Add": lambda _: ("Add", {}),
    "Multiply": lambda _: ("Multiply", {}),
    "Maximum": lambda _: ("Maximum", {}),
    "Minimum": lambda _: ("Minimum", {}),
    "Concatenate": lambda op: ("Concatenate", {"axis": op.axis}),
    "Relu": lambda _: ("ReLU", {}),
    "Relu6": lambda _: ("ReLU", {"max_value": 6.0}),
}
"""Operation of Keras 3 -> the tf_keras layer that computes the same; tfmot knows what to do with a layer."""

TENSORFLOW_LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda"})
"""Classes of tf_keras's layers around one TensorFlow function."""


def _slices(argument: Any) -> Any:
    """Turn tf_keras's ``{"start": …, "stop": …, "step": …}`` back into slices."""
    if isinstance(argument, dict) and set(argument) == {"start", "stop", "step"}:
        return slice(argument["start"], argument["stop"], argument["step"])
    if isinstance(argument, list | tuple):
        return tuple(_slices(item) for item in argument)
    return argument


def tensorflow_to_keras3(layer: Any, args: Any, kwargs: Mapping[str, Any], name: str) -> Any:
    """Make the call of a tf_keras layer around a TensorFlow function again on Keras 3 tensors.

    Args:
        layer: the tf_keras layer.
        args: positional arguments, with Keras 3 tensors in place of tf_keras's.
        kwargs: keyword arguments, likewise.
        name: what to call the operation.

    Raises:
        UnsupportedError: a function outside TensorFlow's public interface.
    """
    import keras

    from tfcompress.models.keras3_layers import TensorFlowOperation

    if layer.symbol is None:
        msg = f"layer {layer.name!r} calls {layer.function!r}, which is not part of TensorFlow's public interface"
        raise UnsupportedError(msg)
    if type(layer).__name__ == "SlicingOpLambda":
        arguments = inspect.signature(layer.function).bind(*args, **kwargs).arguments
        outputs = arguments["tensor"][_slices(arguments["slice_spec"])]
    else:
        equivalent = _equivalent(layer, args, kwargs)
        if equivalent is None:
            named = {key: value for key, value in kwargs.items() if key != "name"}
            template, tensors = Template.of(args, named, lambda leaf: isinstance(leaf, keras.KerasTensor))
            return TensorFlowOperation(layer.symbol, template, name=name)(tensors)
        outputs = equivalent
    origin(outputs).name = name
    return outputs


def _equivalent(layer: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    import keras

    function, names = KERAS_OPS.get(layer.symbol, ("", {}))
    if not function:
        return None
    signature = inspect.signature(layer.function)
    given = {k: v for k, v in signature.bind(*args, **kwargs).arguments.items() if k != "name"}
    extra = {k for k, v in given.items() if k not in names and v != signature.parameters[k].default}
    if extra:
        return None
    dtypes = [v.dtype for v in given.values() if isinstance(v, keras.KerasTensor)]
    arguments = {names[k]: v for k, v in given.items() if k in names}
    for operand in ("x1", "x2"):  # a file holds a constant tensor as lists
        if isinstance(arguments.get(operand), list):
            arguments[operand] = keras.ops.convert_to_tensor(arguments[operand], dtype=dtypes[0])
    return getattr(keras.ops, function)(**arguments)


def operation_to_keras2(operation: Any, args: Any, kwargs: Any, name: str) -> Any:
    """Make the call of a Keras 3 operation again on tf_keras tensors.

    Args:
        operation: the Keras 3 operation.
        args: positional arguments, with tf_keras tensors in place of Keras 3's.
        kwargs: keyword arguments, likewise.
        name: what to call the layer.
    """
    import tf_keras

    from tfcompress.models.keras2_layers import KerasOperation

    template, tensors = Template.of(args, kwargs, has_origin)
    if _is_layer_call(operation, args, kwargs, tensors):
        layer_class, options = OP_LAYERS[type(operation).__name__](operation)
        return getattr(tf_keras.layers, layer_class)(**options, name=name)(tensors if len(tensors) > 1 else tensors[0])
    return KerasOperation(operation, template, name=name)(tensors)


def _is_layer_call(operation: Any, args: Any, kwargs: Any, tensors: list[Any]) -> bool:
    """Say whether a layer computes the same: only tensors are given, of one shape where they are merged one by one."""
    kind = type(operation).__name__
    if kind not in OP_LAYERS or kwargs or not tensors:
        return False
    if kind == "Concatenate":
        return len(args) == 1 and len(args[0]) == len(tensors) > 1
    return len(args) == len(tensors) and all(t.shape == tensors[0].shape for t in tensors)


def operation_to_keras3(layer: Any, args: Any, name: str) -> Any:
    """Make the Keras 3 operation that a tf_keras layer runs again on Keras 3 tensors: the way back."""
    from tfcompress.models.call_template import leaves

    filled_args, filled_kwargs = layer.template.fill(leaves(args))
    try:
        operation = type(layer.operation).from_config(layer.operation.get_config())
    except NotImplementedError:  # an operation that cannot be described: both models share it
        operation = layer.operation
    operation.name = name
    return operation(*filled_args, **filled_kwargs)


def tensorflow_to_keras2(layer: Any, args: Any) -> Any:
    """Make the TensorFlow function that a Keras 3 layer runs again on tf_keras tensors: the way back."""
    from tfcompress.models.call_template import leaves

    filled_args, filled_kwargs = layer.template.fill(leaves(args))
    return layer.function(*filled_args, **filled_kwargs)
