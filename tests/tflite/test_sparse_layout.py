"""Sparse constants are put together again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.sparse_layout import dense_values
from tfcompress.tflite.tensors import StoredLayout, StoredTensor
from tfcompress.tflite.weights import kernels, stored_values


def stored(dense: np.ndarray, order: tuple[int, ...], block: int) -> tuple[StoredTensor, np.ndarray]:
    """Store an array with its axes in an order, the last of them by what is not zero, in blocks along axis 0 of it."""
    shape = dense.shape
    blocked = dense.reshape(shape[0] // block, block, *shape[1:])  # axis 1 is the one within blocks
    blocked = np.moveaxis(blocked, 1, -1).transpose(*order, len(shape))
    rows = blocked.reshape(-1, blocked.shape[-2], block)
    held = [np.flatnonzero(row.any(axis=-1)) for row in rows]
    segments = np.cumsum([0, *(len(each) for each in held)])
    values = np.concatenate([row[places].reshape(-1) for row, places in zip(rows, held, strict=True)])
    sizes = blocked.shape[: len(shape) - 1]
    layout = StoredLayout((*order, len(shape)), (0,), (*sizes, (segments, np.concatenate(held)), block))
    data = np.frombuffer(values.tobytes() or b"\0", np.uint8)
    return StoredTensor(
        0, "k", shape, shape, "int8", (), (), 0, 1, data, variable=False, sparse=True, layout=layout
    ), values


ARRAYS = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=2, max_dims=4, max_side=4), elements=st.sampled_from([0, 0, 0, 1, 7])
)


@given(dense=ARRAYS, block=st.sampled_from([1, 2]), data=st.data())
def test_what_was_stored_sparse_in_any_order_and_in_blocks_comes_back(
    dense: np.ndarray, block: int, data: st.DataObject
) -> None:
    dense = np.concatenate([dense] * block)
    order = data.draw(st.sampled_from(list(itertools.permutations(range(dense.ndim)))))
    tensor, values = stored(dense, order, block)
    found = dense_values(tensor, values)
    assert found is not None
    np.testing.assert_array_equal(found, dense)


@given(numbers=st.lists(st.integers(-2, 9), min_size=4, max_size=4), axis=st.integers(-1, 5), count=st.integers(0, 9))
def test_a_layout_that_makes_no_sense_is_none(numbers: list[int], axis: int, count: int) -> None:
    layout = StoredLayout((0, 1), (), (axis, (np.array(numbers), np.array([0, 1, 7]))))
    tensor = StoredTensor(0, "k", (2, 3), (2, 3), "int8", (), (), 0, 1, np.zeros(1, np.uint8), False, True, layout)
    found = dense_values(tensor, np.ones(count, np.int8))
    assert found is None or (found.shape == (2, 3) and found.sum() <= count)


def test_the_converters_own_files_are_put_together(file) -> None:
    for kernel in kernels(read_model_file(file("sparse")).subgraphs):
        values = stored_values(kernel.tensor)
        assert values is not None
        found = dense_values(kernel.tensor, values)
        assert found is not None
        assert np.count_nonzero(found) == np.count_nonzero(values)


def test_a_constant_without_a_layout_has_none() -> None:
    tensor = StoredTensor(0, "k", (2,), (2,), "int8", (), (), 0, 1, np.zeros(1, np.uint8), variable=False, sparse=True)
    assert dense_values(tensor, np.ones(1, np.int8)) is None


@pytest.mark.parametrize("order", [(0, 0), (1, 2), (0,)])
def test_axes_that_are_none_of_the_tensors_are_no_layout(order: tuple[int, ...]) -> None:
    layout = StoredLayout(order, (), (2, 3))
    tensor = StoredTensor(0, "k", (2, 3), (2, 3), "int8", (), (), 0, 1, np.zeros(1, np.uint8), False, True, layout)
    assert dense_values(tensor, np.ones(6, np.int8)) is None
