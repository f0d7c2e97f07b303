"""tfcompress.quantization.calibrators, and the counting of :mod:`tfcompress.quantization.calibration`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.export_choices import CALIBRATORS
from tfcompress.quantization.calibration import Counter, calibrate_, fitting_batch
from tfcompress.quantization.calibrators import (
    BINS,
    LEFT_OUT,
    Calibrator,
    Histogram,
    LeastSquares,
    MinMax,
    Percentile,
)
from tfcompress.quantization.fake_quant import FakeQuant, on_grid


def counted(values: np.ndarray, pieces: int = 1) -> Histogram:
    counter = Counter(min(0.0, float(values.min())), max(0.0, float(values.max())))
    for piece in np.array_split(values, pieces):
        counter.add_(np.float32(piece))
    return counter.histogram()


def error(values: np.ndarray, low: float, high: float) -> float:
    """Return the mean squared error of 8 bits, computed by the op itself."""
    return float(np.mean((np.asarray(on_grid(np.float32(values), low, high, 8)) - values) ** 2))


def with_outliers(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=20_000)
    values[:4] = [40.0, -3.0, 55.0, 60.0]
    return np.float32(values)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=200), st.integers(1, 4))
def test_every_value_is_counted_once_however_it_comes_in(values: list[float], pieces: int) -> None:
    array = np.float32(values)
    array[np.abs(array) < 1e-30] = 0
    seen = counted(array, pieces)
    assert seen.total == len(values)
    assert seen.negative.sum() == (array < 0).sum()
    assert seen.positive.sum() == (array > 0).sum()
    whole = counted(array)
    assert np.array_equal(whole.negative, seen.negative)
    assert np.array_equal(whole.positive, seen.positive)


def test_a_bin_holds_what_lies_between_its_ends() -> None:
    tops = Histogram.tops(8.0)
    assert tops[-1] == 8.0
    assert tops[0] == pytest.approx(8.0 * 2 ** (20 / BINS - 20))
    seen = counted(np.float32([8.0, 4.0 * 1.0001, 4.0 * 0.9999, 1e-9]))
    places = np.flatnonzero(seen.positive)
    assert list(places) == [0, BINS - BINS // 20 - 1, BINS - BINS // 20, BINS - 1]  # an octave is a twentieth


def test_minmax_gives_the_ends_exactly_and_needs_no_counts() -> None:
    assert MinMax().range(counted(np.float32([-1.5, 0.1, 7.25]))) == (-1.5, 7.25)
    assert not MinMax.counts


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_percentile_leaves_out_no_more_than_it_may_and_no_less_to_a_bin(seed: int) -> None:
    values = with_outliers(seed)
    low, high = Percentile().range(counted(values))
    allowed = LEFT_OUT * len(values)
    assert (values > high * 1.0001).sum() <= allowed < (values > high / 2 ** (20 / BINS) / 1.0001).sum()
    assert (values < low * 1.0001).sum() <= allowed


def test_percentile_of_few_values_leaves_nothing_out() -> None:
    values = np.float32([-2.0, 0.5, 3.0])
    assert Percentile().range(counted(values)) == pytest.approx((-2.0, 3.0))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_least_squares_is_near_the_best_of_all_ranges_by_the_op_itself(seed: int) -> None:
    values = with_outliers(seed)
    low, high = LeastSquares().range(counted(values))
    lows, highs = (
        float(values.min()) * 2.0 ** -np.arange(0, 2, 0.25),
        float(values.max()) * 2.0 ** -np.arange(0, 5, 0.25),
    )
    best = min(error(values, one, other) for one in lows for other in highs)
    assert error(values, low, high) <= 1.1 * best


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_least_squares_is_never_much_worse_than_minmax(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = np.float32(generator.standard_t(generator.integers(2, 20), 5000) + generator.normal())
    low, high = LeastSquares().range(counted(values))
    assert error(values, low, high) <= 1.02 * error(values, values.min(), values.max())


def test_least_squares_keeps_the_ends_where_cutting_off_costs() -> None:
    values = np.float32(np.random.default_rng(0).choice([-1.0, 1.0, 2.0], 1000))
    assert LeastSquares().range(counted(values)) == (-1.0, 2.0)
    assert LeastSquares().range(counted(np.zeros(3, np.float32))) == (0.0, 0.0)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_every_calibrator_of_the_table_gives_a_range_around_zero_inside_the_values(name: str) -> None:
    calibrator = CALIBRATORS[name].load()()
    assert isinstance(calibrator, Calibrator)
    for values in (with_outliers(1), np.abs(with_outliers(2)), -np.abs(with_outliers(3))):
        low, high = calibrator.range(counted(values))
        assert min(0.0, values.min()) <= low <= 0.0 <= high <= max(0.0, values.max())
        assert low < high


@pytest.fixture
def model(keras):
    """Return a layer that takes its input's range."""
    inputs = keras.Input((50,), name="x")
    return keras.Model(inputs, FakeQuant(name="range")(inputs))


def test_a_model_is_calibrated_by_the_values_of_all_batches(model) -> None:
    values = with_outliers(0).reshape(-1, 50)
    for calibrator in (None, MinMax(), Percentile(), LeastSquares()):
        calibrate_(model, {"x": values}, batch_size=7, calibrator=calibrator)
        layer = model.get_layer("range")
        expected = (calibrator or MinMax()).range(counted(values.ravel()))
        assert (float(layer.low), float(layer.high)) == pytest.approx(expected, rel=1e-6)
        assert layer.counter is None
        assert not layer.observing


def test_the_samples_are_run_once_for_minmax_and_twice_for_counts(model, monkeypatch) -> None:
    from tfcompress.quantization import calibration

    runs = []
    monkeypatch.setattr(calibration, "infer_outputs", lambda model, fed: runs.append(len(fed["x"])))
    for calibrator in (None, MinMax(), Percentile()):
        calibrate_(model, {"x": np.ones((10, 50), np.float32)}, batch_size=4, calibrator=calibrator)
    assert runs == 4 * [4, 4, 2]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(8, 8, 1)], 512),  # 256 B: 4096 of them would fit
        ([(28, 28, 1)], (1 << 20) // (4 * 28 * 28)),
        ([(28, 28, 1), (2,)], (1 << 20) // (4 * (28 * 28 + 2))),
        ([(224, 224, 3)], 32),  # 588 KiB: one would fit
    ],
)
def test_small_samples_are_run_many_at_a_time(shapes, expected):
    inputs = {f"x{place}": np.zeros((2, *shape), np.float32) for place, shape in enumerate(shapes)}
    assert fitting_batch(inputs) == expected


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), exponent=st.integers(-30, 30), one_sided=st.booleans())
def test_a_range_scales_with_the_values_whatever_their_unit(seed: int, exponent: int, one_sided: bool) -> None:
    values = np.abs(with_outliers(seed)[:2000]) if one_sided else with_outliers(seed)[:2000]
    unit = np.float32(2.0**exponent)
    for calibrator in (MinMax(), Percentile(), LeastSquares()):
        plain, scaled = (np.array(calibrator.range(counted(each))) for each in (values, values * unit))
        np.testing.assert_allclose(scaled, plain * float(unit), rtol=0.04)  # a bin is 2 ** (20 / 1280), 1.1 %


@settings(max_examples=6)
@given(seed=st.integers(0, 1000))
def test_a_range_turns_with_the_values(seed: int) -> None:
    values = with_outliers(seed)
    for calibrator in (MinMax(), Percentile(), LeastSquares()):
        low, high = calibrator.range(counted(values))
        assert calibrator.range(counted(-values)) == pytest.approx((-high, -low), rel=1e-6)


@settings(max_examples=20)
@given(zeros=st.integers(1, 400_000), value=st.floats(1e-3, 1e3), negative=st.booleans())
def test_a_percentile_that_would_leave_nothing_but_zeros_leaves_nothing_out(
    zeros: int, value: float, negative: bool
) -> None:
    counts, none = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    counts[-1] = 3  # of a heat map, say, in which hardly a place is lit
    low, high = (-value, 0.0) if negative else (0.0, value)
    seen = Histogram(low, high, counts if negative else none, none if negative else counts, zeros + 3)
    assert Percentile().range(seen) == pytest.approx((low, high))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    size=st.integers(1, 40_000),
    spread=st.sampled_from([0.1, 1.0, 3.0]),
)
def test_percentile_is_the_quantile_of_the_sorted_values_to_a_bin(seed: int, size: int, spread: float) -> None:
    values = np.float32(np.exp(np.random.default_rng(seed).normal(0, spread, size)))
    _, high = Percentile().range(counted(values))
    allowed = int(LEFT_OUT * size)  # so many of the largest may lie beyond
    expected = float(np.sort(values)[-1 - allowed])
    assert expected * 0.999 <= high <= expected * 2 ** (20 / BINS) * 1.001


@settings(max_examples=12)
@given(seed=st.integers(0, 1000), low=st.integers(0, 40), high=st.integers(0, 40))
def test_no_pair_of_ends_that_least_squares_tries_costs_less_than_the_one_it_takes(
    seed: int, low: int, high: int
) -> None:
    """The cost written out over the values themselves: cut off, rounded to zero, or inside."""
    values = with_outliers(seed)[:3000].astype(np.float64)

    def cost(ends: tuple[float, float]) -> float:
        step = (ends[1] - ends[0]) / 255
        beyond = values - np.clip(values, *ends)
        small = np.abs(values) < step / 2
        inside = (beyond == 0) & ~small & (values != 0)
        return float((beyond**2).sum() + (values[small] ** 2).sum() + inside.sum() * step**2 / 12)

    found = LeastSquares().range(counted(values.astype(np.float32)))
    other = (float(values.min()) * 2 ** (-low / 8), float(values.max()) * 2 ** (-high / 8))
    assert cost(found) <= 1.03 * cost(other)  # values count as the middles of their bins there


@pytest.mark.parametrize("value", [1e-38, 1e-3, 1.0, 3e38])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_tensor_of_one_value_has_that_as_its_end(value: float, sign: float) -> None:
    for calibrator in (MinMax(), Percentile(), LeastSquares()):
        ends = calibrator.range(counted(np.full(5, sign * value, np.float32)))
        assert ends == pytest.approx((-value, 0.0) if sign < 0 else (0.0, value), rel=1e-6)
