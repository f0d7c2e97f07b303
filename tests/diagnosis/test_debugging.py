"""A file in which somebody planted what is no number: the op is named, and no figure says that all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.diagnosis.debugging import DebugSubject, debug_file  # noqa: E402 - after keras
from tfcompress.tflite.agreement import CAP_DB  # noqa: E402
from tfcompress.tflite.flatbuffer import read_model_file  # noqa: E402
from tfcompress.tflite.tree import Numbers, parse_tree  # noqa: E402
from tfcompress.tflite.tree_writer import write_tree  # noqa: E402

CONTENT = (Path(__file__).parents[1] / "data" / "blobs_float.tflite").read_bytes()
IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype("float32")


def constant(shape: tuple[int, ...]) -> np.ndarray:
    """Return the constant of a shape in the file."""
    tensors = read_model_file(CONTENT).subgraphs[0].tensors
    (data,) = (t.data for t in tensors if t.shape == shape and t.constant and t.dtype == "float32")
    return np.frombuffer(data.tobytes(), "<f4").reshape(shape)


@pytest.fixture(scope="module")
def model() -> Any:
    """Return the model that the file was made from."""
    layers = keras.layers
    given = keras.Input((8, 8, 1), name="image")
    conv = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv")(given)
    found = keras.Model(given, layers.Dense(4, activation="softmax", name="scores")(layers.Flatten(name="flat")(conv)))
    found.get_layer("conv").set_weights([constant((6, 3, 3, 1)).transpose(1, 2, 3, 0), constant((6,))])
    found.get_layer("scores").set_weights([constant((4, 96)).T, constant((4,))])
    return found


def with_bias(value: float) -> bytes:
    """Return the file with another first bias of the dense layer."""
    tensors = read_model_file(CONTENT).subgraphs[0].tensors
    (number,) = (t.buffer for t in tensors if t.shape == (4,) and t.dtype == "float32")
    tree = parse_tree(CONTENT)
    buffers = list(tree.nodes("buffers"))
    changed = constant((4,)).copy()
    changed[0] = value
    buffers[number] = buffers[number].having(data=Numbers(1, changed.tobytes()))
    return write_tree(tree.having(buffers=tuple(buffers)))


def test_a_file_beside_the_model_that_it_was_made_from_is_fine(model: Any) -> None:
    facts = debug_file(DebugSubject(CONTENT, model, {"image": IMAGES}))
    ratios = {row.op: row.snr_db for row in facts.rows}
    assert min(ratio for ratio in ratios.values() if ratio is not None) > 90
    assert set(ratios) == {"input", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"}
    assert facts.remarks == ()


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (np.nan, "-200 dB come out"),  # of both kernels: none of them is accused
        (np.inf, "XNNPACK computes it otherwise than the reference kernel"),  # which ends at float32's largest number
    ],
)
def test_an_op_that_gives_no_numbers_is_a_fault_and_its_samples_are_the_worst(
    model: Any, planted: float, said: str
) -> None:
    facts = debug_file(DebugSubject(with_bias(planted), model, {"image": IMAGES}))
    rows = {row.op: row for row in facts.rows}
    assert rows["CONV_2D"].snr_db is not None
    assert rows["CONV_2D"].snr_db > 90
    assert rows["FULLY_CONNECTED"].snr_db == -CAP_DB
    told = {remark.where: remark.what for remark in facts.remarks if remark.gravity == "fault"}
    (where,) = [where for where in told if where.startswith(rows["FULLY_CONNECTED"].label)]
    assert said in told[where]
    assert not any(where.startswith(rows["CONV_2D"].label) for where in told)
    assert len(facts.worst) == 5
    assert not any(np.isnan(row.error) for row in facts.worst)
    assert np.isinf(facts.worst[0].error) == np.isnan(planted)
