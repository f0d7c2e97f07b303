"""tfcompress.tflite.micro.process and interpreter."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from tfcompress.errors import ContractError, MissingDependencyError, ModelError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.micro.op_places import OpPlaces
from tfcompress.tflite.micro.process import MicroProcess, lacking_text


def test_it_answers_as_the_reference_kernels_do_and_tells_what_it_takes(tflm, file, images) -> None:
    content = file("int8")
    with MicroProcess(content) as micro, InterpreterProcess(content, reference_kernels=True) as reference:
        assert micro.opened() == version("tflite-micro")
        assert np.array_equal(micro.run(images)["scores"], reference.run(images)["scores"])
        arena = micro.arena
    assert arena.total_bytes == arena.head_bytes + arena.tail_bytes
    assert arena.head_bytes >= 2 * 6 * 6 * 8  # what stands between the two convolutions
    assert {part.name for part in arena.parts} > {"NodeAndRegistration struct"}


def test_several_inputs_and_outputs_go_by_name(tflm, file) -> None:
    generator = np.random.default_rng(0)
    inputs = {"image": generator.normal(size=(3, 6, 6, 1)), "facts": generator.normal(size=(3, 4))}
    given = {name: values.astype("f") for name, values in inputs.items()}
    content = file("two_ways")
    with MicroProcess(content) as micro, InterpreterProcess(content) as other:
        ours, theirs = micro.run(given), other.run(given)
    for name, values in theirs.items():
        assert ours[name] == pytest.approx(values, abs=1e-5)


def test_the_state_of_one_sample_does_not_leak_into_the_next(tflm, file) -> None:
    steps = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("f")
    with MicroProcess(file("lstm")) as micro:
        together = micro.run({"steps": steps})["answer"]
        apart = np.concatenate([micro.run({"steps": steps[i : i + 1]})["answer"] for i in range(3)])
    assert np.array_equal(together, apart)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokens", r"no kernel for SELECT \(layer 'embedding'\): replace those layers, or choose another --target"),
        ("sparse", r"no kernel for DENSIFY \('sequential_1_1/conv_1/Relu', "),
        ("dynamic", r"TFLM refuses FULLY_CONNECTED at .*: Input type: FLOAT32 with filter type: INT8 not supported"),
        ("float16", r"TFLM refuses DEQUANTIZE at 'sequential_1/scores_1/BiasAdd1'"),
        ("open_extents", r"one shape, and 'image' has axes of any size \(any, any, any, 3\); give the model a fixed"),
    ],
)
def test_what_tflm_cannot_run_is_one_line_that_says_where(tflm, file, name: str, message: str) -> None:
    content = file(name)

    def opened() -> None:
        places = OpPlaces(read_model_file(content), layers=("embedding",))
        with MicroProcess(content, places=places) as micro:
            micro.opened()

    with pytest.raises(ContractError, match=message) as refusal:
        opened()
    assert "\n" not in str(refusal.value)


def test_ops_that_are_known_to_be_lacking_are_named_without_asking(file) -> None:
    places = OpPlaces(read_model_file(file("tokens")))
    assert lacking_text(places).startswith("TensorFlow Lite Micro has no kernel for SELECT ('sequential_2_1/")
    assert lacking_text(OpPlaces(read_model_file(file("int8")))) == ""
    assert "CONV_2D (" in lacking_text(OpPlaces(read_model_file(file("int8"))), ["CONV_2D"])


def test_a_package_that_is_not_installed_is_one_line(file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tflite_micro.py").write_text("raise ImportError('there is none')")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        MicroProcess(file("int8")) as micro,
        pytest.raises(MissingDependencyError, match=r"there is none; pip install 'tfcompress\[mcu\]'$"),
    ):
        micro.opened()


def test_what_is_no_file_of_tflite_is_refused_before_anything_is_started() -> None:
    with pytest.raises(ModelError, match="not a TFLite file"):
        MicroProcess(b"not one")
