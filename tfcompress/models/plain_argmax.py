"""``argmax`` and ``argmin`` of Keras 3 as the one op that TFLite has for each.

Keras 3 tells -0.0 from 0.0 in them, by way of the sign's bit: operations that no TFLite runtime has. Every runtime
takes the first of equal numbers, and -0.0 equals 0.0: only there is the answer another one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def plain_argmax() -> Iterator[None]:
    """Have Keras 3 trace ``argmax`` and ``argmin`` as one op each; it is changed for as long as this lasts."""
    import tensorflow as tf

    from tfcompress.models.keras_private import numpy_functions

    backend = numpy_functions()
    before = {name: getattr(backend, name) for name in ("argmax", "argmin")}
    try:
        for name in before:
            setattr(backend, name, _plain(getattr(tf, name), tf))
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
