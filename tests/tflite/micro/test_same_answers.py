"""tfcompress.tflite.micro.same_answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import ContractError
from tfcompress.tflite.micro.same_answers import SameAnswers

SAMPLES = np.arange(12, dtype=np.float32).reshape(6, 2)


def doubled(inputs):
    return {"a": 2 * inputs["x"], "b": inputs["x"][:, 0]}


@given(st.integers(1, 6), st.integers(1, 6))
def test_answers_are_the_same_however_samples_come_in_batches(first: int, second: int) -> None:
    same = SameAnswers()
    for predict, size in ((same.kept(doubled), first), (same.held(doubled, "the file"), second)):
        for start in range(0, len(SAMPLES), size):
            predict({"x": SAMPLES[start : start + size]})
    assert same.samples == len(SAMPLES)


@given(st.integers(0, 5), st.sampled_from("ab"))
def test_the_first_sample_that_differs_by_a_bit_is_named(number: int, name: str) -> None:
    def other(inputs):
        outputs = doubled(inputs)
        outputs[name] = outputs[name].copy()
        outputs[name][number:] = np.nextafter(outputs[name][number:], np.float32(np.inf))
        return outputs

    same = SameAnswers()
    same.kept(doubled)({"x": SAMPLES})
    with pytest.raises(
        ContractError, match=rf"^the file must answer .* sample {number} of those that are scored differ"
    ):
        same.held(other, "the file")({"x": SAMPLES})
    assert same.samples == number
