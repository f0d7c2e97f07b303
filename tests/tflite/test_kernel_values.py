"""Kernels as the numbers that they stand for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edge_runner.graph import Operator
from tests.tflite.test_weights import tensor
from tfcompress.tflite import kernel_values as subject
from tfcompress.tflite.tensors import StoredTensor, Subgraph


@pytest.fixture
def file_of(monkeypatch: pytest.MonkeyPatch):
    """Return what makes a kernel the only one of a file."""

    def made(kernel: StoredTensor) -> subject.KernelValues:
        op = Operator("FULLY_CONNECTED", 1, custom=False, inputs=(0, 1), outputs=(2,))
        graph = Subgraph((tensor(0, None, (1, 2)), kernel, tensor(2, None, (1, 2))), (op,), (0,), (2,))
        monkeypatch.setattr(subject, "read_model_file", lambda content: SimpleNamespace(subgraphs=[graph]))
        (found,) = subject.kernel_values(b"")
        return found

    return made


@pytest.mark.parametrize(
    ("scales", "points", "real"),
    [
        ((0.5,), (0,), [0.5, 1.0, 1.5, -2.0]),
        ((0.5,), (1,), [0.0, 0.5, 1.0, -2.5]),
        ((0.5, 2.0), (0, 0), [0.5, 1.0, 6.0, -8.0]),
    ],
)
def test_integers_are_scaled_by_tensor_or_by_channel(file_of, scales, points, real) -> None:
    found = file_of(tensor(1, np.array([1, 2, 3, -4], np.int8), (2, 2), scales=scales, zero_points=points))
    assert found.values.tolist() == real
    assert (found.distinct, found.elements, found.op) == (4, 4, "FULLY_CONNECTED")


def test_reals_are_taken_as_they_are(file_of) -> None:
    found = file_of(tensor(1, np.array([1.5, -2.0], np.float16), (1, 2), "float16"))
    assert found.values.tolist() == [1.5, -2.0]
    assert found.distinct is None


def test_what_is_not_finite_is_not_told(file_of) -> None:
    assert file_of(tensor(1, np.array([1.0, np.inf], np.float32), (1, 2), "float32")).values is None
