"""tfcompress.tflite.micro.vela and compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcompress.errors import ContractError, MissingDependencyError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.op_places import NPU_OP, OpPlaces
from tfcompress.tflite.micro.process import MicroProcess
from tfcompress.tflite.micro.vela import compile_for
from tfcompress.tflite.slim import slim


def test_an_int8_net_runs_on_the_npu_alone(vela, file) -> None:
    compiled = compile_for(file("int8"), "ethos-u55-128")
    estimate = compiled.estimate
    assert estimate.accelerator == "ethos-u55-128"
    assert estimate.cpu_ops == ()
    assert estimate.npu_ops > 0
    assert estimate.sram_bytes >= 2 * 6 * 6 * 8
    assert estimate.cycles >= estimate.npu_cycles > 0
    assert estimate.inference_ms == pytest.approx(1e3 * estimate.cycles / estimate.clock_hz)
    assert estimate.file_bytes == len(compiled.content)
    assert {op.name for op in read_model_file(compiled.content).ops} == {NPU_OP}
    with pytest.raises(ContractError, match="compiled for an Ethos-U already; give the file that Vela was given"):
        compile_for(compiled.content, "ethos-u55-128")
    words = "Failed to get registration from op code CUSTOM"
    with MicroProcess(compiled.content) as micro:
        assert micro.said(words).startswith("this file was compiled for an Ethos-U, which no interpreter runs")


def test_what_stays_on_the_cpu_is_named_with_its_layer_even_in_a_slimmed_file(vela, file) -> None:
    content = file("tokens")
    packed = slim(content)
    places = OpPlaces(read_model_file(packed), read_model_file(content).tensor_names, ("embedding",))
    left = compile_for(packed, "ethos-u55-128", places).estimate.cpu_ops
    assert [each.where for each in left] == [f"{name} at layer 'embedding'" for name in ("LESS", "SELECT", "GATHER")]
    assert {each.reason for each in left} == {"Unsupported opType"}


@pytest.mark.parametrize(
    ("does", "error", "message"),
    [
        (
            "print('Warning: No config'); print('Error: a bad file'); sys.exit(1)",
            ContractError,
            "Vela refuses this file: E",
        ),
        ("os._exit(3)", ContractError, "Vela died by exit code 3 on this file; choose another --target"),
    ],
)
def test_what_goes_wrong_in_vela_is_one_line(
    does: str, error: type[Exception], message: str, file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ethosu" / "vela"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "vela.py").write_text(f"import os, sys\n\n\ndef main(words):\n    {does}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=message) as refusal:
        compile_for(file("int8"), "ethos-u55-128")
    assert "\n" not in str(refusal.value)


def test_a_compiler_that_is_not_installed_is_one_line(file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ethosu.py").write_text("raise ImportError('there is none')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"there is none; pip install 'tfcompress\[mcu\]'$"):
        compile_for(file("int8"), "ethos-u55-128")
