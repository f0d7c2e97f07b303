"""tfcompress.tflite.source_file: which files are taken in a model's place, and how they are made ready."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tflite.make_files import FOLDER
from tfcompress.errors import ModelError, UnsupportedError, UsageError
from tfcompress.models.specs import random_inputs
from tfcompress.recipe import Export
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess, signature_of_file
from tfcompress.tflite.slim import slim
from tfcompress.tflite.source_file import check_settings, is_tflite, load_source, with_names
from tfcompress.tflite.tree import parse_tree
from tfcompress.tflite.tree_writer import write_tree


@pytest.fixture(scope="module")
def plain() -> bytes:
    return (FOLDER / "none.tflite").read_bytes()


def without_signature(content: bytes) -> bytes:
    return write_tree(parse_tree(content).having(signature_defs=None))


@pytest.mark.parametrize("taking", [slim, without_signature])
def test_tensors_without_names_and_graphs_without_signatures_get_them(plain, taking) -> None:
    bare = taking(plain)
    named = with_names(bare)
    flat = read_model_file(named)
    names = [name for graph in flat.tensor_names for name in graph]
    assert "" not in names
    assert len(set(names)) == len(names)
    assert [each.subgraph for each in flat.signatures] == [0]
    assert signature_of_file(flat) == signature_of_file(read_model_file(bare))
    inputs = random_inputs(signature_of_file(flat), 3, 0)
    with InterpreterProcess(bare) as one, InterpreterProcess(named) as other:
        before, after = one.run(inputs), other.run(inputs)
    assert {name: values.tobytes() for name, values in before.items()} == {
        name: values.tobytes() for name, values in after.items()
    }


def test_what_has_both_stays_as_it_is(plain) -> None:
    assert with_names(plain) is plain


def test_a_float_file_tells_the_activation_of_its_output() -> None:
    found = load_source(FOLDER / "none.tflite")
    assert found.writer == "tflite"
    assert found.signature.outputs[0].traits.activation == "softmax"
    assert found.keras3 is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("int8", "is quantized to int8"),
        ("dynamic", "is quantized to int8"),
        ("float16", "is stored as float16"),
        ("sparse", "is stored in the sparse encoding"),
    ],
)
def test_a_file_in_other_numbers_is_refused(name: str, why: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"{name}\.tflite' is no plain float32 file: .*{why}"):
        load_source(FOLDER / f"{name}.tflite")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, plain) -> None:
    kernel = next(t for t in read_model_file(plain).subgraphs[0].tensors if t.constant and t.dtype == "float32")
    broken = plain.replace(bytes(kernel.data[:8]), np.float32([np.nan, 1]).tobytes(), 1)
    (tmp_path / "nan.tflite").write_bytes(broken)
    with pytest.raises(ModelError, match=r"holds NaN or infinity in 1 of \d+ values; convert the model again"):
        load_source(tmp_path / "nan.tflite")


def test_a_file_that_is_gone_and_a_torn_one_are_refused(tmp_path: Path, plain) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_source(tmp_path / "gone.tflite")
    (tmp_path / "torn.tflite").write_bytes(plain[: len(plain) // 2])
    with pytest.raises(ModelError, match="malformed TFLite file"):
        load_source(tmp_path / "torn.tflite")


def test_only_paths_of_files_are_files(tmp_path: Path) -> None:
    assert is_tflite(FOLDER / "none.tflite")
    assert not is_tflite(object())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Export(quantize="int8", correct=("bias",)), "--correct changes a Keras model's weights"),
        (Export(quantize="int8", rounding="gptq"), "--rounding looks at a Keras model's layers"),
        (Export(quantize="int8", weight_bits=4), "--weight-bits rewrites a Keras model"),
        (Export(quantize="int8", mixed=True), "--mixed measures"),
        (Export(quantize="int8", input_range=(0.0, 1.0)), "--input-range needs"),
        (Export(quantize="int8", calibration="mse"), "export.calibration must be 'minmax' for a .tflite file"),
        (Export(quantize="int8", io="uint8"), "litert-quantizer writes no uint8"),
        (Export(select_ops=True), "--select-ops is for"),
        (Export(sparse="never"), "--sparse is for"),
        (Export(streaming=True, hop=2), "--streaming takes a Keras model apart"),
    ],
)
def test_what_is_for_keras_models_is_refused(settings: Export, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_settings(settings)
