"""Steps are planned by arithmetic that can be done by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import UnsupportedError
from tfcompress.streaming.flat_graph import read_flat_graph
from tfcompress.streaming.spans import Span
from tfcompress.streaming.step_planning import StreamPlan, plan_steps

keras = pytest.importorskip("keras")
layers = keras.layers

windows = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))  # size, stride, gap


def extent(size: int, gap: int) -> int:
    return gap * (size - 1) + 1


def planned(model: Any, hop: int | None = None) -> StreamPlan:
    return plan_steps(read_flat_graph(model), hop)


@settings(max_examples=25)
@given(
    chain=st.lists(windows, min_size=1, max_size=4),
    last=st.integers(2, 6),
    times=st.integers(1, 3),
    pools=st.booleans(),
)
def test_a_chain_keeps_what_its_windows_see_again_and_no_more(
    chain: list[tuple[int, int, int]], last: int, times: int, pools: bool
) -> None:
    chain = [(size, stride, 1 if stride > 1 else gap) for size, stride, gap in chain]  # Keras has no both
    frames = [last]
    for size, stride, gap in reversed(chain):
        frames.insert(0, (frames[0] - 1) * stride + extent(size, gap))
    rates = [math.prod(stride for _, stride, _ in chain[:place]) for place in range(len(chain) + 1)]
    hop = min(times, max(1, last - 1)) * rates[-1]
    if frames[0] < 2 or hop > frames[0]:
        return
    given_tensor = tensor = keras.Input((frames[0], 2))
    for place, (size, stride, gap) in enumerate(chain):
        pool = pools and place % 2 and gap == 1
        step = layers.MaxPooling1D(size, stride) if pool else layers.Conv1D(2, size, strides=stride, dilation_rate=gap)
        tensor = step(tensor)
    made = planned(keras.Model(given_tensor, tensor), hop)
    assert (made.window, made.hop) == (frames[0], hop)
    tensors = [made.graph.inputs[0], *(call.outputs[0] for call in made.graph.calls)]
    assert [made.lines[each].frames for each in tensors] == frames
    assert [made.lines[each].rate for each in tensors] == rates
    assert all((made.lines[each].head, made.lines[each].tail) == (0, 0) for each in tensors)  # nothing sees a zero
    looked_back = fresh = hop // rates[-1]  # so many new answers
    for each, rate, (size, stride, gap) in reversed(list(zip(tensors[:-1], rates[:-1], chain, strict=True))):
        new = hop // rate
        sees = (fresh - 1) * stride + extent(size, gap)
        fresh = new if each is tensors[0] else min(new, sees)  # what a stride steps over is not computed
        found = made.upkeep[each]
        assert (found.kept.size if found.kept else 0, found.head) == (max(0, sees - new), None)
        assert found.fresh is not None
        assert found.fresh.size == fresh
        looked_back = (looked_back - 1) * stride + extent(size, gap)
    assert made.frames_seen == looked_back


@settings(max_examples=10)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3), gap=st.integers(1, 2))
def test_zeros_before_a_causal_window_are_computed_anew_as_far_as_they_reach(sizes: list[int], gap: int) -> None:
    given_tensor = tensor = keras.Input((30, 2))
    for size in sizes:
        tensor = layers.Conv1D(2, size, dilation_rate=gap, padding="causal")(tensor)
    made = planned(keras.Model(given_tensor, layers.GlobalMaxPooling1D()(tensor)))
    reached = 0
    for call, size in zip(made.graph.calls, sizes, strict=False):
        reached += gap * (size - 1)
        line = made.lines[call.outputs[0]]
        assert (line.head, line.tail) == (reached, 0)
    head = made.upkeep[made.graph.calls[len(sizes) - 1].outputs[0]].head
    assert (head.size if head else 0) == reached
    assert made.frames_seen == 30


def test_branches_of_other_depths_meet_where_all_of_them_are_steady() -> None:
    given_tensor = keras.Input((20, 3))
    deep = layers.Conv1D(3, 5)(layers.Conv1D(3, 3, dilation_rate=2)(given_tensor))  # 20 - 4 - 4
    short = layers.Cropping1D((8, 0))(given_tensor)
    model = keras.Model(given_tensor, layers.Add()([deep, short]))
    made = planned(model, 2)
    source = made.graph.inputs[0]
    kept = made.upkeep[source].kept
    assert kept is not None
    assert kept == Span(14, 18)  # the two newest are new, and a dilated window of three sees 5 frames
    assert made.frames_seen == 2 + 4 + 4
    sums = made.graph.calls[-1].outputs[0]
    assert made.answered(sums) == Span(10, 12)


def test_what_no_output_is_made_of_is_not_computed() -> None:
    given_tensor = keras.Input((12, 2))
    shared = layers.Conv1D(2, 3, name="shared")(given_tensor)
    whole = keras.Model(given_tensor, [layers.Dense(1, name="one")(shared), layers.LSTM(3, name="other")(shared)])
    part = keras.Model(given_tensor, whole.outputs[0])
    assert {work.call.path for work in planned(whole).work} == {"shared", "one", "other"}
    assert [work.call.path for work in planned(part).work] == ["shared", "one"]
    assert len(planned(whole).notes) == 1
    assert planned(part).notes == []


@pytest.mark.parametrize("strides", [(2, 3), (3, 2), (4, 2)])
def test_the_least_hop_is_what_all_strides_divide(strides: tuple[int, int]) -> None:
    given_tensor = keras.Input((48, 2))
    one, other = (layers.Conv1D(2, 4, strides=stride)(given_tensor) for stride in strides)
    pooled = [layers.GlobalMaxPooling1D()(tensor) for tensor in (one, other)]
    assert planned(keras.Model(given_tensor, pooled)).hop == math.lcm(*strides)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((None, 3), r"\(any, 3\)"),
        ((5, None, 2), r"\(5, any, 2\)"),
        ((1, 3), r"\(1, 3\)"),
        ((), r"\(\)"),
    ],
)
def test_what_is_no_window_is_refused_with_its_shape(shape: tuple[int | None, ...], told: str) -> None:
    given_tensor = keras.Input(shape)
    model = keras.Model(given_tensor, layers.Identity()(given_tensor))
    with pytest.raises(UnsupportedError, match=f"a fixed number of frames .* got the shape {told}; build the model"):
        planned(model)


def test_nested_models_are_taken_apart_and_a_layer_called_twice_is_two_calls() -> None:
    inner_given = keras.Input((10, 2))
    conv = layers.Conv1D(2, 1, name="conv")
    inner = keras.Model(inner_given, conv(conv(inner_given)), name="inner")
    outer_given = keras.Input((10, 2))
    outer = keras.Model(outer_given, layers.ReLU(name="end")(inner(inner(outer_given))))
    graph = read_flat_graph(outer)
    assert [call.path for call in graph.calls] == [*["inner/conv"] * 4, "end"]
    assert all(a.outputs[0] is b.inputs[0] for a, b in zip(graph.calls, graph.calls[1:], strict=False))
    assert graph.calls[0].inputs[0] is graph.inputs[0]
    assert graph.calls[-1].outputs == graph.outputs
    assert all(tensor.shape == (10, 2) for call in graph.calls for tensor in call.outputs)
