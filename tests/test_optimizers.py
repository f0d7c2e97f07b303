"""Muon on convolutions: singular values, sizes of steps, and which kernels are left to Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.optimizers import KernelMuon, matrix

keras = pytest.importorskip("keras")

RATE = 0.01


def network() -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="first")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2D(24, 3, name="hidden")(x)
    x = layers.Dense(12, activation="tanh", name="dense")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10, name="last")(x))


@pytest.fixture(scope="module")
def steps() -> dict[str, np.ndarray]:
    """What one step adds to each kernel, as a matrix."""
    model = network()
    before = {layer.name: layer.get_weights()[0] for layer in model.layers if layer.weights}
    model.compile(KernelMuon(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    model.fit(rng.random((64, 8, 8, 3)), rng.integers(0, 10, 64), batch_size=64, verbose=0)
    return {
        name: (model.get_layer(name).get_weights()[0] - kernel).reshape(matrix(kernel.shape))
        for name, kernel in before.items()
    }


def test_a_kernel_becomes_a_matrix_of_everything_else_and_output_channels() -> None:
    assert matrix((3, 3, 16, 32)) == (3 * 3 * 16, 32)
    assert matrix((4, 8)) == (4, 8)


def test_no_direction_of_a_convolution_is_louder_than_another(steps: dict[str, np.ndarray]) -> None:
    values = np.linalg.svd(steps["hidden"], compute_uv=False)
    assert len(values) == 24
    assert values.max() / values.min() < 2.5  # five steps of Newton and Schulz end between 0.7 and 1.2


@pytest.mark.parametrize("name", ["hidden", "dense"])
def test_a_step_is_as_large_as_adams_usually_is(steps: dict[str, np.ndarray], name: str) -> None:
    size = float(np.sqrt(np.mean(steps[name] ** 2)))
    assert size == pytest.approx(0.2 * RATE, rel=0.3)  # Liu et al. 2025: 0.2 is the root mean square of Adam's steps


@pytest.mark.parametrize("name", ["first", "depthwise", "last"])
def test_the_first_the_last_and_depthwise_kernels_are_left_to_adam(steps: dict[str, np.ndarray], name: str) -> None:
    moved = np.abs(steps[name])[np.abs(steps[name]) > 0]
    assert np.median(moved) == pytest.approx(RATE, rel=1e-2)  # Adam's first step is the learning rate for every weight


def test_it_is_a_keras_optimizer_that_can_be_saved() -> None:
    again = KernelMuon.from_config(KernelMuon(RATE).get_config())
    assert float(again.learning_rate) == pytest.approx(RATE)
    assert again.weight_decay is None
