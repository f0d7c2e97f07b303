"""What cuts, pads and joins frames, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.streaming.spans import Span
from tfcompress.streaming.step_pieces import Pieces

keras = pytest.importorskip("keras")

SHAPES = st.sampled_from([(6,), (6, 3), (6, 2, 3), (6, 2, 2, 2)])


def frames(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")


@settings(max_examples=20)
@given(shape=SHAPES, start=st.integers(0, 5), size=st.integers(1, 6), first=st.integers(0, 9))
def test_frames_are_cut_by_where_they_lie_in_the_window(
    shape: tuple[int, ...], start: int, size: int, first: int
) -> None:
    x, stop = frames(shape), min(6, start + size)
    held, wanted = Span(first, first + 6), Span(first + start, first + stop)
    np.testing.assert_array_equal(Pieces([]).cut(x, held, wanted), x[:, start:stop])


@settings(max_examples=15)
@given(shape=SHAPES.filter(lambda shape: len(shape) > 1), sides=st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_zeros_go_before_and_behind_and_on_other_axes_where_asked(
    shape: tuple[int, ...], sides: tuple[int, int]
) -> None:
    x, pieces = frames(shape), Pieces([])
    rest = [(0, 0)] * (len(shape) - 1)
    np.testing.assert_array_equal(pieces.padded(x, sides), np.pad(x, [(0, 0), sides, *rest]))
    others = [(1, 2)] * (len(shape) - 2)
    expected = np.pad(x, [(0, 0), sides, *others, (0, 0)])
    np.testing.assert_array_equal(pieces.padded(x, sides, others), expected)


@given(st.lists(st.sampled_from(["a", "a_1", "b/c", "b_c", "in"]), max_size=12))
def test_no_name_is_given_twice_nor_one_that_is_taken(wanted: list[str]) -> None:
    pieces = Pieces(["in"])
    names = [pieces.name(each) for each in wanted]
    assert len({*names, "in"}) == len(names) + 1
    assert not any("/" in name for name in names)


def test_joined_frames_are_one_after_the_other() -> None:
    x, pieces = frames((6, 3)), Pieces([])
    assert pieces.joined([x]) is x
    np.testing.assert_array_equal(pieces.joined([x[:, :2], x[:, 2:]]), x)


def test_a_layer_is_copied_once_for_each_change_of_it() -> None:
    layer: Any = keras.layers.Conv1D(2, 3, padding="same", name="conv")
    x = frames((6, 3))
    layer(x)
    pieces = Pieces([])
    same, again = (pieces.copy(layer, "net/conv") for _ in range(2))
    valid = pieces.copy(layer, "net/conv", padding="valid")
    assert same is again
    assert same is not valid
    valid(x)  # a changed copy is built, and gets its weights, when a graph is made of it
    np.testing.assert_allclose(same(x), layer(x), rtol=1e-6)
    np.testing.assert_allclose(valid(x), np.asarray(layer(x))[:, 1:-1], rtol=1e-5, atol=1e-6)
    assert same.name == "net_conv"
