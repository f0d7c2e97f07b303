"""What each criterion says of channels, on kernels whose numbers are set by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfcompress.channels import criteria
from tfcompress.channels.activity import mean_absolute, observe, second_moments
from tfcompress.channels.groups import groups
from tfcompress.errors import DataError, UnsupportedError
from tfcompress.models.samples import Samples

keras = pytest.importorskip("keras")


def network():
    """Dense(4) - BatchNormalization - ReLU - Dense(3) on vectors of 5."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    given = keras.Input((5,), name="vector")
    x = layers.Dense(4, name="first", use_bias=False)(given)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    return keras.Model(given, layers.Dense(3, name="logits")(x))


def free(model):
    return [group for group in groups(model) if not group.pinned]


def samples(count=64, seed=0):
    rng = np.random.default_rng(seed)
    return Samples({"vector": rng.normal(size=(count, 5)).astype("float32")}, rng.integers(0, 3, count))


def test_norms_are_those_of_the_columns_that_make_a_channel():
    model = network()
    kernel = np.zeros((5, 4), "float32")
    kernel[0] = [1, 2, 3, 0]
    kernel[1] = [-1, 2, 0, 0]
    model.get_layer("first").kernel.assign(kernel)
    (l1,) = criteria.scores(model, free(model), "l1").values()
    np.testing.assert_allclose(l1, np.array([2, 4, 3, 0]) / (9 / 4))
    (l2,) = criteria.scores(model, free(model), "l2").values()
    raw = np.sqrt([2, 8, 9, 0])
    np.testing.assert_allclose(l2, raw / raw.mean(), rtol=1e-6)


def test_gamma_is_the_scale_of_the_normalization_behind():
    model = network()
    model.get_layer("norm").gamma.assign([0.5, -1.0, 0.0, 0.5])
    (found,) = criteria.scores(model, free(model), "bn_gamma").values()
    np.testing.assert_allclose(found, [1, 2, 0, 1])


def test_activation_is_what_the_next_layer_reads():
    model, data = network(), samples()
    (found,) = criteria.scores(model, free(model), "activation", samples=data).values()
    read = keras.Model(model.input, model.get_layer("relu").output)(data.inputs["vector"]).numpy()
    expected = np.abs(read).mean(0)
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5)


def test_taylor_is_the_squared_slope_of_the_loss_along_a_gate_on_the_channel():
    model, data = network(), samples(criteria.GRADIENT_BATCH)
    (found,) = criteria.scores(model, free(model), "taylor", samples=data).values()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    last, step = model.get_layer("logits"), 1e-2
    before, slopes = last.kernel.numpy(), []
    for channel in range(4):
        losses = []
        for factor in (1 + step, 1 - step):
            kernel = before.copy()
            kernel[channel] *= factor
            last.kernel.assign(kernel)
            losses.append(float(loss(data.labels, model(data.inputs["vector"]))))
        last.kernel.assign(before)
        slopes.append((losses[0] - losses[1]) / (2 * step))
    np.testing.assert_allclose(found, np.square(slopes), rtol=0.02, atol=1e-7)


def test_no_weight_outvotes_another_by_its_scale():
    small, large = np.array([1.0, 3.0]), np.array([300.0, 100.0])
    np.testing.assert_allclose(criteria.joined([small, large]), [(0.5 + 1.5) / 2, (1.5 + 0.5) / 2])
    assert criteria.joined([]) is None


def test_taylor_without_labels_is_refused():
    model = network()
    with pytest.raises(DataError, match=r"channels\.criterion 'taylor' needs samples, got none"):
        criteria.scores(model, free(model), "taylor")
    with pytest.raises(DataError, match="needs samples with labels, got no labels"):
        criteria.scores(model, free(model), "taylor", samples=Samples(samples().inputs))
    named = Samples(samples().inputs, {"scores": samples().labels})
    with pytest.raises(DataError, match="labels must be for the outputs logits, got some for scores"):
        criteria.scores(model, free(model), "taylor", samples=named)


def test_a_criterion_that_can_judge_nothing_is_refused():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(2)])
    with pytest.raises(UnsupportedError, match="'bn_gamma' can judge none of the groups 'a'"):
        criteria.scores(model, free(model), "bn_gamma")


def test_what_goes_into_layers_is_seen_inside_nested_models_too():
    inner = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1, name="conv")], name="inner")
    given = keras.Input((4, 4, 3), name="image")
    model = keras.Model(given, keras.layers.GlobalAveragePooling2D()(inner(given)))
    x = np.random.default_rng(0).normal(size=(70, 4, 4, 3)).astype("float32")
    found = observe(model, {"image": x}, {"inner/conv"}, mean_absolute)
    np.testing.assert_allclose(found["inner/conv"], np.abs(x).mean((0, 1, 2)), rtol=1e-5)
    moments = observe(model, {"image": x}, {"inner/conv"}, second_moments)["inner/conv"]
    rows = x.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(moments, rows.T @ rows / len(rows), rtol=1e-4, atol=1e-5)
