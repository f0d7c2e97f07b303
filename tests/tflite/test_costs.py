"""tfcompress.tflite.costs: what the file does not tell is None, with the reason, and never a number that is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.graph import Operator
from tfcompress.tflite.costs import counts, macs, uncounted
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.tensors import StoredTensor, Subgraph


def tensor(index: int, *signature: int) -> StoredTensor:
    shape = tuple(1 if size < 0 else size for size in signature)
    nothing = np.empty(0, np.uint8)
    return StoredTensor(
        index, f"t{index}", shape, signature, "float32", (), (), 0, 0, nothing, variable=False, sparse=False
    )


def op(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], *calls: int, custom: bool = False) -> Operator:
    return Operator(name, 1, custom=custom, inputs=inputs, outputs=outputs, calls=calls)


def graph(signatures: list[tuple[int, ...]], *ops: Operator) -> Subgraph:
    return Subgraph(tuple(tensor(i, *signature) for i, signature in enumerate(signatures)), ops, (0,), (1,))


DENSE = graph([(1, 5), (1, 3), (3, 5)], op("FULLY_CONNECTED", (0, 2), (1,)))
ADDING = graph([(1, 5), (1, 5)], op("ADD", (0, 0), (1,)))


def test_an_image_of_any_size_has_no_number_of_multiply_accumulates(file) -> None:
    model = read_model_file(file("open_extents"))
    assert model.macs is None
    assert model.macs_note == "they depend on the shape of input 'image', which is open: (any, any, any, 3)"
    assert {row.macs for row in model.table()} == {0, None}


def test_a_loop_over_the_steps_of_a_sequence_counts_as_often_as_it_runs(file) -> None:
    model = read_model_file(file("loop"))
    assert model.macs == model.least_macs == 6 * (4 * 5 + 5 * 5) + 5 * 2
    assert model.macs_note == ""


@pytest.mark.parametrize("name", ["none", "int8", "two_ways", "tokens", "lstm", "sparse"])
def test_an_ordinary_network_is_counted_without_a_note(file, name: str) -> None:
    model = read_model_file(file(name))
    assert model.macs == model.least_macs > 0
    assert model.macs_note == ""


@pytest.mark.parametrize(
    ("calling", "body", "expected", "reason"),
    [
        (op("WHILE", (0,), (1,), 1, 1), DENSE, None, r"a loop \(WHILE\) runs as often"),
        (op("WHILE", (0,), (1,), 1, 1), ADDING, 0, ""),
        (op("WHILE", (0,), (1,)), DENSE, None, r"a loop \(WHILE\) runs as often"),
        (op("STABLEHLO_WHILE", (0,), (1,), 1, 1), DENSE, None, "a loop"),
        (op("IF", (0,), (1,), 1, 1), DENSE, None, "which branch of IF runs"),
        (op("IF", (0,), (1,), 1, 1), ADDING, 0, ""),
        (op("CALL", (0,), (1,), 1), DENSE, 5 * 3, ""),
        (op("STABLEHLO_COMPOSITE", (0,), (1,), 1), DENSE, 5 * 3, ""),
        (op("CALL_ONCE", (), (), 1), DENSE, 0, ""),
        (op("CALL", (0,), (1,), 1), graph([(1, 5), (1, 5)], op("LSTM", (0, 0), (1,))), None, "a subgraph that CALL"),
    ],
)
def test_what_another_subgraph_does_is_counted_or_unknown(calling, body, expected, reason) -> None:
    graphs = (graph([(1, 5), (1, 5)], calling), body)
    assert counts(graphs) == (expected,)
    assert bool(reason) == bool(uncounted(graphs))
    if reason:
        assert re.search(reason, uncounted(graphs))


def test_subgraphs_that_call_each_other_again_and_again_are_counted_once_each() -> None:
    calls = [graph([(1, 5), (1, 5)], *[op("CALL", (0,), (1,), number + 1)] * 2) for number in range(3000)]
    assert counts((*calls, DENSE)) == (2**2999 * 15,) * 2


@pytest.mark.parametrize("name", ["LSTM", "STABLEHLO_CONVOLUTION", "REDUCE_WINDOW"])
def test_an_op_that_multiplies_in_ways_unknown_here_has_no_number(name: str) -> None:
    odd = graph([(1, 5), (1, 3), (3, 5)], op(name, (0, 2), (1,)))
    assert macs(odd, odd.ops[0]) is None
    assert uncounted([odd]) == f"what {name} multiplies is not known"


@pytest.mark.parametrize(("name", "expected"), [("FlexConv3D", None), ("ethos-u", None), ("FlexErf", 0), ("Mfcc", 0)])
def test_a_custom_op_has_a_number_only_where_it_multiplies_nothing(name: str, expected: int | None) -> None:
    odd = graph([(1, 5), (1, 3), (3, 5)], op(name, (0, 2), (1,), custom=True))
    assert counts([odd]) == (expected,)


def test_a_transposed_convolution_in_three_dimensions_counts_its_input_voxels() -> None:
    shapes = [(1, 4, 4, 4, 2), (1, 8, 8, 8, 6), (5,), (3, 3, 3, 6, 2)]
    odd = graph(shapes, op("CONV_3D_TRANSPOSE", (2, 3, 0), (1,)))
    assert counts([odd]) == (4**3 * 2 * 3**3 * 6,)


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_batch_counts_as_one_wherever_it_stands(steps: int, width: int) -> None:
    signatures = [(-1, steps, width), (steps, -1, 3), (steps, -1, width), (3, width)]
    dense = graph(signatures, op("TRANSPOSE", (0,), (2,)), op("FULLY_CONNECTED", (2, 3), (1,)))
    assert counts([dense]) == (0, steps * 3 * width)


@pytest.mark.parametrize(
    ("first", "between", "through"),
    [
        ((-1, -1, 4), (-1, 4), "RESHAPE"),  # any number of steps, joined with the batch
        ((-1, 6, 4), (-1, 4), "RESHAPE"),  # six steps joined with the batch stand as one
        ((1, 6, 4), (-1, 4), "STRIDED_SLICE"),  # no batch is open: the data decide
        ((-1, 6, 4), (-1, 4), "WHERE"),
        ((-1, 6, 4), (-1, -1, 4), "TILE"),
    ],
)
def test_an_extent_that_is_not_the_batch_leaves_the_number_open(first, between, through: str) -> None:
    dense = graph(
        [first, (*between[:-1], 3), between, (3, 4)], op(through, (0,), (2,)), op("FULLY_CONNECTED", (2, 3), (1,))
    )
    assert counts([dense]) == (0, None)
    assert uncounted([dense])
