"""Operations of Keras 3 as ops that every TFLite runtime has.

``argmax`` and ``argmin`` distinguish -0.0 from 0.0, by way of the sign's bit: operations that no TFLite runtime has.
Every runtime takes the first of equal numbers, and -0.0 equals 0.0: only there is the answer another one.

``flip`` is REVERSE_V2, which few runtimes have for integers, and whose input and output the converter may give two
scales, between which the op does not convert (TensorFlow 2.21, before a CONCATENATION). A slice with the stride -1 has
neither fault.

``take``, and with it every Embedding, counts negative numbers from the end by way of SELECT, which TensorFlow Lite
Micro does not have, nor SELECT_V2 of whole numbers (0.dev20261023): the same sum is LESS, CAST, MUL and ADD. Numbers of
64 bits stay as they are: that runtime takes none, and older ones multiply none.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def plain_operations() -> Iterator[None]:
    """Have Keras 3 trace such functions as such ops; it is changed for as long as this lasts."""
    import tensorflow as tf

    from tfcompress.models.keras_private import numpy_functions

    backend = numpy_functions()
    before = {name: getattr(backend, name) for name in ("argmax", "argmin", "flip", "take")}
    try:
        for name in ("argmax", "argmin"):
            setattr(backend, name, _plain(getattr(tf, name), tf))
        backend.flip = functools.partial(_flipped, before["flip"], tf)
        backend.take = functools.partial(_taken, before["take"], tf)
        yield
    finally:
        for name, function in before.items():
            setattr(backend, name, function)


def _plain(function: Callable[..., Any], tf: Any) -> Callable[..., Any]:
    def plain(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        x = tf.convert_to_tensor(x)
        found = function(tf.reshape(x, [-1]) if axis is None else x, axis=axis or 0, output_type="int32")
        if not keepdims:
            return found
        return tf.reshape(found, [1] * len(x.shape)) if axis is None else tf.expand_dims(found, axis)

    return plain


def _flipped(plain: Callable[..., Any], tf: Any, x: Any, axis: Any = None) -> Any:
    """Turn the order along one axis round; along several, as *plain* does."""
    if not isinstance(axis, int):
        return plain(x, axis)
    x = tf.convert_to_tensor(x)
    return x[(slice(None),) * (axis % len(x.shape)) + (slice(None, None, -1),)]


def _taken(plain: Callable[..., Any], tf: Any, x: Any, indices: Any, axis: Any = None) -> Any:
    """Take what stands at places that may count from the end; where there is more to think of, as *plain*."""
    x = tf.convert_to_tensor(x)
    size = x.shape.num_elements() if axis is None else x.shape[axis]
    if size is None or isinstance(indices, tf.SparseTensor | tf.RaggedTensor):
        return plain(x, indices, axis)
    places = tf.convert_to_tensor(indices)
    if places.dtype != tf.int32:
        return plain(x, indices, axis)
    places += size * tf.cast(places < 0, places.dtype)
    return tf.gather(tf.reshape(x, [-1]) if axis is None else x, places, axis=axis or 0)
