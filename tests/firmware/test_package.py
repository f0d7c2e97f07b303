"""The sources of a firmware, compiled: as C, as C++, and against declarations of TensorFlow Lite Micro."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.firmware.compiling import build, needs_compilers, output_of, write_stubs
from tfcompress.errors import ModelError, UsageError
from tfcompress.firmware import package
from tfcompress.firmware.package import Firmware, make_firmware

FILE = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


@pytest.fixture(scope="module")
def made() -> Firmware:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "find_spec", lambda name: None)
        return make_firmware(
            FILE.read_bytes(), source="odd */ name\\\n.tflite", samples=3, layouts=("arduino", "esp-idf")
        )


@pytest.fixture(scope="module")
def folder(made: Firmware, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("firmware")
    made.save(target)
    write_stubs(target / "stubs")
    return target


@needs_compilers
def test_the_headers_are_c_and_the_array_is_the_file(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "dump.c"
    source.write_text(
        '#include "model.h"\n#include "model_golden.h"\n#include <stdio.h>\n'
        "int main(void) {\n  (void)model_golden_input_0; (void)model_golden_output_0;\n"
        "  if ((uintptr_t)model_data % 16) return 1;\n"
        "  return fwrite(model_data, 1, MODEL_SIZE_BYTES, stdout) != MODEL_SIZE_BYTES;\n}\n"
    )
    array = build("g++", [folder / "model.cc"], tmp_path / "model.o", "-std=c++11", "-c")
    program = build("gcc", [source, array], tmp_path / "dump", "-std=c99", "-pedantic", "-I", str(folder))
    dumped = subprocess.run([program], capture_output=True, check=True).stdout
    assert dumped == FILE.read_bytes()


@needs_compilers
def test_quantize_and_dequantize_are_what_the_interpreters_do(made: Firmware, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "convert.c"
    source.write_text(
        '#include "model.h"\n#include <stdio.h>\nint main(void) {\n  float value;\n'
        "  while (fread(&value, sizeof value, 1, stdin) == 1) {\n"
        "    float pair[2] = {(float)model_input_0_quantize(value), model_output_0_dequantize("
        "(model_output_0_t)model_output_0_quantize(value))};\n"
        "    fwrite(pair, sizeof pair, 1, stdout);\n  }\n  return 0;\n}\n"
    )
    program = build("gcc", [source], tmp_path / "convert", "-std=c99", "-pedantic", "-I", str(folder))
    given, taken = made.inputs[0], made.outputs[0]
    assert given.scale
    assert taken.scale
    halves = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)) * np.float32(given.scale)
    values = np.concatenate([halves, np.random.default_rng(0).normal(0, 1, 500), [1e30, -1e30, np.inf, -np.inf]])
    values = values.astype(np.float32)
    run = subprocess.run([program], input=values.tobytes() + struct.pack("f", np.nan), capture_output=True)
    got = np.frombuffer(run.stdout, np.float32).reshape(-1, 2)
    assert np.array_equal(got[:-1, 0], given.stored(values))
    real = (taken.stored(values).astype(np.float32) - np.float32(taken.zero_point)) * np.float32(taken.scale)
    assert np.array_equal(got[:-1, 1], real)
    assert got[-1, 0] == -128  # NaN has no place of its own


@needs_compilers
def test_the_golden_test_sees_a_step(folder: Path, tmp_path: Path) -> None:
    for steps in (0, 1):
        program = build(
            "g++",
            [folder / "main_test.cc", folder / "model.cc"],
            tmp_path / f"golden{steps}",
            "-std=c++17",
            f"-I{folder}",
            f"-I{folder / 'stubs'}",
            f"-DMODEL_GOLDEN_STEPS={steps}",
        )
        for wrong in (0, 1, 2):
            returned, printed = output_of(program, STUB_WRONG=str(wrong))
            failures = 3 * (wrong > steps)  # one output of each sample
            assert returned == (failures > 0)
            assert ("ALL TESTS PASSED" in printed) == (failures == 0)
            assert printed.count("output 0[1]:") == failures


def test_every_layout_holds_what_its_builder_looks_for(made: Firmware) -> None:
    model = {"model.h", "model_ops.h", "model_golden.h", "model_golden_test.h"}
    arduino = {path for path in made.texts if path.startswith("arduino/model/src/")}
    assert {Path(path).name for path in arduino} == {*model, "model.cpp"}
    component = {path for path in made.texts if path.startswith("esp-idf/components/model/")}
    assert {Path(path).name for path in component} == {*model, "model.cc", "CMakeLists.txt", "idf_component.yml"}
    assert "name=model\n" in made.texts["arduino/model/library.properties"]
    assert "model_golden_test()" in made.texts["arduino/model/examples/golden_test/golden_test.ino"]
    assert "app_main" in made.texts["esp-idf/main/main.cc"]


def test_what_is_no_model_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a TFLite file"):
        make_firmware(b"")
    with pytest.raises(UsageError, match="main_test"):
        make_firmware(FILE.read_bytes(), name="main_test")
