"""tfcompress.streaming: fed frame by frame, the answer is that of the whole model on the last window."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.errors import DataError, UnsupportedError, UsageError
from tfcompress.streaming.streaming_model import StreamingModel, check_window, to_streaming

keras = pytest.importorskip("keras")
layers = keras.layers


def with_random_weights(model: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(0.0, 0.3, variable.shape)
        name = getattr(variable, "path", variable.name)  # tf_keras has names alone
        variable.assign(np.abs(values) + 0.5 if "variance" in name else values)
    return model


def row(shape: tuple[int, ...], *steps: Any) -> Any:
    return with_random_weights(keras.Sequential([keras.Input(shape), *steps]))


def largest_difference(model: Any, streaming: StreamingModel, more: int = 2) -> float:
    """Feed random frames, and compare every answer that is to be right with the whole model's."""
    hop, window = streaming.hop, streaming.window
    count = -(-window // hop) + more
    frames = np.random.default_rng(1).normal(size=(2, count * hop, *model.inputs[0].shape[2:])).astype(np.float32)
    streaming.reset()
    worst = 0.0
    for step in range(1, count + 1):
        answer = streaming.step(frames[:, (step - 1) * hop : step * hop])
        if step >= max(streaming.first_answer, -(-window // hop)):
            whole = np.asarray(model(frames[:, step * hop - window : step * hop], training=False))
            whole = whole if whole.shape == answer.shape else whole[:, -answer.shape[1] :]
            worst = max(worst, float(np.abs(whole - answer).max()) / max(1.0, float(np.abs(whole).max())))
    return worst


def _conv(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    gap, stride = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 1)]))
    padding, size = draw(st.sampled_from(["valid", "same", "causal"])), draw(st.integers(1, 4))
    if rank == 1:
        kind = layers.Conv1D if padding == "causal" else draw(st.sampled_from([layers.Conv1D, layers.SeparableConv1D]))
        return kind(3, size, strides=stride, dilation_rate=gap, padding=padding)(tensor)
    padding = "valid" if padding == "valid" else "same"
    across = draw(st.integers(1, 2 if padding == "valid" else 3))
    if stride > 1 or gap > 1:
        return layers.Conv2D(3, (size, across), strides=stride, dilation_rate=gap, padding=padding)(tensor)
    kind = draw(st.sampled_from([layers.Conv2D, layers.SeparableConv2D]))
    return kind(3, (size, across), padding=padding)(tensor)


def _depthwise(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    padding, size = draw(st.sampled_from(["valid", "same"])), draw(st.integers(1, 3))
    kind = layers.DepthwiseConv1D if rank == 1 else layers.DepthwiseConv2D
    return kind(size, padding=padding)(tensor)


def _pool(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    name = draw(st.sampled_from(["MaxPooling", "AveragePooling"]))
    size, padding = draw(st.integers(2, 3)), draw(st.sampled_from(["valid", "same"]))
    strides = draw(st.integers(1, 2))
    return getattr(layers, f"{name}{rank}D")(size, strides=strides, padding=padding)(tensor)


def _pointwise(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    made = layers.BatchNormalization()(tensor)
    return draw(st.sampled_from([layers.ReLU(), layers.Dense(3), layers.Activation("tanh")]))(made)


def _borders(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    sides = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    name = draw(st.sampled_from(["ZeroPadding", "Cropping"]))
    return getattr(layers, f"{name}{rank}D")(sides if rank == 1 else (sides, (0, 0)))(tensor)


def _residual(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    gap = draw(st.integers(1, 3))
    channels = tensor.shape[-1]
    if rank == 1 and draw(st.booleans()):
        branch = layers.Conv1D(channels, 3, dilation_rate=gap, activation="relu")(tensor)
        return layers.Add()([layers.Cropping1D((gap, gap))(tensor), branch])
    if rank == 1:
        branch = layers.Conv1D(channels, 3, dilation_rate=gap, padding="causal")(tensor)
    else:
        branch = layers.Conv2D(channels, 3, padding="same")(tensor)
    return layers.Add()([tensor, branch]) if draw(st.booleans()) else layers.Concatenate()([branch, tensor])


_PARTS = (_conv, _depthwise, _pool, _pointwise, _borders, _residual)


def _ended(draw: st.DrawFn, rank: int, tensor: Any) -> Any:
    end = draw(st.sampled_from(["mean", "largest", "flat", "last", "frames"]))
    if end == "frames":
        return tensor
    if end == "last":
        return layers.Flatten()(tensor[:, -1:])
    pooled = {"mean": "GlobalAveragePooling", "largest": "GlobalMaxPooling"}
    made = layers.Flatten()(tensor) if end == "flat" else getattr(layers, f"{pooled[end]}{rank}D")()(tensor)
    return layers.Dense(2)(made)


def a_net(draw: st.DrawFn) -> Any:
    """Draw a net over a window of 30 frames."""
    rank = draw(st.integers(1, 2))
    given = tensor = keras.Input((30, 3) if rank == 1 else (30, 4, 2))
    for part in draw(st.lists(st.sampled_from(_PARTS), min_size=1, max_size=4)):
        if tensor.shape[1] > 12 and (rank == 1 or tensor.shape[2] > 2 or part is not _pool):
            tensor = part(draw, rank, tensor) if rank == 1 or tensor.shape[2] > 2 else _pointwise(draw, rank, tensor)
    return with_random_weights(keras.Model(given, _ended(draw, rank, tensor)))


@given(st.data())
@settings(max_examples=8)
def test_any_net_answers_as_on_its_whole_window(data: st.DataObject) -> None:
    model = a_net(data.draw)
    least = to_streaming(model).hop
    times = data.draw(st.integers(1, 3))
    streaming = to_streaming(model, hop=min(times * least, 30 - 30 % least))
    assert largest_difference(model, streaming) < 1e-5


def test_each_kind_of_layer_over_time() -> None:
    models = {
        "raw samples": row((64,), layers.Reshape((64, 1)), layers.Conv1D(2, 8, strides=4), layers.Flatten()),
        "nested": row((20, 3), row((20, 3), layers.Conv1D(3, 3), layers.ReLU()), layers.GlobalMaxPooling1D()),
        "the whole window": row((12, 2), layers.Conv1D(3, 3), layers.LSTM(2), layers.Dense(2)),
        "no window left": row((20, 3), layers.Conv1D(2, 20), layers.Flatten(), layers.Dense(2)),
        "everything sees zeros": row((10, 2), layers.Conv1D(2, 9, padding="same"), layers.Conv1D(2, 9, padding="same")),
    }
    for name, model in models.items():
        assert largest_difference(model, to_streaming(model)) < 1e-5, name


def test_what_only_bears_the_name_of_a_layer_takes_the_whole_window() -> None:
    class Dropout(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs - keras.ops.mean(inputs, axis=1, keepdims=True)

    def of(shape: tuple[int, ...], step: Any) -> Any:
        given = keras.Input(shape)
        return with_random_weights(keras.Model(given, layers.Dense(2)(layers.Flatten()(step(given)))))

    models = {
        "an activation across frames": row((20,), layers.Activation("sparsemax"), layers.Dense(2)),
        "a scale for each frame": row((5, 3), layers.Rescaling(np.arange(15.0).reshape(5, 3)), layers.Conv1D(2, 2)),
        "somebody's own layer": of((9, 3), Dropout()),
        "a mean": of((9, 3), lambda tensor: keras.ops.average(tensor, axis=1)),
        "another shape": of((9, 4), lambda tensor: layers.Conv2D(2, (3, 2))(keras.ops.reshape(tensor, (-1, 9, 4, 1)))),
    }
    for name, model in models.items():
        assert largest_difference(model, to_streaming(model)) < 1e-5, name


def test_an_activation_of_ones_own_is_done_frame_by_frame_where_it_can_be() -> None:
    def halved(tensor: Any) -> Any:
        return tensor / 2

    with keras.saving.custom_object_scope({"halved": halved}):
        found = to_streaming(row((12, 2), layers.Conv1D(3, 3, activation=halved)))
    assert found.macs == 3 * 2 * 3
    assert found.notes == ()


def test_a_step_gives_all_frames_of_an_output_that_has_fewer_than_are_new() -> None:
    model = row((10, 3), layers.Conv1D(2, 5))
    streaming = to_streaming(model, hop=10)
    assert streaming.step(np.zeros((10, 3))).shape == (6, 2)
    assert not streaming.gives_frames
    assert largest_difference(model, streaming) < 1e-5


@functools.cache
def keyword_net() -> Any:
    return row(
        (49, 10),
        layers.Conv1D(8, 5),
        layers.MaxPooling1D(2),
        layers.Conv1D(8, 3),
        layers.GlobalAveragePooling1D(),
        layers.Dense(4),
    )


def test_a_step_computes_what_is_new() -> None:
    found = to_streaming(keyword_net())
    assert (found.hop, found.window, found.frames_seen, found.first_answer) == (2, 49, 49, 25)
    # two frames of the first convolution, one of the second, the dense layer
    assert found.macs == 2 * 5 * 10 * 8 + 3 * 8 * 8 + 8 * 4
    assert found.whole_macs == 45 * 5 * 10 * 8 + 20 * 3 * 8 * 8 + 8 * 4
    assert found.state_elements == sum(int(np.prod(state.shape)) for state in found.states)
    assert found.notes == ()


def test_layers_that_take_the_whole_window_are_told() -> None:
    found = to_streaming(row((12, 2), layers.LSTM(2, name="memory")))
    assert found.notes == ("memory (LSTM) is computed on all of its frames at each step: it keeps no part of them",)


def test_one_stream_goes_without_a_batch() -> None:
    streaming = to_streaming(keyword_net())
    frames = np.random.default_rng(0).normal(size=(48, 10)).astype(np.float32)
    together = [streaming.step(frames[np.newaxis, n : n + 2]) for n in range(0, 48, 2)]
    streaming.reset()
    alone = [streaming.step(frames[n : n + 2]) for n in range(0, 48, 2)]
    assert np.array_equal(np.concatenate(together), np.stack(alone))


def test_frames_of_another_shape_or_stream_are_refused() -> None:
    streaming = to_streaming(keyword_net())
    with pytest.raises(
        DataError, match=r"frames must have the shape \(2, 10\) or \(batch, \*\(2, 10\)\), got \(3, 10\)"
    ):
        streaming.step(np.zeros((3, 10)))
    streaming.step(np.zeros((2, 2, 10)))
    with pytest.raises(DataError, match="as many streams as before, got 1; call reset"):
        streaming.step(np.zeros((2, 10)))


@pytest.mark.parametrize(
    ("hop", "text"),
    [
        (3, r"hop must be a multiple of 2 with this model's strides in time, got 3: max_pooling1d\w* gives one frame"),
        (0, "hop must be a multiple of 2"),
        (50, "hop must be at most the model's window of 49 frames, got 50"),
    ],
)
def test_a_hop_that_does_not_fit_is_refused(hop: int, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        check_window(keyword_net(), hop=hop)


def test_a_model_without_a_window_is_refused() -> None:
    free = keras.Sequential([keras.Input((None, 4)), layers.Conv1D(2, 3)])
    with pytest.raises(UnsupportedError, match=r"a fixed number of frames .* got the shape \(any, 4\)"):
        to_streaming(free)
    first, second = keras.Input((8, 2)), keras.Input((8, 2))
    two = keras.Model([first, second], layers.Add()([first, second]))
    with pytest.raises(UnsupportedError, match="takes a model with one input, got 2"):
        to_streaming(two)


def test_a_model_trained_with_fake_quantization_streams_on_its_grid() -> None:
    given = row((12, 4), layers.Conv1D(4, 3, padding="same"), layers.ReLU(), layers.Flatten(), layers.Dense(4))
    job = tfc.attach(given, tfc.QAT())
    job.model.compile(optimizer="sgd", loss="mse")
    rng = np.random.default_rng(0)
    job.model.fit(rng.normal(size=(32, 12, 4)), rng.normal(size=(32, 4)), verbose=0)
    trained = job.finish()
    assert largest_difference(trained, to_streaming(trained)) < 1e-5


@pytest.mark.parametrize("hop", [2, 6])
def test_a_model_of_either_keras_with_two_outputs_and_a_nested_model_streams(either_keras: Any, hop: int) -> None:
    """Two outputs (frames and classes) x nested x hops of one and of three strides x both Kerases."""
    own = either_keras.layers
    inside = either_keras.Sequential([own.Conv1D(4, 3, strides=2), own.ReLU()], name="inside")
    given = either_keras.Input((24, 3), name="sound")
    shared = inside(given)  # 11 frames, one for two
    outputs = {
        "frames": own.Conv1D(2, 2, padding="causal", name="frames")(shared),
        "kind": own.Dense(3, name="kind")(own.GlobalAveragePooling1D()(shared)),
    }
    model = with_random_weights(either_keras.Model(given, outputs))
    streaming = to_streaming(model, hop=hop)
    assert (streaming.hop, streaming.gives_frames) == (hop, True)
    sound = np.random.default_rng(0).normal(size=(2, 48, 3)).astype(np.float32)
    for step in range(48 // hop):
        answer = streaming.step(sound[:, step * hop : (step + 1) * hop])
        seen = (step + 1) * hop
        if seen < 24:
            continue
        whole = {n: np.asarray(v) for n, v in model(sound[:, seen - 24 : seen], training=False).items()}
        np.testing.assert_allclose(answer["kind"], whole["kind"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(answer["frames"], whole["frames"][:, -(hop // 2) :], rtol=1e-4, atol=1e-5)
    streaming.reset()
    fresh = streaming.step(sound[:, :hop])["kind"]
    assert not np.allclose(fresh, answer["kind"])
    np.testing.assert_array_equal(fresh, to_streaming(model, hop=hop).step(sound[:, :hop])["kind"])
