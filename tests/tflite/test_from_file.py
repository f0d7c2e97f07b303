"""tfcompress.tflite.from_file and quantizer: float files in other numbers, by litert-quantizer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.tflite.make_files import FOLDER
from tfcompress.errors import (
    ContractError,
    ConversionError,
    DataError,
    MissingDependencyError,
    PromiseError,
    UnsupportedError,
)
from tfcompress.models.specs import random_inputs
from tfcompress.preconditions import check_preconditions, need_keras
from tfcompress.recipe import QAT, Export, Prune, Recipe, Train
from tfcompress.tflite import quantizer
from tfcompress.tflite.agreement import agreements
from tfcompress.tflite.convert import ConverterProcess
from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.quantizer import QuantizerRequest, check_quantizer, quantized
from tfcompress.tflite.source_file import load_source

FLOAT = FOLDER / "none.tflite"


@pytest.fixture(scope="module")
def installed() -> None:
    pytest.importorskip("litert_quantizer", reason="the extra litert-quantizer is not installed")


@pytest.fixture(scope="module")
def source():
    return load_source(FLOAT).native


@pytest.fixture(scope="module")
def samples(source):
    return random_inputs(source.signature, 40, 0)


@pytest.mark.slow
def test_int8_is_int8_and_near_to_float(installed, source, samples) -> None:
    with ConverterProcess() as converter:
        made = tfc.export(source, Export(quantize="int8"), data=samples, converter=converter, progress=False)
    found = made.verification
    assert made.route == "litert-quantizer"
    assert found.float_ops == ()
    assert found.inputs[0].dtype == found.outputs[0].dtype == "int8"
    assert made.size_bytes < found.float_size_bytes == len(FLOAT.read_bytes())
    assert found.agreement[0].sqnr_db > 20
    assert [trial.name for trial in found.trials] == ["weights by minmax", "weights by least squares"]
    assert sum(trial.chosen for trial in found.trials) == 1
    assert found.packings[0].proven_in
    assert any(note.startswith("quantized by litert-quantizer") for note in made.notes)


def test_float_ends_stay_in_float(installed, source, samples) -> None:
    content = quantized(source.named, QuantizerRequest(scheme="int8", float_ends=True), samples)
    with InterpreterProcess(content) as interpreter:
        assert {each.dtype for each in (*interpreter.model.inputs, *interpreter.model.outputs)} == {"float32"}


def test_ranges_hold_what_is_rare(installed, source, samples) -> None:
    name = source.signature.inputs[0].name
    rare = np.concatenate([samples[name], 40 * samples[name][:1]])
    with InterpreterProcess(quantized(source.named, QuantizerRequest(scheme="int8"), {name: rare})) as interpreter:
        given = interpreter.model.inputs[0]
    assert given.scale * 255 >= np.ptp(rare) * 0.99


def test_inputs_of_any_size_stay_so(installed, converter, tmp_path: Path) -> None:
    """A window of 3 fits into no image of the size 1, at which such a file is opened."""
    import keras

    image = keras.Input((None, None, 2), name="image")
    net = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image)))
    tfc.export(net, converter=converter, progress=False).save(tmp_path / "free.tflite")
    free = load_source(tmp_path / "free.tflite").native
    small, large = (np.random.default_rng(0).normal(size=(8, n, n + 1, 2)).astype(np.float32) for n in (9, 14))
    content = quantized(free.named, QuantizerRequest(scheme="int8", float_ends=True), {"image": small})
    with InterpreterProcess(content) as interpreter, InterpreterProcess(free.content) as plain:
        assert [each.shape for each in interpreter.signature.inputs] == [(None, None, 2)]
        found = agreements(interpreter.model, plain.run({"image": large}), interpreter.run({"image": large}))
    assert found[0].sqnr_db is not None
    assert found[0].sqnr_db > 20


@pytest.mark.parametrize("name", ["loop", "lstm"])
def test_a_recurrence_is_refused_in_a_line(installed, name: str) -> None:
    given = load_source(FOLDER / f"{name}.tflite").native
    data = random_inputs(given.signature, 8, 0)
    with ConverterProcess() as converter, pytest.raises((ConversionError, ContractError)) as refusal:
        tfc.export(given, Export(quantize="int8"), data=data, converter=converter, progress=False)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("given", [True, False])
def test_the_proof_sees_the_samples_that_were_given(source, converter, monkeypatch, given: bool) -> None:
    seen: dict[str, Any] = {}

    def prove(content: bytes, settings: Export, **about: Any) -> SimpleNamespace:
        seen.update(about)
        return SimpleNamespace(record=None, compiled=b"")

    monkeypatch.setattr("tfcompress.tflite.micro.proof.prove", prove)
    monkeypatch.setattr("tfcompress.tflite.export.check_installed", lambda target: None)
    data = random_inputs(source.signature, 40, 7)
    asked = {"data": data if given else None, "converter": converter, "progress": False}
    tfc.export(source, Export(target="tflm"), **asked)
    (name,) = data
    real = {row.tobytes() for row in data[name]}
    assert seen["real_samples"] is given
    assert [row.tobytes() in real for row in seen["inputs"][name]] == [given] * len(seen["inputs"][name])
    with InterpreterProcess(source.content) as interpreter:
        expected = interpreter.run(seen["inputs"])
    assert {each: values.tobytes() for each, values in seen["keras_outputs"].items()} == {
        each: values.tobytes() for each, values in expected.items()
    }


def test_int8_without_samples_is_refused(source) -> None:
    with pytest.raises(DataError, match="needs samples"):
        tfc.export(source, Export(quantize="int8"), progress=False)


@pytest.mark.parametrize(
    ("recipe", "error", "why"),
    [
        (Recipe(stages=(QAT(),), export=Export(quantize="int8")), UnsupportedError, "qat rewrites or trains"),
        (
            Recipe(stages=(Prune(sparsity=0.5),)),
            UnsupportedError,
            "prune rewrites or trains a Keras model, and '.*none.tflite'",
        ),
        (
            Recipe(export=Export(quantize="int8", max_drop=1.0), train=Train(if_needed=True)),
            UnsupportedError,
            "--epochs trains a Keras model",
        ),
    ],
)
def test_what_needs_layers_is_refused_before_any_work(recipe, error, why: str) -> None:
    with pytest.raises(error, match=why):
        check_preconditions(FLOAT, recipe, has_data=True)


def test_int8_without_data_is_refused_before_any_work() -> None:
    with pytest.raises(DataError, match=r"'int8' of a .tflite file needs samples .* or use 'dynamic' or 'float16'"):
        check_preconditions(FLOAT, Recipe(export=Export(quantize="int8")), has_data=False)


def test_what_is_quantized_already_is_refused_before_any_work() -> None:
    with pytest.raises(UnsupportedError, match="is no plain float32 file"):
        check_preconditions(FOLDER / "int8.tflite", Recipe(export=Export(quantize="dynamic")), has_data=False)


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizer, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tfcompress\[litert-quantizer\]'"):
        check_quantizer()
    with pytest.raises(MissingDependencyError, match="which is not installed"):
        check_preconditions(FLOAT, Recipe(export=Export(quantize="dynamic")), has_data=False)


def test_a_search_wants_a_keras_model(tmp_path: Path) -> None:
    with pytest.raises(tfc.ModelError, match="is a TFLite file already; give the Keras model it was made from"):
        need_keras(FLOAT)
    need_keras(object())


@pytest.mark.slow
def test_compress_writes_the_same_folder_as_for_a_keras_model(installed, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(size=(80, 8, 8, 3)).astype(np.float32)
    labels = np.arange(80) % 10
    np.savez(tmp_path / "data.npz", x_train=pixels[:40], y_train=labels[:40], x_test=pixels[40:], y_test=labels[40:])
    recipe = Recipe(export=Export(quantize="dynamic"))
    made = tfc.compress(FLOAT, recipe, str(tmp_path / "data.npz"), output=tmp_path / "out", progress=False)
    report = made.report
    assert report.source.writer == "tflite"
    assert report.baseline.size_bytes == FLOAT.stat().st_size
    assert report.result.score.samples == report.baseline.score.samples == 40
    assert {report.result.name, "report.json", "report.html", "test-samples.npz"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert any("litert-quantizer" in warning for warning in report.warnings)


@pytest.mark.slow
def test_a_limit_that_no_file_keeps_is_told_with_the_ways_that_were_tried(installed, source, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(size=(1040, 8, 8, 3)).astype(np.float32)
    with InterpreterProcess(FLOAT.read_bytes()) as interpreter:
        (answers,) = interpreter.run({source.signature.inputs[0].name: pixels}).values()
    labels = answers.argmax(axis=1)
    np.savez(tmp_path / "data.npz", x_train=pixels[:40], y_train=labels[:40], x_test=pixels[40:], y_test=labels[40:])
    recipe = Recipe(export=Export(quantize="int8", max_drop=0.2))
    with pytest.raises(PromiseError, match="the Keras model that it was made from") as error:
        tfc.compress(FLOAT, recipe, str(tmp_path / "data.npz"), output=tmp_path / "out", progress=False)
    rungs = error.value.promise["rungs"]
    assert [rung["outcome"] for rung in rungs] == [*["missed"] * 2, *["not tried"] * 3]
    assert {rung["reason"] for rung in rungs[2:]} == {"a .tflite file holds no Keras layers"}
    assert not (tmp_path / "out").exists()
