"""How layers treat time, against windows that are written out frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.streaming.flat_graph import read_flat_graph
from tfcompress.streaming.spans import Span, Timeline
from tfcompress.streaming.time_rules import (
    Borders,
    Convolution,
    EachFrame,
    OneFrame,
    Pooling,
    WholeWindow,
    Windowed,
    merged,
    rule_of,
    same_sides,
)

keras = pytest.importorskip("keras")
layers, ops = keras.layers, keras.ops


@st.composite
def windows(draw: st.DrawFn) -> tuple[Windowed, Timeline]:
    """Draw a window and the frames that it goes over; at least one frame comes out."""
    size, gap, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    extent = gap * (size - 1) + 1
    before, after = draw(st.integers(-2, extent - 1)), draw(st.integers(-2, extent - 1))
    frames = draw(st.integers(max(1, extent - before - after, 1 - min(before, 0) - min(after, 0)), 24))
    head = draw(st.integers(0, frames))
    tail = draw(st.integers(0, frames - head))
    return Windowed(size, stride, gap, before, after), Timeline(frames, 1, head, tail)


def seen(rule: Windowed, frame: int) -> list[int]:
    """Return the frames that a frame is made of, those of zeros too."""
    return [rule.stride * frame - rule.before + rule.gap * place for place in range(rule.size)]


@given(windows())
def test_a_frame_is_steady_where_all_that_it_sees_is_there_and_steady(case: tuple[Windowed, Timeline]) -> None:
    rule, given_line = case
    line = rule.line(given_line)
    padded = given_line.frames + rule.before + rule.after
    assert line.frames == len(range(0, padded - rule.extent + 1, rule.stride))
    assert line.rate == rule.stride
    steady = set(range(given_line.head, given_line.frames - given_line.tail))
    expected = [frame for frame in range(line.frames) if steady.issuperset(seen(rule, frame))]
    assert list(range(line.steady.start, line.steady.stop)) == expected


@given(windows(), st.data())
def test_what_is_needed_is_all_that_is_seen_of_the_frames_that_there_are(
    case: tuple[Windowed, Timeline], data: st.DataObject
) -> None:
    rule, given_line = case
    count = rule.line(given_line).frames
    start = data.draw(st.integers(0, count - 1))
    span = Span(start, data.draw(st.integers(start + 1, count)))
    places = [place for frame in range(span.start, span.stop) for place in seen(rule, frame)]
    assert rule.reach(span) == Span(min(places), max(places) + 1)
    inside = [place for place in places if 0 <= place < given_line.frames]
    needed = rule.needed(span, given_line)
    assert Span(0, given_line.frames).holds(needed)
    assert needed.size >= 1
    if inside:
        assert needed.holds(Span(min(inside), max(inside) + 1))


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_padding_same_gives_a_frame_for_each_stride_begun_with_the_odd_zero_behind(
    frames: int, size: int, stride: int, gap: int
) -> None:
    before, after = same_sides(frames, size, stride, gap)
    assert after - before in (0, 1)
    rule = Windowed(size, stride, gap, before, after)
    assert rule.line(Timeline(frames, 1)).frames == len(range(0, frames, stride))
    if before + after:
        assert rule.reach(Span(0, len(range(0, frames, stride)))).stop == frames + after, "no zero is for nothing"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4))
def test_together_inputs_are_steady_where_each_is(sides: list[tuple[int, int]]) -> None:
    lines = [Timeline(20, 2, head, tail) for head, tail in sides]
    together = merged([None, *lines])
    assert (together.frames, together.rate) == (20, 2)
    steady = set.intersection(*(set(range(line.steady.start, line.steady.stop)) for line in lines))
    assert set(range(together.steady.start, together.steady.stop)) == steady


def rule(shape: tuple[int, ...], step: Any) -> Any:
    """Return the rule of the last call on a window of a shape."""
    given_tensor = keras.Input(shape)
    graph = read_flat_graph(keras.Model(given_tensor, step(given_tensor)))
    return rule_of(graph.calls[-1], [Timeline(shape[0], 1)] * len(graph.calls[-1].inputs))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (layers.Conv1D(2, 3), Convolution(3)),
        (layers.Conv1D(2, 3, strides=2, padding="same"), Convolution(3, 2, 1, 0, 1)),  # 10 frames: 5 come out
        (layers.Conv1D(2, 3, dilation_rate=2, padding="causal"), Convolution(3, 1, 2, 4, 0)),
        (layers.SeparableConv1D(2, 2, padding="same"), Convolution(2, 1, 1, 0, 1)),
        (layers.DepthwiseConv1D(4, padding="same"), Convolution(4, 1, 1, 1, 2)),
        (layers.MaxPooling1D(3, strides=2), Pooling(3, 2)),
        (layers.AveragePooling1D(3, padding="same"), Pooling(3, 3, 1, 1, 1)),  # 10 frames: 4 come out
        (layers.ZeroPadding1D((1, 2)), Borders(before=1, after=2)),
        (layers.Cropping1D((1, 2)), Borders(before=-1, after=-2)),
        (lambda x: x[:, 2:7], Borders(before=-2, after=-3)),
        (lambda x: x[:, -4:], Borders(before=-6, after=0)),
        (lambda x: x[:, 3], OneFrame(3, (slice(None), 0))),
        (lambda x: x[:, -1, 1:], OneFrame(9, (slice(None), 0, slice(1, None)))),
        (lambda x: x[:, ::2], WholeWindow(costly=True)),
        (lambda x: x[:, ::-1], WholeWindow(costly=True)),
        (lambda x: x[:, 5:5], WholeWindow(costly=True)),
        (lambda x: x[:, :, 1:3], Borders(before=0, after=0, key=(slice(None), slice(None), slice(1, 3)))),
    ],
)
def test_windows_over_ten_frames(step: Any, expected: Any) -> None:
    assert rule((10, 4), step) == expected


@pytest.mark.parametrize(
    "step",
    [
        layers.ReLU(),
        layers.Dense(3),
        layers.Dense(3, activation="softmax"),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.Softmax(),
        layers.Dropout(0.5),
        layers.PReLU(shared_axes=[1]),
        layers.Reshape((10, 2, 2)),
        layers.Rescaling([1.0, 2.0, 3.0, 4.0]),
        layers.TimeDistributed(layers.Dense(2)),
        lambda x: x * 2.0,
        lambda x: ops.tanh(x),
        lambda x: layers.Concatenate()([x, x]),
        lambda x: layers.Multiply()([x, x]),
    ],
)
def test_what_is_done_frame_by_frame(step: Any) -> None:
    assert rule((10, 4), step) == EachFrame()


@pytest.mark.parametrize(
    ("step", "costly"),
    [
        (layers.Flatten(), False),
        (layers.GlobalAveragePooling1D(), False),
        (layers.Reshape((5, 8)), False),
        (layers.Permute((2, 1)), False),
        (layers.PReLU(), True),
        (layers.LSTM(2, return_sequences=True), True),
        (layers.BatchNormalization(axis=1), True),
        (layers.LayerNormalization(axis=[1, 2]), True),
        (layers.Softmax(axis=1), True),
        (layers.UpSampling1D(2), True),
        (layers.Conv1D(2, 3, data_format="channels_first"), True),
        (lambda x: layers.Concatenate(axis=1)([x, x]), True),
        (lambda x: x * np.ones((10, 1), "float32"), True),
        (lambda x: ops.cumsum(x, axis=1), True),
        (lambda x: ops.flip(x, axis=1), True),
    ],
)
def test_what_takes_frames_together_takes_the_whole_window(step: Any, costly: bool) -> None:
    assert rule((10, 4), step) == WholeWindow(costly)


def test_inputs_of_other_frames_are_not_merged_frame_by_frame() -> None:
    given_tensor = keras.Input((10, 4))
    graph = read_flat_graph(keras.Model(given_tensor, layers.Add()([given_tensor, given_tensor[:, -1:]])))
    call = graph.calls[-1]
    assert rule_of(call, [Timeline(10, 1), None]) == WholeWindow(costly=True)
    assert rule_of(call, [Timeline(10, 1), Timeline(10, 2)]) == WholeWindow(costly=True)
