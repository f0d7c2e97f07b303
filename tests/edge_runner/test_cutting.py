from pathlib import Path

import numpy as np
import pytest

from edge_runner import cutting, flatbuffer, graph
from edge_runner.interpreter import Model
from edge_runner.made_up import made_up

DATA = Path(__file__).parents[1] / "data"


def run(source, values):
    model = Model(source, "litert", kernels="reference")
    model.allocate()
    for tensor in model.inputs:
        model.put(tensor, values[tensor.index])
    model.invoke()
    return {tensor.index: model.get(tensor) for tensor in model.outputs}


@pytest.mark.parametrize("name", ["blobs_float", "blobs_int8", "two_inputs"])
def test_node_after_node_computes_what_the_whole_computes(name):
    content = (DATA / f"{name}.tflite").read_bytes()
    described = graph.read_graph(content)
    whole = Model(content, "litert", kernels="reference")
    whole.allocate()
    values = {tensor.index: made_up(tensor, 3) for tensor in whole.inputs}
    expected = run(content, values)
    for index in range(len(described.subgraphs[0].operators)):
        piece = cutting.cut(content, described, index)
        assert flatbuffer.read_facts(piece).operators == 1
        values.update(run(piece, {tensor: values[tensor] for tensor in cutting.fed(described, index)}))
    for tensor, array in expected.items():
        assert np.array_equal(values[tensor], array)


def test_constants_and_states_are_not_fed():
    described = graph.read_graph((DATA / "lstm.tflite").read_bytes())
    assert cutting.fed(described, 0) == [described.subgraphs[0].inputs[0]]
