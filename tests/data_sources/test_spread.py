from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.sources import load_data
from tfcompress.data.spread import measure_spread
from tfcompress.models.specs import Signature, TensorSpec

GENERATOR = np.random.default_rng(0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99))
def test_the_spread_of_batches_is_that_of_all_of_them(sizes: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(5.0, 3.0, (sum(sizes), 2, 4))
    spread = measure_spread(np.split(x, np.cumsum(sizes)[:-1]))
    flat = x.reshape(-1, 4)
    np.testing.assert_allclose(spread.std, flat.std(axis=0), rtol=1e-9)
    assert np.array_equal(spread.low, flat.min(axis=0))
    assert np.array_equal(spread.high, flat.max(axis=0))


def test_a_narrow_feature_beside_a_wide_one_has_less_than_a_step() -> None:
    x = np.stack([np.linspace(0, 1, 101), np.linspace(0, 1e6, 101)], axis=1)
    steps = measure_spread([x]).steps()
    step = 1e6 / 255
    np.testing.assert_allclose(steps, [x[:, 0].std() / step, x[:, 1].std() / step])
    assert steps[0] < 0.001
    assert steps[1] > 70


def test_the_step_of_a_file_may_be_given_and_a_range_includes_zero() -> None:
    x = np.array([[10.0], [12.0]])
    assert measure_spread([x]).steps(0.5).tolist() == [1.0 / 0.5]
    np.testing.assert_allclose(measure_spread([x]).steps(), 1.0 / (12 / 255))


def test_of_a_constant_feature_nothing_can_be_lost() -> None:
    spread = measure_spread([np.array([[7.0, 0.1], [7.0, 0.2]])])
    assert spread.varying.tolist() == [False, True]
    assert spread.steps()[0] == np.inf
    assert measure_spread([np.zeros((3, 2))]).steps().tolist() == [np.inf, np.inf]


def test_samples_of_one_value_are_one_feature() -> None:
    assert measure_spread([np.array([1, 2, 3])]).std.shape == (1,)


def test_no_values_have_no_spread() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        measure_spread([np.zeros((0, 3))])


def test_bound_data_measures_each_input_as_the_model_takes_it() -> None:
    signature = Signature(
        (TensorSpec("a", (2,), "float32"), TensorSpec("b", (), "float32")), (TensorSpec("out", (1,), "float32"),)
    )
    a, b = GENERATOR.normal(0, [1.0, 1000.0], (50, 2)), GENERATOR.normal(0, 2.0, 50)
    spread = load_data({"x_train": {"a": a, "b": b}}).bind(signature).input_spread()
    np.testing.assert_allclose(spread["a"].std, a.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(spread["b"].std, [b.std()], rtol=1e-5)
