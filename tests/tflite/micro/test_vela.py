"""tfcompress.tflite.micro.vela and compiler."""

from __future__ import annotations

import pytest

from tfcompress.errors import ContractError, MissingDependencyError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro import vela as vela_module
from tfcompress.tflite.micro.op_places import OpPlaces
from tfcompress.tflite.micro.vela import compile_for
from tfcompress.tflite.slim import slim
from tfcompress.worker import WorkerAnswerError


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
    assert {op.name for op in read_model_file(compiled.content).ops} == {"ethos-u"}


def test_what_stays_on_the_cpu_is_named_with_its_layer_even_in_a_slimmed_file(vela, file) -> None:
    content = file("tokens")
    packed = slim(content)
    places = OpPlaces(read_model_file(packed), read_model_file(content).tensor_names, ("embedding",))
    left = compile_for(packed, "ethos-u55-128", places).estimate.cpu_ops
    assert [each.where for each in left] == [f"{name} at layer 'embedding'" for name in ("LESS", "SELECT", "GATHER")]
    assert {each.reason for each in left} == {"Unsupported opType"}


def test_what_vela_says_is_told_in_a_line() -> None:
    told = vela_module._error(WorkerAnswerError("RuntimeError", "Warning: No configuration\n\nError: a bad file\n"))
    assert isinstance(told, ContractError)
    assert str(told) == "Vela refuses this file: Error: a bad file"
    missing = vela_module._error(WorkerAnswerError("ModuleNotFoundError", "No module named 'ethosu'"))
    assert isinstance(missing, MissingDependencyError)
    assert str(missing).endswith("pip install 'tfcompress[mcu]'")
