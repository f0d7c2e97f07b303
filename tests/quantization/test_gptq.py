"""tfcompress.quantization.gptq."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quantization.scaled import network
from tfcompress.quantization import gptq
from tfcompress.quantization.post_training import Conditions, calibrated
from tfcompress.quantization.stepwise import Flow
from tfcompress.recipe import QAT


class Dense:
    """A layer with a kernel, and nothing else."""

    def __init__(self, kernel: np.ndarray) -> None:
        self.kernel = kernel


def nearest(kernel: np.ndarray, largest: float) -> np.ndarray:
    scale = np.abs(kernel).max(axis=0) / largest
    return np.round(kernel / scale) * scale


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), largest=st.sampled_from([7.0, 127.0]))
def test_sums_are_nearer_than_by_rounding_each_weight_and_the_grid_is_found_again(seed: int, largest: float) -> None:
    draw = np.random.default_rng(seed)
    kernel = draw.normal(size=(12, 64)) * (draw.uniform(size=(12, 64)) > 0.1)  # some of it pruned
    exact = draw.normal(size=(400, 12)) @ draw.normal(size=(12, 12))  # inputs that depend on each other
    inputs = exact + draw.normal(scale=0.05, size=exact.shape)
    made = gptq.kernel_on_grid(Dense(kernel), Flow(exact, inputs), largest)
    assert made is not None
    errors = [np.square(inputs @ q - exact @ kernel).sum() for q in (made, nearest(kernel, largest))]
    assert errors[0] < errors[1]
    assert not made[kernel == 0].any()
    steps = made / (np.abs(made).max(axis=0) / largest)
    assert np.abs(steps - np.round(steps)).max() < 1e-3


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_no_single_weight_could_be_moved_to_a_better_place(seed: int) -> None:
    """Also where means are left to a bias: then inputs that have another mean change nothing."""
    draw = np.random.default_rng(seed)
    kernel, exact = draw.normal(size=(6, 3)), draw.normal(size=(300, 6)) @ draw.normal(size=(6, 6))
    made = gptq.kernel_on_grid(Dense(kernel), Flow(exact, exact), 7.0, centred=True)
    moved = gptq.kernel_on_grid(Dense(kernel), Flow(exact + 5.0, exact + 5.0), 7.0, centred=True)
    assert made is not None
    np.testing.assert_allclose(made, moved, rtol=1e-5)
    scale = np.abs(made).max(axis=0) / 7.0
    steps = np.round(made / scale)
    centred = exact - exact.mean(axis=0)

    def error(whole: np.ndarray) -> np.ndarray:
        damping = gptq.DAMPING * np.square(centred).sum() / 6
        off = whole * scale - kernel
        return np.square(centred @ off).sum(axis=0) + damping * np.square(off).sum(axis=0)

    for row, column in np.ndindex(*steps.shape):
        if abs(steps[row, column]) == 7.0:
            continue  # one of these stands where the grid ends
        for change in (-1.0, 1.0):
            other = steps.copy()
            other[row, column] += change
            assert error(other)[column] >= error(steps)[column] * (1 - 1e-6)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2])
def test_the_columns_of_a_convolution_times_its_kernel_are_its_sums(keras, padding: str, strides: int) -> None:
    images = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
    plain = keras.layers.Conv2D(4, (3, 2), strides=strides, padding=padding, use_bias=False)
    depthwise = keras.layers.DepthwiseConv2D(3, strides=strides, padding=padding, depth_multiplier=2, use_bias=False)
    expected, channelwise = np.asarray(plain(images)), np.asarray(depthwise(images))
    kernel = np.asarray(plain.kernel).reshape(-1, 4)
    assert np.allclose(gptq.COLUMNS["Conv2D"](plain, images) @ kernel, expected.reshape(-1, 4), atol=1e-5)
    columns = gptq.COLUMNS["DepthwiseConv2D"](depthwise, images)
    kernel = np.asarray(depthwise.kernel).reshape(9, 3, 2)
    sums = np.einsum("npc,pcm->ncm", columns, kernel).reshape(len(columns), -1)
    assert np.allclose(sums, channelwise.reshape(len(columns), -1), atol=1e-5)


def test_four_bits_lose_less_when_rounded_towards_the_outputs() -> None:
    model = network(3)
    given_to = {"image": np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)}
    conditions = Conditions(inputs=given_to, stage=QAT(weight_bits=4))
    expected = np.asarray(model(given_to["image"], training=False))

    def db(candidate: Any) -> float:
        got = np.asarray(
            calibrated(candidate, given_to, None, conditions.stage).model(given_to["image"], training=False)
        )
        return float(10 * np.log10(np.mean(expected**2) / np.mean((got - expected) ** 2)))

    assert gptq.to_the_nearest(model, conditions) is model
    assert db(gptq.towards_the_output(model, conditions)) > db(model) + 3


def test_kernels_rounded_each_by_itself_are_on_the_grid_and_leave_the_biases(keras) -> None:
    draw = np.random.default_rng(0)
    net = keras.Sequential(
        [keras.Input((6,), name="x"), keras.layers.Dense(5, name="a"), keras.layers.Dense(4, name="b")]
    )
    net.set_weights([draw.normal(size=weight.shape) for weight in net.get_weights()])
    x = draw.uniform(1, 3, size=(200, 6)).astype(np.float32)
    few = gptq.each_by_itself(net, Conditions(inputs={"x": x}, stage=QAT()), 4)
    for name in ("a", "b"):
        layer, rounded = net.get_layer(name), few.get_layer(name)
        kernel = np.asarray(rounded.kernel)
        steps = kernel / (np.abs(kernel).max(axis=0) / 7)
        assert np.allclose(steps, np.rint(steps), atol=1e-3)
        assert np.abs(kernel - np.asarray(layer.kernel)).max() > 0.01
        assert np.array_equal(rounded.bias, layer.bias)


@pytest.mark.parametrize("largest", [7.0, 127.0])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("kind", ["zeros", "constant", "one row", "one input dead"])
def test_inputs_that_tell_nothing_leave_each_weight_within_a_step(largest: float, centred: bool, kind: str) -> None:
    draw = np.random.default_rng(0)
    kernel, inputs = draw.normal(size=(6, 4)), draw.normal(size=(50, 6))
    kernel[:, 1] = 0.0  # a channel that was pruned away
    inputs = {
        "zeros": inputs * 0,
        "constant": inputs * 0 + 3.0,
        "one row": inputs[:1],
        "one input dead": inputs * (np.arange(6) != 2),
    }[kind]
    made = gptq.kernel_on_grid(Dense(kernel), Flow(inputs, inputs), largest, centred=centred)
    assert made is not None
    assert np.isfinite(made).all()
    assert not made[:, 1].any()
    off = np.abs(made - kernel).max(axis=0)
    assert (off <= 1.6 * np.abs(kernel).max(axis=0) / largest * 3).all()  # sums are made good across three weights


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), unit=st.integers(-20, 20))
def test_the_unit_of_weights_and_inputs_changes_no_integer(seed: int, unit: int) -> None:
    draw = np.random.default_rng(seed)
    kernel, inputs = draw.normal(size=(6, 3)), draw.normal(size=(100, 6))
    one = gptq.kernel_on_grid(Dense(kernel), Flow(inputs, inputs), 7.0)
    other = gptq.kernel_on_grid(Dense(kernel * 2.0**unit), Flow(inputs * 4.0, inputs * 4.0), 7.0)
    np.testing.assert_allclose(other, one * 2.0**unit, rtol=1e-4, atol=1e-7 * 2.0**unit)


def test_a_depthwise_kernel_is_rounded_channel_by_channel(keras) -> None:
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    x = np.random.default_rng(0).normal(size=(20, 6, 6, 4)).astype(np.float32)
    layer(x)
    whole = gptq.kernel_on_grid(layer, Flow(x, x), 7.0)
    assert whole is not None
    for channel in range(4):
        alone = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
        part = x[..., channel : channel + 1]
        alone(part)
        alone.kernel.assign(np.asarray(layer.kernel)[:, :, channel : channel + 1])
        np.testing.assert_allclose(gptq.kernel_on_grid(alone, Flow(part, part), 7.0)[:, :, 0], whole[:, :, channel])


def test_groups_and_sums_that_are_too_wide_are_left_to_rounding(keras) -> None:
    x = np.zeros((1, 5, 5, 4), np.float32)
    grouped = keras.layers.Conv2D(4, 3, groups=2)
    grouped.build(x.shape)
    assert gptq.kernel_on_grid(grouped, Flow(x, x), 7.0) is None
    wide = np.zeros((4097, 1))
    assert gptq.kernel_on_grid(Dense(wide), Flow(wide.T, wide.T), 7.0) is None


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_columns_of_a_dilated_convolution_are_its_sums(keras, padding: str, dilation: int) -> None:
    images = np.random.default_rng(0).normal(size=(2, 9, 7, 2)).astype(np.float32)
    layer = keras.layers.Conv2D(3, (3, 2), dilation_rate=dilation, padding=padding, use_bias=False)
    sums = np.asarray(layer(images)).reshape(-1, 3)
    columns = gptq.COLUMNS["Conv2D"](layer, images) @ np.asarray(layer.kernel).reshape(-1, 3)
    np.testing.assert_allclose(columns, sums, atol=1e-5)
