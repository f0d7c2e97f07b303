"""tfcompress.quantization.baking and saving; with the transform that makes such models."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.quantization.baking import (  # noqa: E402
    baked,
    fewest_weight_bits,
    is_fake_quant,
    without_rounding,
)
from tfcompress.quantization.calibration import calibrate_  # noqa: E402
from tfcompress.quantization.transform import quantize  # noqa: E402
from tfcompress.recipe import QAT  # noqa: E402

X = np.random.default_rng(0).normal(size=(32, 6, 6, 2)).astype(np.float32)


def network():
    keras.utils.set_random_seed(3)
    layers = keras.layers
    given = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, name="conv", use_bias=False)(given)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(given, layers.Dense(3, activation="softmax", name="scores")(x))


@pytest.fixture(scope="module")
def trained():
    model = quantize(network(), QAT()).model
    calibrate_(model, {"image": X})
    model.compile("sgd", "mse")
    model.fit(X, np.eye(3)[np.arange(32) % 3], epochs=2, batch_size=8, verbose=0)
    return model


def test_only_a_model_under_training_is_told_to_be(trained):
    assert is_fake_quant(trained)
    assert not is_fake_quant(network())
    assert not is_fake_quant(baked(trained))


def test_a_baked_model_is_made_of_keras_s_own_layers_and_rounded_tensors(trained):
    kinds = {type(layer).__name__ for layer in baked(trained).layers}
    assert kinds == {
        *("InputLayer", "Conv2D", "ReLU", "GlobalAveragePooling2D", "Dense", "Activation", "Identity"),
        "ConstantFakeQuant",
    }


def test_it_computes_what_the_model_under_training_does_up_to_the_rounding_of_biases(trained):
    theirs, ours = trained.predict(X, verbose=0), baked(trained).predict(X, verbose=0)
    assert np.mean(np.abs(theirs - ours) > 2.5 / 256) < 0.02


def test_kernels_are_on_the_grid_of_their_largest_value_and_biases_on_that_of_the_sums(trained):
    model = baked(trained)
    kernel, bias = model.get_layer("conv").get_weights()
    scale = np.abs(kernel).max((0, 1, 2)) / 127
    np.testing.assert_allclose(kernel / scale, np.round(kernel / scale), atol=1e-3)
    step = scale * trained.get_layer("image_range0").step
    np.testing.assert_allclose(bias / step, np.round(bias / step), atol=0.05)


def test_baking_changes_nothing_in_the_model_under_training(trained):
    before = [w.copy() for w in trained.get_weights()]
    nodes = [len(layer._inbound_nodes) for layer in trained.layers]
    baked(trained)
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))
    assert nodes == [len(layer._inbound_nodes) for layer in trained.layers]


def test_a_range_that_saw_nothing_is_left_to_the_samples_of_the_export():
    model = quantize(network(), QAT()).model
    left = [type(layer).__name__ for layer in baked(model).layers]
    assert left.count("ConstantFakeQuant") == 1  # the softmax's, which is fixed


def test_a_model_trained_in_half_precision_is_exported_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = network()
        model = quantize(half, QAT()).model
    finally:
        keras.config.set_dtype_policy("float32")
    assert half.get_layer("conv").compute_dtype == "float16"
    assert model.get_layer("conv").compute_dtype == "float32"
    assert {layer.compute_dtype for layer in baked(model).layers} == {"float32"}


@pytest.mark.parametrize("seams", [False, True])
def test_without_rounding_it_computes_what_the_model_did_before(seams: bool):
    model, draw = network(), np.random.default_rng(1)
    model.set_weights([draw.uniform(0.5, 1.5, size=weight.shape) for weight in model.get_weights()])
    bare = without_rounding(quantize(model, QAT()).model, seams=seams)
    assert not is_fake_quant(bare)
    np.testing.assert_allclose(bare.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    kinds = [type(layer).__name__ for layer in bare.layers]
    assert kinds.count("_Seam") == (4 if seams else 0)  # behind input, ReLU, pooling and sums: not at the end
    assert kinds.count("BatchNormalization") == 1


def test_a_normalization_that_is_not_folded_keeps_its_weights():
    given, draw = keras.Input((6, 6, 2), name="image"), np.random.default_rng(1)
    shared, norm = keras.layers.Conv2D(2, 1, name="shared"), keras.layers.BatchNormalization(name="norm")
    outputs = keras.layers.Add(name="sum")([norm(shared(given)), shared(keras.layers.ReLU()(given))])
    model = keras.Model(given, outputs)
    model.set_weights([draw.uniform(0.5, 1.5, size=weight.shape) for weight in model.get_weights()])
    made = quantize(model, QAT()).model
    calibrate_(made, {"image": X})
    expected = model.predict(X, verbose=0)
    error = np.abs(baked(made).predict(X, verbose=0) - expected).max()
    assert error < 0.05 * np.abs(expected).max()


def test_kernels_of_4_bits_are_baked_once_and_stay_so():
    model = quantize(network(), QAT(weight_bits=4)).model
    assert (fewest_weight_bits(model), fewest_weight_bits(network())) == (4, 8)
    calibrate_(model, {"image": X})
    once = baked(model)
    assert not is_fake_quant(once)
    assert {"TransformedLayer", "PointwiseDense"} <= {type(layer).__name__ for layer in once.layers}
    wide = baked(model, four_bits=False)
    assert {"Conv2D", "Dense"} <= {type(layer).__name__ for layer in wide.layers}
    np.testing.assert_allclose(once.predict(X, verbose=0), wide.predict(X, verbose=0), atol=2 / 256)


@pytest.mark.slow
def test_a_saved_model_loads_in_another_process_trains_on_and_exports_to_the_same_model(trained, tmp_path):
    path = tmp_path / "qat.keras"
    trained.save(path)
    np.save(tmp_path / "x.npy", X)
    code = f"""
import numpy as np, keras
import tfcompress.quantization.fake_quant, tfcompress.quantization.batch_norm
import tfcompress.models.transformed_layer
from tfcompress.quantization.baking import baked
model = keras.models.load_model({str(path)!r})
np.savez({str(tmp_path / "baked.npz")!r}, *baked(model).get_weights())
model.fit(np.load({str(tmp_path / "x.npy")!r}), np.eye(3)[np.arange(32) % 3], verbose=0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    with np.load(tmp_path / "baked.npz") as stored:
        for name, ours in zip(stored, baked(trained).get_weights(), strict=True):
            np.testing.assert_array_equal(stored[name], ours)
