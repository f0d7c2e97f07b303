import numpy as np
import pytest

from edge_runner.interpreter import Tensor
from edge_runner.made_up import made_up


def tensor(dtype, shape=(1, 200), scale=None):
    return Tensor("x", "x", 0, shape, (), np.dtype(dtype), scale, None if scale is None else 0)


def test_floats_fill_zero_to_one():
    values = made_up(tensor(np.float32), 0)
    assert (values.shape, values.dtype) == ((1, 200), np.float32)
    assert 0 <= values.min() < 0.1 < 0.9 < values.max() <= 1


@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -128, 127), ("uint8", 0, 255), ("int16", -32768, 32767)])
def test_quantized_values_fill_their_dtype(dtype, low, high):
    values = made_up(tensor(dtype, (2000,), 0.1), 0).astype(int)
    span = high - low
    assert low <= values.min() < low + span / 20
    assert high - span / 20 < values.max() <= high


def test_indices_are_zeros():
    assert made_up(tensor("int32"), 0).tolist() == [[0] * 200]


def test_the_seed_makes_them():
    first, again, other = (made_up(tensor("float16"), seed).tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_scalar_and_an_empty_shape_work():
    assert made_up(tensor("float32", ()), 0).shape == ()
    assert made_up(tensor("int8", (0, 3), 0.1), 0).shape == (0, 3)
