"""tfcompress.tflite.micro.examination and proof."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tfcompress.errors import ContractError, DataError
from tfcompress.targets.target import Target
from tfcompress.targets.target_table import TARGETS
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.examination import examine, random_samples, samples_by_input
from tfcompress.tflite.micro.proof import sample_count


def test_a_file_is_run_compared_and_compiled(tflm, vela, file) -> None:
    content = file("int8")
    found = examine(content, TARGETS["ethos-u55-128"])
    assert found.micro is not None
    assert found.npu is not None
    assert found.micro.npu == found.npu
    assert found.micro.flash_bytes == len(content)
    assert found.micro.samples == found.micro.equal == 256
    assert not found.micro.real_samples
    assert found.micro.planned_arena_bytes <= found.micro.arena.total_bytes
    plain = found.to_dict()
    assert plain["latency_ms"] is None
    assert json.loads(json.dumps(plain))["micro"]["arena"]["total_bytes"] == found.micro.arena.total_bytes


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(name="tiny", runtime="tflm", ram="1KB"), r"target 'tiny': the arena must be at most 1,000 bytes, the"),
        (Target(name="tiny", runtime="tflm", flash="2KB"), r"target 'tiny': the file must be at most 2,000 bytes, it"),
        (
            Target(name="odd", runtime="tflm", ops=("FULLY_CONNECTED", "SOFTMAX", "RESHAPE", "DEPTHWISE_CONV_2D")),
            r"target 'odd' has no kernel for CONV_2D \(",
        ),
    ],
)
def test_what_the_target_lacks_is_refused_with_what_the_file_takes(tflm, file, target: Target, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        examine(file("int8"), target)


def test_random_samples_fill_the_range_of_a_quantized_input(file) -> None:
    flat = read_model_file(file("int8"))
    tensor = flat.inputs[0]
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    drawn = random_samples(flat, 50, seed=0)["image"]
    assert drawn.shape == (50, 8, 8, 3)
    assert drawn.dtype == np.float32
    assert drawn.min() == pytest.approx(tensor.scale * (-128 - tensor.zero_point))
    assert drawn.max() == pytest.approx(tensor.scale * (127 - tensor.zero_point))
    assert set(np.unique(random_samples(read_model_file(file("tokens")), 9, seed=0)["ids"])) == {0, 1}


def test_samples_are_found_by_the_names_that_an_export_writes(file) -> None:
    one, two = read_model_file(file("int8")), read_model_file(file("two_ways"))
    x = np.zeros((2, 8, 8, 3))
    for name in ("x.image", "image", "x", "x_test"):
        assert samples_by_input({name: x, "y": x}, one, "data.npz")["image"] is x
    assert set(samples_by_input({"x.image": x, "x.facts": x}, two, "data.npz")) == {"image", "facts"}
    with pytest.raises(DataError, match=r"must hold samples for input 'facts' \(as x.facts\), it holds x.image"):
        samples_by_input({"x.image": x}, two, "data.npz")


def test_a_large_model_is_given_fewer_samples(file) -> None:
    flat = read_model_file(file("int8"))
    assert sample_count(flat, 1000, 200) == 1000
    huge = type("Huge", (), {"least_macs": 10**12})()
    assert sample_count(huge, 1000, 200) == 200
