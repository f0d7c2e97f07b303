"""What one element of a data set holds, read as ``keras.Model.fit`` reads it.

An element is ``x``, ``(x, y)`` or ``(x, y, sample_weight)``. Each part is an array, a dict of arrays by name, or a list
or tuple of arrays in the order of the model's inputs or outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data.raw import Stored
from tfcompress.errors import DataError

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature, TensorSpec


def as_array(value: Any, where: str) -> np.ndarray:
    """Return *value* as an array.

    Raises:
        DataError: a list with parts of different lengths, a sample without a label (None), or other objects.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        msg = f"data: {where} must be an array of numbers, got {type(value).__name__} ({error})"
        raise DataError(msg) from error
    if array.dtype.hasobject:
        if array.size and all(isinstance(part, str) for part in array.flat):
            return array.astype(np.str_)
        if array.size and all(isinstance(part, bytes) for part in array.flat):
            return array.astype(np.bytes_)
        absent = [row for row, part in enumerate(array) if part is None] if array.ndim == 1 else []
        if absent:
            msg = f"data: {where} holds None at sample {absent[0]:,}; give it a value or drop such samples"
            raise DataError(msg)
        msg = f"data: {where} must be an array of numbers, got Python objects; convert it with .astype('float32')"
        raise DataError(msg)
    return array


def unpacked(element: Any, where: str) -> tuple[Any, Any, Any]:
    """Return the inputs, the labels (or None) and the sample weights (or None) of an element.

    Raises:
        DataError: more than three parts, or weights without labels.
    """
    if not isinstance(element, tuple):
        return element, None, None
    if not 1 <= len(element) <= 3:
        msg = f"data: {where} must give x, (x, y) or (x, y, sample_weight), it gives {len(element)} parts"
        raise DataError(msg)
    x, y, weights = (*element, None, None)[:3]
    if weights is not None and y is None:
        msg = f"data: {where} gives sample weights without labels, which weigh nothing; give labels or leave them out"
        raise DataError(msg)
    return x, y, weights


def is_listed(value: Any) -> bool:
    """Tell a list of arrays, which may be one for each input, from numbers in nested lists."""
    return isinstance(value, list | tuple) and bool(value) and all(hasattr(part, "__array__") for part in value)


def by_name(value: Any, specs: Sequence[TensorSpec], where: str, *, batched: bool) -> dict[str, Any]:
    """Give each part of *value* the name of the input or output it is for; ``""`` where there is only one.

    Args:
        value: an array, a dict by name, or a list in the order of *specs*.
        specs: the model's inputs or outputs.
        where: what messages call the value.
        batched: whether it holds many samples; a list of arrays then holds samples where there is one input.

    Raises:
        DataError: a list that has not one array for each.
    """
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if not is_listed(value):
        return {"": value}
    if len(specs) == 1:
        alone = len(value) == 1 and (not batched or np.ndim(value[0]) > len(specs[0].shape))
        return {"": value[0] if alone else value}
    if len(value) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        msg = f"data: {where} must be a list of {len(specs)} arrays, for {names} in this order, got {len(value)}"
        raise DataError(msg)
    return {spec.name: part for spec, part in zip(specs, value, strict=True)}


def stored(element: Any, signature: Signature, name: str) -> Stored:
    """Return an element as arrays by name, copied.

    Raises:
        DataError: parts that are no arrays of numbers, or not as many as the model has inputs.
    """
    x, y, weights = unpacked(element, name)
    inputs = _copied(by_name(x, signature.inputs, f"x of {name}", batched=False), f"x of {name}")
    return Stored(inputs, _labels(y, signature, f"y of {name}"), _labels(weights, signature, f"weights of {name}"))


def _labels(value: Any, signature: Signature, where: str) -> np.ndarray | dict[str, np.ndarray] | None:
    if value is None:
        return None
    named = _copied(by_name(value, signature.outputs, where, batched=False), where)
    return named[""] if set(named) == {""} else named


def _copied(named: Mapping[str, Any], where: str) -> dict[str, np.ndarray]:
    return {name: np.array(as_array(part, f"{where}.{name}" if name else where)) for name, part in named.items()}
