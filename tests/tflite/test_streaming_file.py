"""tfcompress.tflite.streaming_file: the file of a step answers as that of the whole window, frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.streaming.test_streaming_model import with_random_weights
from tfcompress.errors import ContractError, UnsupportedError, UsageError
from tfcompress.targets.target_table import find_target
from tfcompress.tflite import streaming_file
from tfcompress.tflite.export import TFLiteModel
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.pack import data_free_note
from tfcompress.tflite.state_variables import keeps_states, with_state_variables
from tfcompress.tflite.stream_feeding import answers_of, steps_of
from tfcompress.tflite.streaming_file import StreamingFile, check_streaming_limits, held, opened_stream
from tfcompress.tflite.streaming_record import MicroStream

keras = pytest.importorskip("keras")
layers = keras.layers


def small_net() -> Any:
    given = keras.Input((16, 4), name="sound")
    tensor = layers.Conv1D(4, 3, activation="relu", padding="same")(given)
    tensor = layers.MaxPooling1D(2)(tensor)
    branch = layers.Conv1D(4, 3, dilation_rate=2, activation="relu")(tensor)
    tensor = layers.Add()([layers.Cropping1D((4, 0))(tensor), branch])
    return with_random_weights(keras.Model(given, layers.Dense(3)(layers.Flatten()(tensor))))


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 16, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def made(windows: np.ndarray) -> TFLiteModel:
    settings = tfc.Export(quantize="int8", calibration="mse", packings=(), streaming=True)
    return tfc.export(small_net(), settings, data=windows, float_size_bytes=100_000, progress=False)


@pytest.fixture(scope="module")
def stream(made: TFLiteModel) -> StreamingFile:
    assert made.streaming is not None
    return made.streaming


def test_an_int8_file_answers_as_that_of_the_whole_window_in_every_bit(stream: StreamingFile) -> None:
    record = stream.record
    assert (record.whole.windows, record.whole.equal, record.whole.error) == (40, 40, 0.0)
    assert record.keras.agreement_db is not None
    assert record.keras.agreement_db > 20
    assert (record.hop, record.window, record.first_answer, record.kept) == (2, 16, 8, "external")
    assert record.real_samples


def test_states_have_one_grid_where_they_go_in_and_come_out(stream: StreamingFile) -> None:
    flat = read_model_file(stream.content)
    assert [t.name for t in flat.inputs] == ["sound", *(state.name for state in stream.record.states)]
    assert [t.name for t in flat.outputs][1:] == [state.next_name for state in stream.record.states]
    for before, after in zip(flat.inputs[1:], flat.outputs[1:], strict=True):
        assert (before.dtype, before.scale, before.zero_point) == (after.dtype, after.scale, after.zero_point)
        assert before.dtype == "int8"
    assert stream.record.state_bytes == sum(int(np.prod(state.shape)) for state in stream.record.states)


def test_states_inside_give_the_same_answers_without_being_told(stream: StreamingFile, windows: np.ndarray) -> None:
    inside = with_state_variables(stream.content, {s.name: s.next_name for s in stream.record.states})
    assert keeps_states(inside)
    assert not keeps_states(stream.content)
    assert [tensor.name for tensor in read_model_file(inside).inputs] == ["sound"]
    with opened_stream(stream.content) as outside, opened_stream(inside) as kept:
        expected = answers_of(outside, stream.model, {"sound": windows})
        found = answers_of(kept, stream.model, {"sound": windows})
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_both_kinds_run_in_tensorflow_lite_micro(stream: StreamingFile, windows: np.ndarray) -> None:
    pytest.importorskip("tflite_micro", reason="TFLM's interpreter has wheels for x86-64 alone")
    from tfcompress.tflite.micro.process import MicroProcess

    inside = with_state_variables(stream.content, {s.name: s.next_name for s in stream.record.states})
    with opened_stream(stream.content, reference_kernels=True) as reference:
        expected = answers_of(reference, stream.model, {"sound": windows})
    for content in (stream.content, inside):
        with MicroProcess(content, continuous=keeps_states(content)) as micro:
            found = answers_of(micro, stream.model, {"sound": windows})
        for name, values in expected.items():
            step = next(t.scale for t in read_model_file(content).outputs if t.name == name)
            assert step is not None
            assert np.abs(found[name] - values).max() <= 1.01 * step, "TFLM's dense layer rounds some ties otherwise"


def test_a_run_writes_the_file_that_streams_and_scores_it_frame_by_frame(windows: np.ndarray, tmp_path: Path) -> None:
    recipe = tfc.Recipe(export=tfc.Export(packings=(), streaming=True, hop=4, state="internal"))
    labels = np.random.default_rng(1).integers(0, 3, len(windows))
    report = tfc.compress(small_net(), recipe, (windows, labels), output=tmp_path / "out", progress=False).report
    found = report.result.verification["streaming"]
    content = (tmp_path / "out" / found["name"]).read_bytes()
    assert found["name"].endswith("-streaming.tflite")
    assert keeps_states(content)
    assert (found["size_bytes"], found["kept"], found["first_answer"]) == (len(content), "internal", 4)
    assert found["whole"]["agreement_db"] > 100
    assert report.result.score is not None
    assert found["tested"]["samples"] == report.result.score.samples
    assert found["tested"]["value"] == report.result.score.main_figure.value


def test_windows_are_cut_oldest_first_with_zeros_before(stream: StreamingFile, windows: np.ndarray) -> None:
    steps = steps_of(stream.model, windows)
    assert steps.shape == (8, 40, 2, 4)
    assert np.array_equal(np.concatenate(list(steps), axis=1), windows)


def test_what_cannot_stream_is_refused_before_any_work(windows: np.ndarray) -> None:
    with pytest.raises(UsageError, match="hop must be a multiple of 2"):
        tfc.export(small_net(), tfc.Export(streaming=True, hop=3), data=windows, progress=False)
    free = keras.Sequential([keras.Input((None, 4)), layers.Conv1D(2, 3)])
    with pytest.raises(UnsupportedError, match="a fixed number of frames"):
        tfc.export(free, tfc.Export(streaming=True), progress=False)


def test_limits_hold_for_the_file_that_streams(stream: StreamingFile) -> None:
    micro = MicroStream("1", stream.record.whole, least_arena_bytes=5000, state_bytes=0)
    target = find_target("tflm", "target")
    check_streaming_limits(900, micro, target, "5000", "900")
    with pytest.raises(ContractError, match=r"streaming file: the arena must be at most 4,999 bytes, it takes 5,000"):
        check_streaming_limits(900, micro, target, "4999", "899")


@pytest.mark.parametrize("state", ["external", "internal"])
def test_a_step_is_compiled_for_an_accelerator_and_what_stays_on_the_cpu_is_named(
    windows: np.ndarray, state: Any
) -> None:
    for name in ("tflite_micro", "ethosu"):
        pytest.importorskip(name, reason="pip install 'tfcompress[mcu]'")
    settings = tfc.Export(quantize="int8", calibration="minmax", streaming=True, state=state, target="ethos-u55-128")
    found = tfc.export(small_net(), settings, data=windows, float_size_bytes=100_000, progress=False).streaming
    assert found is not None
    npu = found.record.npu
    assert npu is not None
    assert npu.file_bytes == len(found.compiled)
    assert "ethos-u" in read_model_file(found.compiled).op_counts
    kept = {op.op for op in npu.cpu_ops} & {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}
    assert bool(kept) == (state == "internal")
    micro = found.record.micro
    assert micro is not None
    with pytest.raises(ContractError, match=rf"SRAM must be at most 99 bytes, Vela estimates {npu.sram_bytes:,}"):
        check_streaming_limits(1, micro, settings.deployment, "99", "", npu)


@pytest.mark.parametrize("state", ["external", "internal"])
def test_kernels_of_four_bits_stream(windows: np.ndarray, state: Any) -> None:
    settings = tfc.Export(quantize="int8", weight_bits=4, streaming=True, state=state, min_agreement_db=10.0)
    found = tfc.export(small_net(), settings, data=windows, float_size_bytes=100_000, progress=False).streaming
    assert found is not None
    assert "int4" in {tensor.dtype for tensor in read_model_file(found.content).subgraphs[0].tensors}
    assert found.record.whole.equal == found.record.whole.windows == len(windows)


@pytest.mark.parametrize("state", ["external", "internal"])
def test_the_file_that_streams_gets_look_up_tables_that_answer_frame_by_frame(windows: np.ndarray, state: Any) -> None:
    pytest.importorskip("tflite_micro", reason="pip install 'tfcompress[mcu]'")
    keras.utils.set_random_seed(0)
    given = keras.Input((16, 4), name="sound")
    inner = layers.Conv1D(8, 3, activation="relu")(given)
    inner = layers.Conv1D(32, 3, activation="relu", name="few")(inner)
    model = keras.Model(given, layers.Dense(24, name="scores")(layers.Flatten()(inner)))
    levels = np.linspace(-1, 1, 4, dtype=np.float32)
    kernel, bias = model.get_layer("scores").get_weights()
    values = np.random.default_rng(0).choice(levels, kernel.shape).astype(np.float32)
    model.get_layer("scores").set_weights([values, bias])
    settings = tfc.Export(
        quantize="int8", calibration="minmax", streaming=True, state=state, lookup=True, min_agreement_db=10.0
    )
    made = tfc.export(model, settings, data=windows, float_size_bytes=100_000, progress=False)
    found = made.streaming
    assert made.lookup is None
    assert found is not None
    assert found.lookup is not None
    assert len(found.lookup.content) < len(found.content)
    assert read_model_file(found.lookup.content).op_counts["TFLM_DECODE"] == 1
    assert found.lookup.samples > len(windows) * found.record.window // found.record.hop


def test_a_file_whose_states_are_not_its_own_is_refused(stream: StreamingFile) -> None:
    with pytest.raises(UnsupportedError, match="state 'memory' is not the same tensor"):
        with_state_variables(stream.content, {"memory": "memory_next"})


def test_an_answer_that_a_state_is_made_of_stays_an_answer_where_the_file_keeps_it(windows: np.ndarray) -> None:
    given = keras.Input((16, 4), name="sound")
    frames = layers.Conv1D(3, 3)(given)
    outputs = {"frames": layers.Identity(name="frames")(frames), "next": layers.Conv1D(2, 2, name="next")(frames)}
    settings = tfc.Export(quantize="none", packings=(), streaming=True, state="internal")
    model = with_random_weights(keras.Model(given, outputs))
    made = tfc.export(model, settings, data=windows, float_size_bytes=100_000, progress=False)
    assert made.streaming is not None
    assert {tensor.name for tensor in read_model_file(made.streaming.content).outputs} == {"frames", "next"}
    assert made.streaming.record.whole.equal == 40


def test_numbers_of_the_converters_own_are_told_from_those_of_the_stream(windows: np.ndarray) -> None:
    settings = tfc.Export(quantize="int8", calibration="minmax", packings=(), streaming=True)
    made = tfc.export(small_net(), settings, data=windows, float_size_bytes=100_000, progress=False)
    assert made.route == "converter"
    assert made.streaming is not None
    record = made.streaming.record
    assert record.whole.equal == 40
    assert record.written is not None
    assert record.written.equal < 40


def test_answers_of_whole_numbers_or_of_zeros_are_held_too(stream: StreamingFile) -> None:
    flat = read_model_file(stream.content)
    name = flat.outputs[0].name
    for other in (np.zeros((8, 3), np.int32), np.zeros((8, 3), np.float32)):
        assert held(flat, {name: other}, {name: other}, "it").equal == 8
        with pytest.raises(ContractError, match="must answer as it does, 8 of 8 windows differ by up to"):
            held(flat, {name: other}, {name: other + 9_000}, "it")


def test_a_file_in_a_models_place_is_refused(tmp_path: Path, made: TFLiteModel) -> None:
    path = made.save(tmp_path / "float.tflite")
    with pytest.raises(UsageError, match=r"--streaming takes a Keras model apart, and a .tflite file was given"):
        tfc.export(path, tfc.Export(quantize="dynamic", streaming=True), progress=False)


def test_without_data_windows_are_drawn_from_the_range_of_the_input_and_the_file_is_marked(monkeypatch) -> None:
    fed = []

    def watched(process: Any, model: Any, inputs: Any) -> Any:
        fed.append(np.asarray(inputs["sound"]))
        return answers_of(process, model, inputs)

    monkeypatch.setattr(streaming_file, "answers_of", watched)
    settings = tfc.Export(quantize="int8", input_range=(2.0, 3.0), streaming=True)
    made = tfc.export(small_net(), settings, float_size_bytes=100_000, progress=False)
    assert made.streaming is not None
    assert all(windows.min() >= 2.0 and windows.max() <= 3.0 for windows in fed)
    assert len(fed) >= 1
    assert data_free_note(made.streaming.content) == "data-free: the model alone, inputs in [2, 3]"
    assert not made.streaming.record.real_samples
