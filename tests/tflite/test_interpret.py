"""tfcompress.tflite.interpret and interpreter_child."""

from __future__ import annotations

import struct
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from edge_runner.cursor import Source
from tests.tflite.make_files import FOLDER
from tfcompress.errors import ContractError, DataError, MissingDependencyError, ModelError
from tfcompress.models.specs import TensorSpec
from tfcompress.tflite import interpret
from tfcompress.tflite.interpret import InterpreterProcess


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def test_it_opens_the_file_and_tells_the_runtimes_version(file) -> None:
    with InterpreterProcess(FOLDER / "int8.tflite") as interpreter:
        assert interpreter.opened() == version("ai-edge-litert")


@pytest.mark.parametrize("scheme", ["float16", "dynamic", "int8", "int16x8"])
def test_real_values_go_in_and_out_whatever_the_file_stores(file, images, scheme: str) -> None:
    with InterpreterProcess(file("none")) as exact, InterpreterProcess(file(scheme)) as other:
        expected, got = exact.run(images)["scores"], other.run(images)["scores"]
    assert got.dtype == np.float32
    assert got.shape == (12, 10)
    assert np.abs(got - expected).max() < 0.05
    assert expected.sum(axis=1) == pytest.approx(1)


def test_inputs_and_outputs_go_by_name_whatever_their_order(file) -> None:
    generator = np.random.default_rng(0)
    image = generator.normal(size=(5, 6, 6, 1)).astype("f")
    facts = generator.normal(size=(5, 4)).astype("f")
    with InterpreterProcess(file("two_ways")) as interpreter:
        one = interpreter.run({"image": image, "facts": facts})
        other = interpreter.run({"facts": facts, "image": image})
        alone = interpreter.run({"facts": facts[3:4], "image": image[3:4]})
    assert one["class"].shape == (5, 3)
    assert one["size"].shape == (5, 1)
    for name, values in one.items():
        assert np.array_equal(values, other[name])
        assert values[3] == pytest.approx(alone[name][0], rel=1e-5)


def test_whole_numbers_stay_whole(file) -> None:
    ids = np.arange(15).reshape(3, 5).astype(np.int64)
    with InterpreterProcess(file("tokens")) as interpreter:
        assert interpreter.signature.inputs == (TensorSpec("ids", (5,), "int32"),)
        assert np.isfinite(interpreter.run({"ids": ids})["answer"]).all()


def test_quantized_inputs_count_as_float_in_the_signature(file) -> None:
    with InterpreterProcess(file("int8")) as interpreter:
        assert interpreter.signature.inputs == (TensorSpec("image", (8, 8, 3), "float32"),)
        assert interpreter.signature.outputs == (TensorSpec("scores", (10,), "float32"),)


def test_the_state_of_one_sample_does_not_leak_into_the_next(file) -> None:
    steps = np.random.default_rng(0).normal(size=(7, 6, 4)).astype("f")
    with InterpreterProcess(file("lstm"), workers=1) as interpreter:
        together = interpreter.run({"steps": steps})["answer"]
        apart = np.concatenate([interpreter.run({"steps": steps[i : i + 1]})["answer"] for i in range(7)])
    assert np.array_equal(together, apart)


def test_samples_keep_their_order_through_workers_and_chunks(file, images, monkeypatch) -> None:
    with InterpreterProcess(file("int8"), workers=1) as interpreter:
        expected = interpreter.run(images)["scores"]
    monkeypatch.setattr(interpret, "CHUNK_BYTES", 5 * 8 * 8 * 3 * 4)
    with InterpreterProcess(file("int8"), workers=3) as interpreter:
        assert np.array_equal(interpreter.run(images)["scores"], expected)


def test_values_beyond_the_range_saturate(file) -> None:
    image = np.zeros((2, 8, 8, 3), np.float32)
    image[0], image[1] = 1e6, 1e3
    with InterpreterProcess(file("int8")) as interpreter:
        first, second = interpreter.run({"image": image})["scores"]
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"picture": np.zeros((1, 8, 8, 3))}, "inputs must be named image, got picture"),
        ({"image": np.zeros((1, 8, 8))}, r"input 'image' must have the shape \(samples, 8, 8, 3\), got \(1, 8, 8\)"),
        ({"image": np.zeros((1, 3, 8, 8))}, r"input 'image' must have the shape \(samples, 8, 8, 3\), got"),
        ({"image": np.zeros((0, 8, 8, 3))}, "the same number of samples, at least one, got {'image': 0}"),
    ],
)
def test_samples_that_do_not_fit_are_refused(file, inputs, message: str) -> None:
    with InterpreterProcess(file("int8")) as interpreter, pytest.raises(DataError, match=message):
        interpreter.run(inputs)


def test_reference_kernels_agree_with_xnnpack_to_a_step(file, images) -> None:
    with InterpreterProcess(file("int8")) as fast, InterpreterProcess(file("int8"), reference_kernels=True) as slow:
        difference = fast.run(images)["scores"] - slow.run(images)["scores"]
    assert np.abs(difference).max() <= 1 / 256 + 1e-6


def test_what_is_no_tflite_file_is_refused_before_a_process_starts() -> None:
    with pytest.raises(ModelError, match="not a TFLite file"):
        InterpreterProcess(b"something else")


def test_a_runtime_that_refuses_a_file_says_why(file) -> None:
    changed = bytearray(file("int8"))
    place = Source(memoryview(changed)).root().tables(1)[0].at(2, 4)
    struct.pack_into("<i", changed, place, 99)  # the version of the first operator code
    with (
        InterpreterProcess(bytes(changed)) as interpreter,
        pytest.raises(ContractError, match=r"litert refuses this file: .*version '99'") as refusal,
    ):
        interpreter.opened()
    with pytest.raises(ContractError) as again:  # no answer is waited for that has come already
        interpreter.reopen(file("int8"))
    assert again.value is refusal.value


def test_a_file_is_opened_in_the_place_of_another_and_nothing_of_that_stays(
    file, images, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with InterpreterProcess(file("none")) as interpreter:
        expected = interpreter.run(images)["scores"]
        for scheme in ("int8", "none"):
            interpreter.reopen(file(scheme))
            assert interpreter.model.inputs[0].dtype == {"int8": "int8", "none": "float32"}[scheme]
            found = interpreter.run(images)["scores"]
            assert np.array_equal(found, expected) == (scheme == "none")
            assert {p.name for p in tmp_path.glob("*/*")} == {"log.txt", "model.tflite"}
        with pytest.raises(ModelError, match="not a TFLite file"):
            interpreter.reopen(b"something else")
        assert np.array_equal(interpreter.run(images)["scores"], expected)


def test_a_death_by_signal_becomes_the_error_that_was_asked_for(file, images) -> None:
    with (
        InterpreterProcess(file("int8"), child="tests.tflite.dying_child") as interpreter,
        pytest.raises(ContractError, match="litert died by SIGSEGV on this file; it is malformed, or uses what"),
    ):
        interpreter.run(images)
    with (
        InterpreterProcess(file("int8"), child="tests.tflite.dying_child", refusal=ModelError) as interpreter,
        pytest.raises(ModelError, match="died by SIGSEGV"),
    ):
        interpreter.opened()


@pytest.mark.skipif(installed("tflite-runtime"), reason="tflite-runtime is installed here")
def test_a_runtime_that_is_not_installed_is_told_with_its_package(file) -> None:
    with (
        InterpreterProcess(file("int8"), runtime="tflite-runtime") as interpreter,
        pytest.raises(MissingDependencyError, match="pip install tflite-runtime"),
    ):
        interpreter.opened()


def test_nothing_stays_behind(file, images, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with InterpreterProcess(file("int8")) as interpreter:
        interpreter.run(images)
        assert {p.name for p in tmp_path.glob("*/*")} == {"log.txt", "model.tflite"}
    assert list(tmp_path.iterdir()) == []
