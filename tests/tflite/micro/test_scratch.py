"""tfcompress.tflite.micro.scratch and scratch_child."""

from __future__ import annotations

import pytest

from edge_runner.graph import read_graph
from tfcompress.errors import ContractError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.op_places import OpPlaces
from tfcompress.tflite.micro.process import MicroProcess
from tfcompress.tflite.micro.record import KernelScratch
from tfcompress.tflite.micro.scratch import scratch_of

ARENA_BYTES = 1 << 20


def scratch(content: bytes) -> tuple[KernelScratch, ...] | None:
    return scratch_of(content, OpPlaces(read_model_file(content)), ARENA_BYTES)


def test_convolutions_of_int8_ask_for_nothing(tflm, file) -> None:
    assert scratch(file("int8")) == ()


def test_an_lstm_asks_for_a_piece_for_each_of_its_four_gates(tflm, file) -> None:
    content = file("lstm")
    graph = read_graph(content).subgraphs[0]
    (lstm,) = (op for op in graph.operators if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM")
    units = graph.tensors[lstm.inputs[1]].shape[0]
    (found,) = scratch(content) or ()
    assert found.op == lstm.name
    assert found.where.startswith("UNIDIRECTIONAL_SEQUENCE_LSTM at ")
    assert found.size_bytes == 4 * -(-4 * units // 16) * 16  # float32, each piece filled up to 16 bytes


def test_ops_in_the_body_of_a_loop_are_measured_too(tflm, file) -> None:
    assert scratch(file("loop")) == ()
    assert len(read_graph(file("loop")).subgraphs) > 1


def test_nothing_is_said_where_an_op_does_not_stand_alone(tflm, file) -> None:
    content = file("tokens")
    with pytest.raises(ContractError, match="no kernel for SELECT"):
        MicroProcess(content).opened()
    assert scratch(content) is None
