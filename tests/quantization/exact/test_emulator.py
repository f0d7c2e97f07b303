"""tfcompress.quantization.exact.emulator on tiny models; that files agree with it is tested with the export."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.quantization.calibration import calibrate_  # noqa: E402
from tfcompress.quantization.exact.emulator import Emulator, can_emulate  # noqa: E402
from tfcompress.quantization.transform import quantize  # noqa: E402
from tfcompress.recipe import QAT  # noqa: E402

X = np.random.default_rng(0).normal(size=(40, 6, 6, 2)).astype(np.float32)
L = keras.layers


def calibrated(make, stage=QAT()):  # noqa: B008 - a frozen value
    keras.utils.set_random_seed(1)  # before the layers are made: they draw the seeds of their weights then
    given = x = keras.Input((6, 6, 2), name="image")
    for layer in make():
        x = layer(x)
    model = quantize(keras.Model(given, x), stage).model
    calibrate_(model, {"image": X})
    return model


def steps_apart(model) -> tuple[np.ndarray, set[str]]:
    """Return how many steps of the output emulation and floating-point numbers are apart, and what was rounded."""
    emulator = Emulator(model)
    (ours,) = emulator.run({"image": X}).values()
    ranges = [layer for layer in model.layers if type(layer).__name__ == "FakeQuant"]
    return np.abs(ours - model.predict(X, verbose=0)) / ranges[-1].step, emulator.rounded


@pytest.mark.parametrize(
    "make",
    [
        lambda: [
            *(L.Conv2D(4, 3, use_bias=False), L.BatchNormalization(), L.ReLU(6.0)),
            *(L.GlobalAveragePooling2D(), L.Dense(3)),
        ],
        lambda: [
            L.DepthwiseConv2D(3, padding="same", activation="relu"),
            L.AveragePooling2D(4, 2, "same"),
            L.Flatten(),
        ],
        lambda: [
            *(L.Conv2DTranspose(3, 3, strides=2), L.MaxPooling2D(2), L.Activation("swish")),
            *(L.Flatten(), L.Softmax()),
        ],
        lambda: [L.Conv2D(4, 1, activation="hard_swish"), L.PReLU(shared_axes=[1, 2]), L.LeakyReLU(0.25)],
        lambda: [
            *(L.Conv2D(4, 1), L.Activation("tanh"), L.Reshape((36, 4))),
            *(L.Conv1D(2, 3), L.ReLU(), L.Permute((2, 1))),
        ],
        lambda: [
            *(L.UpSampling2D((1, 2)), L.Conv2D(4, 1), L.UpSampling2D(2, interpolation="bilinear")),
            *(L.Resizing(5, 7), L.Reshape((5, 28)), L.UpSampling1D(3), L.Conv1D(3, 1)),
        ],
        lambda: [L.Reshape((2, 36)), L.GRU(3)],
        lambda: [L.Conv2D(4, 3, activation="mish"), L.Flatten(), L.Dense(3, activation="elu")],
    ],
)
def test_integers_follow_the_training_to_within_a_few_steps(make):
    apart, rounded = steps_apart(calibrated(make))
    assert rounded == set()
    assert apart.max() < 4.1
    assert np.mean(apart < 1.1) > 0.9


def test_a_constant_is_held_on_a_grid_of_its_own():
    keras.utils.set_random_seed(1)
    given = keras.Input((6, 6, 2), name="image")
    x = L.Conv2D(4, 1)(given)
    model = quantize(keras.Model(given, 1.0 - x * 0.3 + keras.ops.multiply(2.0, x)), QAT()).model
    calibrate_(model, {"image": X})
    apart, rounded = steps_apart(model)
    assert rounded == set()
    assert apart.max() < 2.1


def test_a_kernel_that_changes_sign_with_its_normalization():
    model = calibrated(
        lambda: [L.Conv2D(4, 3, use_bias=False, name="conv"), L.BatchNormalization(name="norm"), L.ReLU()]
    )
    normalization = model.get_layer("norm")
    normalization.gamma.assign([1.0, -1.0, 0.5, -2.0])
    normalization.moving_mean.assign([0.1, -0.2, 0.3, 0.0])
    calibrate_(model, {"image": X})
    apart, _ = steps_apart(model)
    assert apart.max() < 1.1


def test_what_is_not_known_is_rounded_and_named():
    assert steps_apart(calibrated(lambda: [L.Conv2D(4, 1), L.Lambda(lambda x: x)]))[1] == {"Lambda"}
    apart, rounded = steps_apart(calibrated(lambda: [L.Conv2D(4, 1), L.UpSampling2D(2, interpolation="bicubic")]))
    assert rounded == {"UpSampling2D"}
    assert apart.max() < 1.1


@pytest.mark.parametrize(
    ("options", "rounded"),
    [
        ({}, {"a layer whose inputs are next to zero"}),
        ({"activation": "relu"}, {"Conv2D"}),
    ],
)
def test_a_bias_that_the_converter_coarsens_a_kernel_for_is_not_known(options, rounded):
    make = lambda: [L.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(1e6), **options)]  # noqa: E731
    assert steps_apart(calibrated(make))[1] == rounded


def test_a_mean_of_one_value_is_the_value():
    apart, rounded = steps_apart(calibrated(lambda: [L.Conv2D(4, 6), L.GlobalAveragePooling2D(), L.Dense(2)]))
    assert rounded == set()
    assert apart.max() < 1.1


def test_layers_that_vary_pictures_in_training_leave_them_alone():
    varied = lambda: [L.RandomFlip(), L.RandomRotation(0.3), L.GaussianNoise(0.5), L.Conv2D(4, 3), L.Flatten()]  # noqa: E731
    apart, rounded = steps_apart(calibrated(varied))
    assert rounded == set()
    assert apart.max() < 1.1


def test_a_layer_that_is_not_known_is_asked_as_in_inference():
    class Louder(L.Layer):
        def call(self, x, training=True):
            return x * 2.0 if training else x

    apart, rounded = steps_apart(calibrated(lambda: [L.Conv2D(4, 1), Louder()]))
    assert rounded == {"Louder"}
    assert apart.max() < 1.1


def test_only_known_ranges_of_eight_bits_can_be_emulated():
    assert can_emulate(calibrated(lambda: [L.Conv2D(4, 1), L.ReLU()]))
    assert not can_emulate(calibrated(lambda: [L.Conv2D(4, 1), L.ReLU()], stage=QAT(activation_bits=16)))
    given = keras.Input((6, 6, 2))
    plain = keras.Model(given, L.Conv2D(4, 1)(given))
    assert not can_emulate(plain)
    assert not can_emulate(quantize(plain, QAT()).model)
