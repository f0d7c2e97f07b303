"""tfcompress.tflite.convert and converter_child."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge_runner.cursor import Source
from tests.tflite.make_files import cnn, two_ways
from tests.tflite.wordless_child import CONVERTED
from tfcompress.errors import ConversionError
from tfcompress.recipe import Export
from tfcompress.tflite import convert
from tfcompress.tflite.convert import LOOPS, RETRIES, ConverterProcess, MissingKernelError, operations
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.lower import lower


def test_death_by_signal_names_the_signal_the_scheme_and_the_remedy(tmp_path) -> None:
    samples = {"x": np.zeros((3, 4), np.float32)}
    with ConverterProcess(child="tests.tflite.dying_child") as converter:
        for _ in range(2):  # and the next request finds a living child
            with pytest.raises(ConversionError) as caught:
                converter.convert(tmp_path, Export(quantize="int8"), samples)
            assert "converter died by SIGSEGV while converting to int8; the model holds no known" in str(caught.value)
            assert "recurrent" not in str(caught.value)  # nobody knows of any


@pytest.mark.parametrize(("reason", "remedy"), [("SIGKILL", "run out of memory"), ("SIGABRT", "choose another")])
def test_a_killed_converter_most_likely_ran_out_of_memory(tmp_path, monkeypatch, reason: str, remedy: str) -> None:
    monkeypatch.setenv("DYING_CHILD_SIGNAL", reason)
    with (
        ConverterProcess(child="tests.tflite.dying_child") as converter,
        pytest.raises(ConversionError, match=f"died by {reason} .*{remedy}"),
    ):
        converter.convert(tmp_path, Export(quantize="float16"), None, qat=True)


def test_a_refusal_without_a_word_is_an_accident_and_tried_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WORDLESS_CHILD_REFUSALS", str(RETRIES))
    with ConverterProcess(child="tests.tflite.wordless_child") as converter:
        assert converter.convert(tmp_path, Export(), None) == CONVERTED.read_bytes()
    monkeypatch.setenv("WORDLESS_CHILD_REFUSALS", str(RETRIES + 1))
    with (
        ConverterProcess(child="tests.tflite.wordless_child") as converter,
        pytest.raises(ConversionError, match="refuses to convert to float32: it gives no reason"),
    ):
        converter.convert(tmp_path, Export(), None)


def test_a_runtime_that_dies_in_the_converters_process_is_a_reason_not_an_error(file) -> None:
    with ConverterProcess(child="tests.tflite.dying_child") as converter:
        assert converter.try_in_tensorflow(file("int8")) == "it died by SIGSEGV"


def test_asking_for_a_result_before_anything_was_started_is_our_own_mistake() -> None:
    with (
        ConverterProcess(child="tests.tflite.fake_child") as converter,
        pytest.raises(RuntimeError, match=r"result\(\) must follow start\(\)"),
    ):
        converter.result()


def test_a_result_that_nobody_fetched_is_not_taken_for_the_next(tmp_path) -> None:
    with ConverterProcess(child="tests.tflite.fake_child") as converter:
        converter.start(tmp_path, Export(), None)
        converter.start(tmp_path, Export(quantize="float16"), None)
        with pytest.raises(FileNotFoundError, match=r"2\.tflite"):  # the fake writes nothing
            converter.result()


@pytest.mark.slow
def test_samples_go_to_the_input_that_they_are_named_for(keras, converter, tmp_path) -> None:
    lowered = lower(two_ways(keras), tmp_path / "model")
    generator = np.random.default_rng(0)
    samples = {
        "facts": generator.uniform(-100, 100, (40, 4)).astype("f"),
        "image": generator.uniform(-1, 1, (40, 6, 6, 1)).astype("f"),
    }
    model = read_model_file(converter.convert(lowered.folder, Export(quantize="int8"), samples))
    scales = {tensor.name: tensor.scale for tensor in model.inputs}
    assert scales["image"] == pytest.approx(2 / 255, rel=0.05)
    assert scales["facts"] == pytest.approx(200 / 255, rel=0.05)


@pytest.mark.slow
def test_an_input_may_be_called_like_an_argument_of_numpy_s(keras, converter, tmp_path) -> None:
    lowered = lower(keras.Sequential([keras.Input((4,), name="file"), keras.layers.Dense(2)]), tmp_path / "model")
    samples = {"file": np.random.default_rng(0).uniform(-1, 1, (8, 4)).astype("f")}
    (found,) = read_model_file(converter.convert(lowered.folder, Export(quantize="int8"), samples)).inputs
    assert (found.name, found.dtype) == ("file", "int8")


@pytest.mark.slow
def test_a_file_runs_in_tensorflow_when_it_says_so(converter, file) -> None:
    assert converter.try_in_tensorflow(file("tokens")) == ""
    newer = bytearray(file("int8"))
    struct.pack_into("<i", newer, Source(memoryview(newer)).root().tables(1)[0].at(2, 4), 99)
    assert "version '99'" in converter.try_in_tensorflow(bytes(newer))


@pytest.mark.slow
def test_what_the_converter_cannot_read_is_told_in_one_line(converter, tmp_path) -> None:
    with pytest.raises(ConversionError, match="refuses to convert to float32: ") as caught:
        converter.convert(tmp_path, Export(), None)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_op_without_an_integer_kernel_is_named_and_can_stay_in_float(keras, converter, tmp_path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 3), name="image"), layers.Conv2D(4, 3, activation="hard_swish"), layers.Flatten()]
    )
    model.add(layers.Dense(2))
    lowered = lower(model, tmp_path / "model")
    samples = {"image": np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("f")}
    settings = Export(quantize="int16x8")
    with pytest.raises(
        MissingKernelError, match="to int16x8: no integer kernel for HARD_SWISH; give --float-ops allow"
    ):
        converter.convert(lowered.folder, settings, samples)
    assert (
        "HARD_SWISH" in read_model_file(converter.convert(lowered.folder, settings, samples, float_ops=True)).op_counts
    )


@pytest.mark.slow
def test_tensorflow_ops_are_named_and_can_be_allowed(keras, converter, tmp_path) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 4, 1), name="volume"), layers.MaxPooling3D(2)])
    lowered = lower(model, tmp_path / "model")
    with pytest.raises(ConversionError, match="no TFLite op for MaxPool3D; replace those layers, or give --select-ops"):
        converter.convert(lowered.folder, Export(), None)
    model = read_model_file(converter.convert(lowered.folder, Export(select_ops=True), None))
    assert [op.name for op in model.ops if op.flex] == ["FlexMaxPool3D"]


@pytest.mark.slow
def test_the_real_converter_dies_on_a_recurrent_layer_and_the_caller_lives(keras, converter, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 4), name="steps"), keras.layers.LSTM(4), keras.layers.Dense(2)])
    lowered = lower(model, tmp_path / "model")
    samples = {"steps": np.random.default_rng(0).normal(size=(8, 6, 4)).astype("f")}
    with pytest.raises(
        ConversionError,
        match=r"died by SIG(SEGV|ABRT) while converting to int8; the model holds a loop, .* train with --qat",
    ):
        converter.convert(lowered.folder, Export(quantize="int8"), samples)
    content = converter.convert(lowered.folder, Export(), None)  # by a new child
    with InterpreterProcess(content) as interpreter:
        assert interpreter.run(samples)[lowered.signature.outputs[0].name].shape == (8, 2)


@pytest.mark.slow
def test_everything_the_converter_prints_goes_to_the_log(keras, tmp_path, capfd) -> None:
    lowered = lower(cnn(keras), tmp_path / "model")
    convert.CHILDREN.close()  # one that has converted before has nothing to print
    capfd.readouterr()
    with ConverterProcess(tmp_path / "log.txt") as converter:
        converter.convert(lowered.folder, Export(quantize="dynamic"), None)
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "log.txt").stat().st_size > 0


@pytest.mark.slow
def test_the_remedy_fits_what_the_model_holds(keras, tmp_path) -> None:
    layers = keras.layers
    plain = keras.Sequential([keras.Input((6, 4)), layers.Flatten(), layers.Dense(3, activation="relu")])
    recurrent = keras.Sequential([keras.Input((6, 4)), layers.GRU(3)])
    for name, model in (("plain", plain), ("recurrent", recurrent)):
        lower(model, tmp_path / name)
    assert {"MatMul", "Relu"} <= operations(tmp_path / "plain")
    assert not LOOPS & operations(tmp_path / "plain")
    assert LOOPS & operations(tmp_path / "recurrent")
    assert operations(tmp_path) == set()
    with ConverterProcess(child="tests.tflite.dying_child") as broken:
        for name, export, qat, words in (
            ("plain", Export(quantize="int8"), False, "the model holds BiasAdd, MatMul, Relu; choose another"),
            ("recurrent", Export(quantize="int8"), False, "holds a loop, .*: train with --qat, which writes"),
            ("recurrent", Export(quantize="int8"), True, "holds a loop, .*: build them with unroll=True"),
            ("recurrent", Export(quantize="float16"), False, "choose another --quantize, or replace"),
        ):
            with pytest.raises(ConversionError, match=words):
                broken.convert(tmp_path / name, export, None, qat=qat)
