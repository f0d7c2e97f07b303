"""Parts of a file compute what they compute in the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfcompress.tflite.interpret import InterpreterProcess
from tfcompress.tflite.slices import FileSlice, Slicer

pytest.importorskip("ai_edge_litert")

FILE = Path(__file__).parents[1] / "data" / "autoencoder_int8.tflite"


def run(part: FileSlice, given: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    inputs = {name: given[number] for name, number in part.inputs.items()}
    with InterpreterProcess(part.content, reference_kernels=True, whole=True, workers=1) as interpreter:
        outputs = interpreter.run(inputs)
    return {number: outputs[name] for name, number in part.outputs.items()}


@pytest.fixture(scope="module")
def slicer() -> Slicer:
    return Slicer(FILE.read_bytes())


@pytest.fixture(scope="module")
def given(slicer: Slicer) -> dict[int, np.ndarray]:
    """Return the input and everything that the file computes of it, by number."""
    (tensor,) = slicer.model.inputs
    x = np.random.default_rng(0).normal(size=(3, *tensor.example_shape)).astype("float32")
    return {tensor.index: x, **run(slicer.whole(), {tensor.index: x})}


def test_the_whole_gives_every_tensor_and_its_outputs_are_the_file_s(slicer: Slicer, given) -> None:
    assert set(given) == {*slicer.readable, slicer.model.inputs[0].index}
    (tensor,), (output,) = slicer.model.inputs, slicer.model.outputs
    with InterpreterProcess(FILE, reference_kernels=True) as interpreter:
        plain = interpreter.run({tensor.name: given[tensor.index][:, 0]})
    np.testing.assert_array_equal(plain[output.name], given[output.index][:, 0])


def test_the_rest_of_the_ops_goes_on_from_what_is_given(slicer: Slicer, given) -> None:
    ops = slicer.model.subgraphs[0].ops
    first = len(ops) // 2
    assert slicer.can_be_cut(first)
    part = slicer.rest(first)
    assert len(Slicer(part.content).model.subgraphs[0].ops) == len(ops) - first
    for number, values in run(part, given).items():
        np.testing.assert_array_equal(values, given[number])


def test_every_op_alone_gives_what_it_gives_in_its_place(slicer: Slicer, given) -> None:
    part, ops = slicer.alone()
    assert ops == tuple(range(len(slicer.model.subgraphs[0].ops)))
    for number, values in run(part, given).items():
        np.testing.assert_array_equal(values, given[number])


def test_ops_that_hold_state_are_left_out_of_those_that_stand_alone() -> None:
    slicer = Slicer((FILE.parent / "lstm.tflite").read_bytes())
    graph = slicer.model.subgraphs[0]
    stateful = {
        place for place, op in enumerate(graph.ops) if any(n >= 0 and graph.tensors[n].variable for n in op.inputs)
    }
    assert stateful
    assert not stateful & set(slicer.alone()[1])
