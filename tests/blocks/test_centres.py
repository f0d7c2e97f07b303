"""Kernels cut to their centre: equal outputs where the border was zero, and what has no centre."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.blocks.centres import shrink_kernels
from tfcompress.errors import UnsupportedError

keras = pytest.importorskip("keras")
layers = keras.layers


def hollow_(layer, size):
    """Zero what lies outside the centre of a layer's kernel."""
    kernel = layer.weights[0]
    values = kernel.numpy()
    kept = np.zeros_like(values)
    centre = tuple(
        slice((width - min(width, size)) // 2, (width + min(width, size)) // 2) for width in layer.kernel_size
    )
    kept[centre] = values[centre]
    kernel.assign(kept)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    side=st.integers(6, 9),
    width=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    kind=st.sampled_from(["conv", "depthwise", "separable"]),
)
def test_a_kernel_with_a_border_of_zeros_is_cut_with_equal_outputs(side, width, stride, kind):
    keras.utils.set_random_seed(0)
    more = {"padding": "same", "strides": stride, "name": "wide"}
    layer = {
        "conv": lambda: layers.Conv2D(2, (width, 5), **more),
        "depthwise": lambda: layers.DepthwiseConv2D(5, **more),
        "separable": lambda: layers.SeparableConv2D(2, (5, width), **more),
    }[kind]()
    model = keras.Sequential([keras.Input((side, side + 1, 3)), layer, layers.Flatten(), layers.Dense(2)])
    hollow_(layer, 3)
    smaller, (note,) = shrink_kernels(model, 3)
    assert note == "kernels of 'wide' were cut to their centre of 3"
    assert max(smaller.get_layer("wide").kernel_size) == 3
    assert layer.weights[0].shape[:2] == tuple(layer.kernel_size)  # the given model stays as it is
    images = np.random.default_rng(0).normal(size=(2, side, side + 1, 3)).astype(np.float32)
    np.testing.assert_allclose(smaller(images), model(images), atol=1e-5)


def test_dilated_kernels_in_nested_models_and_one_dimension_are_cut_too_within_the_scope():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [
            keras.Input((9, 2)),
            layers.Conv1D(2, 7, padding="same", dilation_rate=2, name="far"),
            layers.Conv1D(2, 7, padding="same", name="near"),
        ],
        name="inner",
    )
    given_ = keras.Input((9, 2), name="x")
    model = keras.Model(given_, layers.Dense(2, name="out")(inner(given_)))
    hollow_(inner.get_layer("far"), 5)
    smaller, _ = shrink_kernels(model, 5, ("far",))
    sizes = [layer.kernel_size for layer in smaller.get_layer("inner").layers]
    assert sizes == [(5,), (7,)]
    x = np.random.default_rng(0).normal(size=(2, 9, 2)).astype(np.float32)
    np.testing.assert_allclose(smaller(x), model(x), atol=1e-5)


def test_what_cannot_be_cut_is_named():
    def model(**more):
        return keras.Sequential([keras.Input((9, 9, 2)), layers.Conv2D(2, **{"kernel_size": 5, "name": "c", **more})])

    for settings_, reason in (
        ({"padding": "valid"}, "'c' has 'valid' padding: a smaller window would see other pixels"),
        ({"padding": "same", "kernel_size": 4}, "'c' has a kernel of 4 x 4, which has no centre"),
        ({"padding": "same", "strides": 4}, "'c' has a stride of 4 x 4, more than 3"),
        ({"padding": "same", "kernel_size": 3}, "none is larger than 3"),
    ):
        with pytest.raises(UnsupportedError, match=r"no kernel of model '\w+' can be cut to 3") as caught:
            shrink_kernels(model(**settings_), 3)
        assert reason in str(caught.value)
