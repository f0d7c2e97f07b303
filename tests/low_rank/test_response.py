"""Moments of what goes into layers, against those of the patches written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.low_rank import response
from tfcompress.low_rank.decompositions import outlines
from tfcompress.low_rank.factoring import factored
from tfcompress.low_rank.factors import as_matrix
from tfcompress.low_rank.places import Place, places_of
from tfcompress.low_rank.rank_options import RankOption, cost_of
from tfcompress.low_rank.response import Response, responses


def single(keras: Any, layer: Any, shape: tuple[int, ...], dtype: str = "float32") -> tuple[Any, Place]:
    """Return a model of one layer, and the place of it."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape, dtype=dtype, name="x"), layer])
    (place,) = places_of(model).found.values()
    return model, place


def unlike(count: int, shape: tuple[int, ...], mean: float = 0.5) -> np.ndarray:
    draw = np.random.default_rng(0)
    return (mean + draw.normal(size=(count, *shape)) * np.linspace(0.1, 3.0, shape[-1])).astype(np.float32)


def patches(x: np.ndarray, size: int, stride: int, dilation: int, same: bool) -> np.ndarray:
    """Return what a window sees, written out: rows of (size * size * channels) numbers."""
    extent = dilation * (size - 1) + 1
    if same:
        room = [max(0, (-(-n // stride) - 1) * stride + extent - n) for n in x.shape[1:3]]
        x = np.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in room), (0, 0)])
    rows = []
    for image in x:
        for top in range(0, image.shape[0] - extent + 1, stride):
            for left in range(0, image.shape[1] - extent + 1, stride):
                seen = image[top : top + extent : dilation, left : left + extent : dilation]
                rows.append(seen.reshape(-1))
    return np.asarray(rows, np.float64)


@pytest.mark.parametrize(
    ("stride", "dilation", "padding"),
    [(1, 1, "same"), (2, 1, "same"), (2, 1, "valid"), (1, 2, "same"), (1, 2, "valid"), (3, 1, "same")],
)
@pytest.mark.parametrize("size", [(7, 6), (5, 8)])
def test_moments_of_a_convolution_are_those_of_its_patches(
    keras: Any, stride: int, dilation: int, padding: str, size: tuple[int, int]
) -> None:
    layer = keras.layers.Conv2D(4, 3, strides=stride, dilation_rate=dilation, padding=padding)
    model, place = single(keras, layer, (*size, 2))
    x = unlike(5, (*size, 2))
    found = responses(model, [place], {"x": x}, batch_size=2)[place.path]
    rows = patches(x, 3, stride, dilation, padding == "same")
    sums = np.asarray(model(x)).reshape(-1, 4)
    np.testing.assert_allclose(rows @ as_matrix(place.kernel), sums, atol=1e-4)  # they are what the layer sees
    assert found.rows == len(rows)
    assert found.power == pytest.approx(np.mean(rows**2), rel=1e-5)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.moments, rows.T @ rows / len(rows), atol=1e-4)
    np.testing.assert_allclose(found.metric(place), np.cov(rows.T, bias=True), atol=1e-4)


def test_moments_of_a_causal_series_see_the_zeros_before_it(keras: Any) -> None:
    model, place = single(keras, keras.layers.Conv1D(3, 2, dilation_rate=2, padding="causal"), (4, 1))
    x = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 4, 1)
    found = responses(model, [place], {"x": x})[place.path]
    rows = np.array([[0, 1], [0, 2], [1, 3], [2, 4]])
    np.testing.assert_allclose(found.moments, rows.T @ rows / 4, atol=1e-5)
    np.testing.assert_allclose(found.mean, [3 / 4, 10 / 4])


def test_a_layer_that_is_called_twice_answers_to_both(keras: Any) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((3,), name="x")
    shared = keras.layers.Dense(3, name="shared")
    model = keras.Model(given, shared(keras.layers.Rescaling(100.0)(shared(given))))
    x = unlike(40, (3,))
    place = places_of(model).found["shared"]
    found = responses(model, [place], {"x": x}, batch_size=7)["shared"]
    rows = np.concatenate([x, 100.0 * np.asarray(shared(x))]).astype(np.float64)
    assert found.rows == 80
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.moments, rows.T @ rows / 80, rtol=1e-4, atol=1e-2)


def test_a_look_up_counts_its_rows(keras: Any) -> None:
    model, place = single(keras, keras.layers.Embedding(5, 3), (4,), "int32")
    ids = np.array([[0, 1, 1, 4], [4, 4, 4, 4]], np.int32)
    found = responses(model, [place], {"x": ids})[place.path]
    rows = place.kernel[0, 0][ids.reshape(-1)]
    assert (found.rows, found.of_outputs) == (8, True)
    assert found.power == pytest.approx(1 / 5)  # one of five numbers is 1
    np.testing.assert_allclose(found.moments, rows.T @ rows / 8, atol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 30.0, -1000.0, 1e4])
@pytest.mark.parametrize("projected", [False, True])
def test_where_a_bias_takes_it_up_a_constant_in_all_inputs_changes_nothing(
    keras: Any, monkeypatch: pytest.MonkeyPatch, mean: float, projected: bool
) -> None:
    """Float32 holds no spread of 0.1 beside the square of 10,000: moments are taken about the mean."""
    if projected:
        monkeypatch.setattr(response, "LARGEST", 8)
    model, place = single(keras, keras.layers.Dense(6, name="dense"), (12,))
    centred = unlike(200, (12,), 0.0)
    shifted = (centred + np.float32(mean)).astype(np.float32)
    found = responses(model, [place], {"x": shifted})
    exact = np.cov((shifted.astype(np.float64) @ as_matrix(place.kernel) if projected else shifted).T, bias=True)
    np.testing.assert_allclose(found["dense"].metric(place), exact, rtol=1e-3, atol=2e-3 * np.abs(exact).max())
    assert np.linalg.eigvalsh(found["dense"].metric(place)).min() > 0.0
    chosen = RankOption("svd", (3,), 1.0, cost_of(place, outlines("svd", place.kernel.shape, (3,))))

    def off(x: np.ndarray, moments: Any) -> float:
        made = factored(model, {"dense": chosen}, moments)
        exact = x.astype(np.float64) @ as_matrix(place.kernel)  # the layer's bias is zero
        return float(np.mean((np.asarray(made(x)) - exact) ** 2))

    plain = off(centred, responses(model, [place], {"x": centred}))
    assert off(shifted, found) == pytest.approx(plain, rel=0.05, abs=1e-6 * mean**2 * 1e-4)


@settings(max_examples=10)
@given(rows=st.integers(1, 10_000), power=st.floats(0.01, 100.0), mean=st.floats(-50.0, 50.0))
def test_the_less_was_seen_the_more_counts_what_was_not(rows: int, power: float, mean: float) -> None:
    import keras

    _, place = single(keras, keras.layers.Dense(4), (8,))
    moments = power * np.eye(8) + mean**2
    seen = Response(rows, power + mean**2, np.full(8, mean), moments, of_outputs=False)
    fitted = seen.fitted(place).metric
    assert fitted is not None
    # Where nothing stands out among what was seen, what nobody saw looks the same.
    np.testing.assert_allclose(fitted, power * np.eye(8), rtol=1e-6, atol=1e-9 * (power + mean**2) * 1e3)


def test_of_many_patches_a_share_is_looked_at(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "ROWS", 500)
    model, place = single(keras, keras.layers.Conv2D(2, 1), (20, 20, 2))
    x = unlike(10, (20, 20, 2))
    one, again, other = (responses(model, [place], {"x": x}, seed=seed)[place.path] for seed in (0, 0, 1))
    assert 400 < one.rows < 600  # of 4,000
    assert np.array_equal(one.moments, again.moments)
    assert not np.array_equal(one.moments, other.moments)
    whole = x.reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(one.moments, whole.T @ whole / len(whole), rtol=0.2, atol=0.2)


def test_of_many_samples_as_many_run_as_the_work_allows(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, place = single(keras, keras.layers.Dense(4), (8,))
    x = unlike(200, (8,))
    monkeypatch.setattr(response, "WORK", 100 * 8 * 4)
    assert responses(model, [place], {"x": x})[place.path].rows == 100
    monkeypatch.setattr(response, "WORK", 1)
    assert responses(model, [place], {"x": x})[place.path].rows == response.FEWEST
