"""tfcompress.tflite.weights and costs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.graph import Operator
from tfcompress.tflite.costs import macs
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.tensors import StoredTensor, Subgraph
from tfcompress.tflite.weights import bytes_by_dtype, facts, float_bytes, nonzero, stored_bytes, stored_values


def tensor(index: int, values: np.ndarray | None, shape: tuple[int, ...], dtype: str = "int8", **more) -> StoredTensor:
    data = np.empty(0, np.uint8) if values is None else np.frombuffer(values.tobytes(), np.uint8)
    fields = {"scales": (), "zero_points": (), "axis": 0, "sparse": False, **more}
    return StoredTensor(
        index, f"t{index}", shape, shape, dtype, buffer=index if data.size else 0, data=data, variable=False, **fields
    )


def test_zeros_and_distinct_values_are_counted_in_the_kernel_and_in_each_channel() -> None:
    # Two output channels of a dense kernel: (0, 0, 1, 2) and (0, 3, 3, 3).
    kernel = tensor(1, np.array([0, 0, 1, 2, 0, 3, 3, 3], np.int8), (2, 4), scales=(0.5,), zero_points=(0,))
    graph = Subgraph(
        (tensor(0, None, (1, 4)), kernel, tensor(2, None, (1, 2))),
        (Operator("FULLY_CONNECTED", 4, custom=False, inputs=(0, 1, -1), outputs=(2,)),),
        (0,),
        (2,),
    )
    (found,) = facts([graph])
    assert found.zeros == 3 / 8
    assert found.distinct == 4
    assert found.distinct_per_channel == 3
    # Of eight values three are 0, three are 3, two come once: 3 log2(8/3) * 2 + 2 * 3 = 14.49 bits.
    assert found.entropy_bytes == 2
    assert nonzero([graph]) == 5
    assert macs(graph, graph.ops[0]) == 2 * 4


def test_a_kernel_of_a_loop_and_of_the_step_before_it_is_one_and_equal_ones_of_a_graph_are_two() -> None:
    values = np.arange(8, dtype=np.int8)
    one, two = (dataclasses.replace(tensor(number, values, (2, 4)), buffer=1) for number in (1, 2))
    ends = tensor(0, None, (1, 4)), one, two, tensor(3, None, (1, 2))
    ops = [Operator("FULLY_CONNECTED", 1, custom=False, inputs=(0, k, -1), outputs=(3,)) for k in (1, 2)]
    main, body = Subgraph(ends, (ops[0],), (0,), (3,)), Subgraph(ends, (ops[0],), (0,), (3,))
    assert [fact.size_bytes for fact in facts([main, body])] == [8]
    assert [fact.size_bytes for fact in facts([Subgraph(ends, tuple(ops), (0,), (3,))])] == [8, 8]


def test_a_stored_zero_point_stands_for_zero() -> None:
    values = np.array([[5, 5, 1], [7, 7, 7]], np.int8)
    for points, zeros in (((5,), 2 / 6), ((5, 7), 5 / 6)):
        kernel = tensor(1, values, (2, 3), scales=(1.0,) * len(points), zero_points=points)
        graph = Subgraph(
            (tensor(0, None, (1, 3)), kernel, tensor(2, None, (1, 2))),
            (Operator("FULLY_CONNECTED", 1, custom=False, inputs=(0, 1), outputs=(2,)),), (0,), (2,),
        )  # fmt: skip
        assert facts([graph])[0].zeros == pytest.approx(zeros)


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=9))
def test_packed_int4_comes_back_lowest_first(codes: list[int]) -> None:
    padded = codes + [0] * (len(codes) % 2)
    packed = bytes((low & 15) | (high & 15) << 4 for low, high in zip(padded[::2], padded[1::2], strict=True))
    values = stored_values(tensor(1, np.frombuffer(packed, np.uint8), (len(codes),), "int4"))
    assert values is not None
    assert values.tolist() == codes


def test_bfloat16_is_the_upper_half_of_a_float() -> None:
    upper = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    values = stored_values(tensor(1, upper, (2,), "bfloat16"))
    assert values is not None
    assert values.tolist() == [1.5, -2.0]


def test_sparse_encoding_keeps_the_count_of_zeros(file) -> None:
    sparse = facts(read_model_file(file("sparse")).subgraphs)
    assert all(kernel.sparse for kernel in sparse)
    dense_size = sum(4 * np.prod(kernel.shape) for kernel in sparse)
    assert sum(kernel.size_bytes for kernel in sparse) < 0.3 * dense_size
    assert all(0.7 < kernel.zeros < 0.9 for kernel in sparse)
    assert all(1 < (kernel.distinct_per_channel or 0) < (kernel.distinct or 0) for kernel in sparse)


def test_a_float16_kernel_is_found_behind_what_unpacks_it(file) -> None:
    assert {kernel.dtype for kernel in facts(read_model_file(file("float16")).subgraphs)} == {"float16"}


def test_weights_in_int8_take_a_quarter_of_what_they_take_in_float(file) -> None:
    graphs = read_model_file(file("int8")).subgraphs
    biases = 8 + 8 + 10
    assert float_bytes(graphs) == 4 * 3194
    assert stored_bytes(graphs) == (3194 - biases) + 4 * biases
    assert bytes_by_dtype(graphs)["int8"] == 3194 - biases


@pytest.mark.parametrize(
    ("op", "kernel", "first", "output", "expected"),
    [
        ("CONV_2D", (16, 3, 3, 8), (1, 10, 10, 8), (1, 8, 8, 16), 8 * 8 * 16 * 3 * 3 * 8),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 8), (1, 10, 10, 8), (1, 8, 8, 8), 8 * 8 * 8 * 3 * 3),
        ("FULLY_CONNECTED", (10, 64), (1, 64), (1, 10), 640),
        ("CONV_3D", (3, 3, 3, 2, 4), (1, 8, 8, 8, 2), (1, 6, 6, 6, 4), 6**3 * 4 * 27 * 2),
        ("BATCH_MATMUL", (2, 5, 7), (2, 3, 5), (2, 3, 7), 2 * 3 * 5 * 7),
        ("MAX_POOL_2D", (2, 2), (1, 4, 4, 1), (1, 2, 2, 1), 0),
        ("CONV_2D", (16, 3), (1, 10, 10, 8), (1, 8, 8, 16), 0),
    ],
)
def test_multiply_accumulates_follow_the_shapes(op, kernel, first, output, expected: int) -> None:
    tensors = (tensor(0, None, first), tensor(1, None, kernel), tensor(2, None, output))
    graph = Subgraph(tensors, (Operator(op, 1, custom=False, inputs=(0, 1), outputs=(2,)),), (0,), (2,))
    assert macs(graph, graph.ops[0]) == expected


def test_a_transposed_convolution_counts_its_input_pixels() -> None:
    tensors = tuple(tensor(i, None, s) for i, s in enumerate([(4,), (6, 3, 3, 8), (1, 5, 5, 8), (1, 10, 10, 6)]))
    graph = Subgraph(
        tensors, (Operator("TRANSPOSE_CONV", 1, custom=False, inputs=(0, 1, 2), outputs=(3,)),), (2,), (3,)
    )
    assert macs(graph, graph.ops[0]) == 5 * 5 * 8 * 3 * 3 * 6


def test_a_recurrent_layer_uses_its_kernels_at_every_step(file) -> None:
    # An LSTM of 5 units over 6 steps of 4 features has 4 gates; then a dense layer of 2.
    assert read_model_file(file("lstm")).macs == 6 * 4 * (4 * 5 + 5 * 5) + 5 * 2
