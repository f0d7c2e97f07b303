"""The sources of a file that Vela compiled, by itself and beside an export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tfcompress as tfc
from tests.firmware.compiling import build, needs_compilers, output_of, write_stubs
from tfcompress.errors import UnsupportedError
from tfcompress.firmware.package import make_firmware
from tfcompress.firmware.ports import check_same_ports, ports_of
from tfcompress.recipe import Export, Recipe
from tfcompress.targets.target import ACCELERATORS
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.vela import Compiled, compile_for

CONTENT = (Path(__file__).parents[1] / "data" / "tflite" / "int8.tflite").read_bytes()


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    pytest.importorskip("ethosu", reason="ethos-u-vela is not installed: pip install 'tfcompress[mcu]'")
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tfcompress[mcu]'")
    return compile_for(CONTENT, "ethos-u55-128")


@pytest.mark.slow
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_every_accelerator_s_file_is_set_up(accelerator: str, compiled: Compiled) -> None:
    made = make_firmware(CONTENT, compiled=compile_for(CONTENT, accelerator))
    assert made.methods == ("AddEthosU",)
    assert made.arena.needed_bytes > compiled.estimate.sram_bytes


@needs_compilers
def test_the_sources_hold_the_compiled_file_and_the_golden_pair_of_its_source(compiled: Compiled, tmp_path) -> None:
    plain, made = make_firmware(CONTENT, samples=2), make_firmware(CONTENT, samples=2, compiled=compiled)
    assert made.size_bytes == len(compiled.content) != plain.size_bytes
    assert made.texts["model_golden.h"] == plain.texts["model_golden.h"]
    assert "Vela 5" in made.texts["model.h"]
    assert "Shared_Sram" in made.texts["model.h"]
    assert "on which nothing ran" in made.texts["model.h"]
    made.save(tmp_path)
    sources, stubs = [tmp_path / "main_test.cc", tmp_path / "model.cc"], write_stubs(tmp_path / "stubs")
    program = build("g++", sources, tmp_path / "golden", "-std=c++17", f"-I{tmp_path}", f"-I{stubs}")
    for wrong in (0, 1):
        returned, printed = output_of(program, STUB_WRONG=str(wrong))
        assert (returned, "ALL TESTS PASSED" in printed) == (wrong, not wrong)


def test_a_file_that_takes_other_numbers_has_no_golden_pair(compiled: Compiled) -> None:
    inputs, outputs = ports_of(read_model_file(CONTENT))
    ports = (*inputs, *outputs)
    check_same_ports(ports, ports)
    other = dataclasses.replace(outputs[0], zero_point=3)
    with pytest.raises(
        UnsupportedError, match=r"output 0 of the compiled file must be that of its source, .*-128.*3\)"
    ):
        check_same_ports((*inputs, other), ports)
    with pytest.raises(UnsupportedError, match="must have 2 inputs and outputs as its source has, it has 1"):
        check_same_ports(inputs, ports)
    with pytest.raises(
        UnsupportedError, match="give the file that it was compiled from, or export the model with --ta"
    ):
        make_firmware(compiled.content)


@pytest.mark.slow
@needs_compilers
def test_an_export_for_an_ethos_registers_the_npu_and_what_falls_back(keras, compiled: Compiled, tmp_path) -> None:
    keras.utils.set_random_seed(0)
    words = keras.Input((6,), dtype="int32", name="words")
    inner = keras.layers.Embedding(20, 8, name="table")(words)
    inner = keras.layers.Conv1D(8, 3, activation="relu")(inner)
    model = keras.Model(words, keras.layers.Dense(4, name="scores")(keras.layers.Flatten()(inner)))
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 20, (60, 6)).astype(np.int32), np.arange(60) % 4
    data = {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}
    settings = Export(quantize="int8", calibration="minmax", target="ethos-u55-128", c_array=True)
    result = tfc.compress(model, Recipe(export=settings), data, output=tmp_path / "out", progress=False)
    micro = result.tflite.verification.micro
    assert micro is not None
    assert micro.npu is not None
    left = {op.op for op in micro.npu.cpu_ops}
    assert "GATHER" in left
    sources = tmp_path / "out" / "firmware"
    ops = (sources / "model_ops.h").read_text()
    assert "resolver.AddEthosU()" in ops
    assert "resolver.AddGather()" in ops
    assert f"MicroMutableOpResolver<{1 + len(left)}>" in ops
    header = (sources / "model.h").read_text()
    assert f"MODEL_SIZE_BYTES {len(result.tflite.compiled)}u" in header
    assert ".vela.tflite" in header
    assert not (sources / "arduino").exists()
    build("gcc", [sources / "model.h"], tmp_path / "header.gch", "-std=c99", "-fsyntax-only")
