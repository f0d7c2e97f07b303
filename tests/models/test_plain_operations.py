"""tfcompress.models.plain_operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.models.plain_operations import plain_operations

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
ops = keras.ops

VALUES = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)


def traced(function: Callable[..., Any], *arrays: np.ndarray) -> tuple[np.ndarray, set[str]]:
    """Return what a function gives where it is traced for a file, and the kinds of ops that it became."""
    graph = tf.function(function, autograph=False)
    with plain_operations():
        made = graph.get_concrete_function(*[tf.TensorSpec(array.shape, array.dtype) for array in arrays])
    return made(*map(tf.constant, arrays)).numpy(), {op.type for op in made.graph.get_operations()}


@settings(max_examples=30)
@given(st.data(), st.sampled_from([None, 0, 1, 2, -1, -2]), st.sampled_from(["int32", "int64"]))
def test_what_is_taken_is_what_numpy_takes_without_select(data: Any, axis: int | None, dtype: str) -> None:
    size = VALUES.size if axis is None else VALUES.shape[axis]
    drawn = data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=3), label="places")
    places = np.array(drawn, dtype)
    found, kinds = traced(lambda x, i: ops.take(x, i, axis), VALUES, places)
    assert np.array_equal(found, np.take(VALUES, drawn, axis))
    assert bool({"Select", "SelectV2"} & kinds) == (dtype == "int64")


def test_where_an_axis_is_open_it_is_taken_as_keras_takes_it() -> None:
    graph = tf.function(lambda x, i: ops.take(x, i, 0), autograph=False)
    with plain_operations():
        made = graph.get_concrete_function(tf.TensorSpec((None, 5)), tf.TensorSpec((2,), "int32"))
    assert np.array_equal(made(VALUES[0], tf.constant([-1, 1])).numpy(), VALUES[0][[-1, 1]])


def test_an_embedding_is_a_few_ops_that_every_runtime_has() -> None:
    layer = keras.layers.Embedding(6, 2)
    layer.build()
    ids = np.array([[0, 5, -1, -6]], "int32")
    found, kinds = traced(layer, ids)
    assert np.array_equal(found[0], layer.get_weights()[0][[0, 5, 5, 0]])
    assert {"Less", "Cast", "GatherV2"} <= kinds


@given(st.sampled_from(["argmax", "argmin"]), st.sampled_from([None, 0, 1, -1]), st.booleans())
def test_the_first_of_equal_numbers_is_the_largest(name: str, axis: int | None, keepdims: bool) -> None:
    values = np.array([[1, 3, 3], [3, 0, 0]], np.float32)
    found, kinds = traced(lambda x: getattr(ops, name)(x, axis, keepdims), values)
    assert np.array_equal(found, getattr(np, name)(values, axis, keepdims=keepdims))
    assert not {"Bitcast", "Select", "SelectV2"} & kinds


@given(st.sampled_from([0, 1, 2, -1, None, (0, 2)]))
def test_what_is_turned_round_is_what_numpy_turns_round(axis: Any) -> None:
    found, kinds = traced(lambda x: ops.flip(x, axis), VALUES)
    assert np.array_equal(found, np.flip(VALUES, axis))
    assert ("ReverseV2" in kinds) == (not isinstance(axis, int))


def test_keras_is_as_it_was_afterwards_whatever_happened() -> None:
    from tfcompress.models.keras_private import numpy_functions

    before = {name: getattr(numpy_functions(), name) for name in ("argmax", "argmin", "flip", "take")}
    with plain_operations():
        assert numpy_functions().take is not before["take"]
    with pytest.raises(ZeroDivisionError), plain_operations():
        _ = 1 / 0
    assert {name: getattr(numpy_functions(), name) for name in before} == before
