import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import feeding
from edge_runner.arrays import ArrayError
from edge_runner.interpreter import Tensor


def tensor(name="x", shape=(1, 4), dtype="int8", scale=0.5, zero_point=-1, free=()):
    return Tensor(name, f"serving_{name}:0", 0, shape, free, np.dtype(dtype), scale, zero_point)


PLAIN = tensor(dtype="float32", scale=None, zero_point=None)


def test_real_values_are_rounded_half_to_even_and_shifted():
    real = np.array([0, 0.25, 0.75, -0.25, 1.0])
    np.testing.assert_array_equal(feeding.quantize_array(real, tensor()), [-1, 0 - 1, 2 - 1, 0 - 1, 2 - 1])


def test_real_values_out_of_range_are_cut_to_it():
    np.testing.assert_array_equal(feeding.quantize_array(np.array([1e6, -1e6]), tensor()), [127, -128])


def test_a_tensor_that_is_not_quantized_takes_values_as_they_are():
    stored = feeding.quantize_array(np.array([1.5]), PLAIN)
    assert (stored.dtype, stored.tolist()) == (np.float32, [1.5])
    assert feeding.dequantize(stored, PLAIN) is stored


def test_stored_values_become_real():
    np.testing.assert_array_equal(feeding.dequantize(np.array([-128, -1, 0], np.int8), tensor()), [-63.5, 0, 0.5])


@settings(deadline=None)
@given(st.integers(-128, 127), st.floats(1e-4, 10), st.integers(-128, 127))
def test_a_stored_value_survives_there_and_back(stored, scale, zero_point):
    place = tensor(scale=scale, zero_point=zero_point)
    assert feeding.quantize_array(feeding.dequantize(np.array([stored], np.int8), place), place)[0] == stored


def test_data_of_the_inputs_own_dtype_passes_through():
    own = np.array([[1, 2, 3, 4]], np.int8)
    np.testing.assert_array_equal(feeding.as_stored(own, tensor()), own)
    np.testing.assert_array_equal(feeding.as_stored(own.astype(np.uint8), tensor()), own / 0.5 - 1)


def feed(inputs=(PLAIN,), **data):
    return feeding.Feed(inputs, data)


@pytest.mark.parametrize("key", ["x.x", "x", "x_test", "x_test.x"])
def test_a_single_input_finds_its_data(key):
    assert feed(**{key: np.zeros((3, 4))}).size == 3


def test_several_inputs_need_their_names():
    with pytest.raises(ArrayError, match=r"data must hold 'x.a' or 'x_test.a', got x$"):
        feed((tensor("a"), tensor("b")), x=np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data must hold 'x.x' or 'x_test.x' or 'x' or 'x_test', got nothing"),
        ({"x": np.zeros((0, 4))}, "data holds no samples"),
        ({"x": np.array(["a"])}, "data member 'x' must be numbers, samples first, got <U1 of shape"),
        ({"x": np.array(1.0)}, "data member 'x' must be numbers, samples first"),
    ],
)
def test_data_that_cannot_be_fed_is_refused(data, message):
    with pytest.raises(ArrayError, match=message):
        feed(**data)


def test_inputs_of_unequal_counts_are_refused():
    with pytest.raises(ArrayError, match=r"every input must have equally many samples, got {'a': 2, 'b': 3}"):
        feed((tensor("a"), tensor("b")), **{"x.a": np.zeros((2, 4)), "x.b": np.zeros((3, 4))})


class FakeModel:
    def __init__(self, *inputs):
        self.inputs, self.calls = inputs, []

    def resize(self, tensor, shape):
        self.calls.append((tensor.name, shape))

    def allocate(self):
        self.calls.append("allocate")


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ArrayError, match=r"input 'x' must have samples of shape \(4,\), got \(5,\); write it as"):
        feed(x=np.zeros((2, 5))).fit(FakeModel(PLAIN))
    with pytest.raises(ArrayError, match=r"must have samples of shape \(4,\), got \(4, 1\)"):
        feed(x=np.zeros((2, 4, 1))).fit(FakeModel(PLAIN))


def test_open_extents_are_settled_by_the_samples():
    open_input = tensor(shape=(1, 1, 3), free=(0, 1))
    model = FakeModel(open_input)
    feed((open_input,), x=np.zeros((2, 7, 3))).fit(model)
    assert model.calls == [("x", (1, 7, 3)), "allocate"]


def test_a_batch_is_filled_up_with_the_last_sample():
    wide = tensor(shape=(2, 1), dtype="float32", scale=None)
    samples = feed((wide,), x=np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_array_equal(samples.batch(wide, 2), [[3], [3]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(ArrayError, match="data for input 'x' must be finite, got NaN or infinity"):
        feed(x=np.full((2, 4), value)).check([PLAIN])


IMAGE = tensor(dtype="int8", scale=2 / 255, zero_point=-1)


def test_data_beyond_what_the_input_can_hold_is_pointed_out():
    warnings = feed(x=np.linspace(0, 255, 400).reshape(100, 4)).check([IMAGE])
    assert len(warnings) == 1
    assert "your data for input 'x' is 0..255 and the model expects -0.996..1:" in warnings[0]
    assert "saturate; scale the data as in training" in warnings[0]
    (warning,) = feed(x=np.linspace(0, 2040, 400).reshape(100, 4)).check([IMAGE])
    assert "is 0..2040 and" in warning


def test_data_that_uses_next_to_nothing_of_the_range_is_pointed_out():
    warnings = feed(x=np.linspace(0, 0.01, 400).reshape(100, 4)).check([IMAGE])
    assert len(warnings) == 1
    assert "uses less than 5% of that" in warnings[0]


def test_a_float_input_is_checked_by_what_the_file_tells():
    told = {"0": [0.0, 1.0, "so says the file"]}
    samples = feed(x=np.linspace(0, 255, 400).reshape(100, 4))
    (warning,) = samples.check([PLAIN], told)
    assert "is 0..255 and the model expects 0..1 (so says the file): 100% of the values saturate" in warning
    assert samples.ranges["x"] == {
        "data_low": 0,
        "data_high": 255,
        "model_low": 0,
        "model_high": 1,
        "saturated": 398 / 400,  # 0 and 255 / 399 are within
    }
    assert feed(x=np.linspace(0, 1, 400).reshape(100, 4)).check([PLAIN], told) == []


def test_ranges_are_told_without_a_remark_too():
    samples = feed(x=np.arange(8).reshape(2, 4))
    samples.check([PLAIN])
    unknown = {"model_low": None, "model_high": None, "saturated": None}
    assert samples.ranges["x"] == {"data_low": 0, "data_high": 7, **unknown}


def test_stored_data_is_told_as_the_real_values_it_stands_for():
    samples = feed(x=np.array([[-128, -1, 0, 127]], np.int8))
    assert samples.check([tensor()]) == []
    assert samples.ranges["x"] == {
        "data_low": -63.5,
        "data_high": 64,
        "model_low": -63.5,
        "model_high": 64,
        "saturated": 0,
    }


def test_large_samples_are_looked_at_in_part():
    samples = feed(x=np.zeros((40, 1 << 20), np.float32))
    samples.check([dataclasses.replace(PLAIN, shape=(1, 1 << 20))])
    assert samples.ranges["x"]["data_high"] == 0


def test_data_that_fits_is_not_remarked_upon():
    values = np.linspace(-1, 1, 400).reshape(100, 4)
    assert feed(x=values).check([IMAGE]) == []
    assert feed(x=(values * 100).astype(np.int8)).check([IMAGE]) == []
    assert feed(x=values * 1e6).check([PLAIN]) == []


def test_labels_are_found_by_output():
    data = {"y.a": np.zeros(3), "y": np.ones(3)}
    assert feeding.labels_for("a", 2, data) is data["y.a"]
    assert feeding.labels_for("b", 2, data) is None
    assert feeding.labels_for("b", 1, data) is data["y"]
