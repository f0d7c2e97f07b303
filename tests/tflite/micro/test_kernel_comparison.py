"""tfcompress.tflite.micro.kernel_comparison."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.tflite.make_files import FOLDER
from tfcompress.errors import ContractError
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.micro.kernel_comparison import KernelComparison, ReferenceRefusalError

FLAT = read_model_file((FOLDER / "int8.tflite").read_bytes())
STEP = FLAT.outputs[0].scale or 0.0
VALUES = (np.arange(40).reshape(4, 10) * STEP).astype(np.float32)


def comparison(ours: np.ndarray, theirs: Any) -> KernelComparison:
    def refused(_: Any) -> Any:
        raise theirs

    answer = refused if isinstance(theirs, Exception) else lambda _: {"scores": theirs}
    micro: Any = SimpleNamespace(model=FLAT, run=lambda _: {"scores": ours})
    reference: Any = SimpleNamespace(run=answer)
    return KernelComparison(micro, reference)


def test_equal_samples_and_the_largest_difference_are_counted() -> None:
    other = VALUES.copy()
    other[2, 5] += 3 * STEP
    found = comparison(VALUES, other)
    for _ in range(2):
        assert found.run({})["scores"] is VALUES
    assert (found.samples, found.equal) == (8, 6)
    assert found.steps == pytest.approx(3)
    assert found.error == pytest.approx(3 * STEP)


def test_a_kernel_that_computes_something_else_is_refused() -> None:
    with pytest.raises(ContractError, match=r"must agree on output 'scores', they differ by 39 quantization steps"):
        comparison(VALUES, VALUES[::-1, ::-1].copy()).run({})


def test_a_file_that_the_reference_kernels_cannot_run_is_not_compared() -> None:
    found = comparison(VALUES, ReferenceRefusalError("litert refuses this file: TILE"))
    assert found.run({})["scores"] is VALUES
    assert found.unable == "litert refuses this file: TILE"
    assert found.samples == found.equal == 0
