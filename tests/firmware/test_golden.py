"""Golden inputs and outputs, as the file stores them."""

from pathlib import Path

import numpy as np
import pytest

from tfcompress.errors import UnsupportedError
from tfcompress.firmware.arena_size import measured_size, planned_size
from tfcompress.firmware.golden import drawn_inputs, golden_pair, stored_inputs
from tfcompress.firmware.number_types import check_number_types
from tfcompress.firmware.ports import Port, ports_of
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.arena import ArenaUse, planned_arena_bytes

DATA = Path(__file__).parents[1] / "data"


def read(name: str):
    content = (DATA / f"{name}.tflite").read_bytes()
    return content, read_model_file(content)


def port(dtype: str, shape=(1, 4), scale: float | None = None) -> Port:
    return Port("input", 0, "x", shape, dtype, scale, None if scale is None else 0)


def test_inputs_cover_what_their_type_holds() -> None:
    ports = (port("int8", (1, 400), 0.1), port("float32"), port("int32"))
    stored, floats, whole = drawn_inputs(ports, 3, 0)
    assert stored.shape == (3, 1, 400)
    assert (stored.min(), stored.max()) == (-128, 127)
    assert floats.dtype == np.float32
    assert set(whole.ravel().tolist()) <= {0, 1}
    assert np.array_equal(drawn_inputs(ports, 3, 0)[0], stored)


def test_real_samples_are_quantized_and_grouped_as_the_file_takes_them() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    (stored,) = stored_inputs((port("int8", (2, 4), 0.5),), {"x": values})
    assert stored.tolist() == (2 * np.concatenate([values, values[2:]]).reshape(2, 2, 4)).tolist()


def test_outputs_are_those_of_the_reference_kernels_in_the_order_of_the_graph() -> None:
    content, model = read("tflite/two_ways")
    ports = ports_of(model)
    inputs = drawn_inputs(ports[0], 2, 0)
    pair = golden_pair(content, model, ports, inputs, "drawn", None)
    graph = model.subgraphs[0]
    assert [values.shape[1:] for values in pair.inputs] == [graph.tensors[n].shape for n in graph.inputs]
    assert [values.shape[1:] for values in pair.outputs] == [graph.tensors[n].shape for n in graph.outputs]
    assert pair.micro_steps is None
    assert "reference kernels" in pair.outputs_from


@pytest.mark.parametrize(
    ("name", "reason"),
    [("tflite/float16", "computes no float16"), ("tflite/dynamic", r"int8 kernels \(dynamic range\)")],
)
def test_numbers_without_kernels_are_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{reason}.*--quantize int8"):
        check_number_types(read(name)[1])


@pytest.mark.parametrize("name", ["blobs_int8", "blobs_float", "tflite/int16x8", "lstm"])
def test_numbers_with_kernels_are_taken(name: str) -> None:
    check_number_types(read(name)[1])


def test_an_open_shape_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"input '.+' must have a fixed shape.*\(1, any, any, 3\)|\(any, any"):
        ports_of(read("tflite/open_extents")[1])


def test_the_size_says_whether_it_was_measured() -> None:
    content, model = read("blobs_int8")
    planned = planned_size(content, model)
    assert not planned.measured
    assert planned.size_bytes >= 1.25 * planned.needed_bytes > planned_arena_bytes(content)
    assert planned.size_bytes % 16 == 0
    assert "not measured" in planned.how
    kept = ArenaUse(total_bytes=1840, head_bytes=192, tail_bytes=1648)
    measured = measured_size(2336, kept, "0.1")
    assert measured.measured
    assert measured.size_bytes == 2576  # 2,336 and a tenth, on a multiple of 16
    assert "2,336 bytes is the least" in measured.how
