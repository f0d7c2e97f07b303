"""tfcompress.tflite.micro.npu_stand_in."""

from __future__ import annotations

import pytest

from edge_runner.graph import read_graph
from tests.tflite.make_files import FOLDER
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.npu_stand_in import addresses_bytes, with_stand_in
from tfcompress.tflite.micro.op_places import NPU_OP
from tfcompress.tflite.micro.process import MicroProcess
from tfcompress.tflite.micro.vela import Compiled, compile_for

CONTENT = (FOLDER / "int8.tflite").read_bytes()


@pytest.fixture(scope="module")
def compiled(tflm, vela) -> Compiled:
    return compile_for(CONTENT, "ethos-u55-128")


def test_with_a_stand_in_tflm_lays_out_what_vela_planned(compiled: Compiled) -> None:
    content = with_stand_in(compiled.content)
    assert NPU_OP not in read_model_file(content).op_counts
    before, after = (read_graph(each).subgraphs[0] for each in (compiled.content, content))
    assert [(op.inputs, op.outputs) for op in after.operators] == [(op.inputs, op.outputs) for op in before.operators]
    with MicroProcess(content) as micro:
        assert micro.arena.head_bytes == compiled.estimate.sram_bytes  # with all tensors of this accelerator in SRAM


def test_two_tables_of_addresses_are_kept_for_each_op_of_the_npu(compiled: Compiled) -> None:
    (op,) = read_graph(compiled.content).subgraphs[0].operators
    assert len(op.inputs) + len(op.outputs) == 6
    assert addresses_bytes(compiled.content) == 2 * 6 * 8
    assert addresses_bytes(CONTENT) == 0
