import numpy as np
import pytest

from tfcompress.errors import UsageError
from tfcompress.models.samples import Samples
from tfcompress.weights.loss_sensitivity import LossSensitivity

keras = pytest.importorskip("keras")

KERNEL = np.array([[2.0], [-1.0], [0.5]], np.float32)
ROWS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.float32)
TARGETS = np.zeros((4, 1), np.float32)


def linear(activation=None):
    model = keras.Sequential([keras.Input((3,), name="row"), keras.layers.Dense(1, activation, use_bias=False)])
    model.set_weights([KERNEL])
    return model


def test_taylor_is_gradient_times_weight():
    model = linear()
    # loss = mean(out**2); d/dw = 2/n * rows.T @ out
    gradient = 2 / 4 * ROWS.T @ (ROWS @ KERNEL)
    found = LossSensitivity("taylor", model, Samples({"row": ROWS}, TARGETS))([model.layers[0].kernel])
    assert found[0] == pytest.approx(np.abs(gradient * KERNEL), rel=1e-5)


def test_hessian_is_half_the_squared_weight_times_the_mean_squared_gradient():
    model = linear()
    rows = np.concatenate([ROWS, 2 * ROWS])
    gradients = [2 / 4 * part.T @ (part @ KERNEL) for part in (rows[:4], rows[4:])]
    fisher = np.mean([gradient**2 for gradient in gradients], axis=0)
    found = LossSensitivity("hessian", model, Samples({"row": rows}, np.zeros((8, 1), np.float32)))
    assert found([model.layers[0].kernel])[0] == pytest.approx(KERNEL**2 / 2 * fisher, rel=1e-5)


def test_the_loss_of_a_compiled_model_is_taken():
    model = linear()
    model.compile(loss=keras.losses.MeanAbsoluteError())
    gradient = ROWS.T @ np.sign(ROWS @ KERNEL) / 4
    found = LossSensitivity("taylor", model, Samples({"row": ROWS}, TARGETS))([model.layers[0].kernel])
    assert found[0] == pytest.approx(np.abs(gradient * KERNEL), rel=1e-5)


@pytest.mark.parametrize("softmax", [True, False])
def test_class_numbers_are_compared_by_cross_entropy_with_probabilities_as_with_logits(softmax):
    logits = np.array([[1.0, -1.0], [0.5, 0.0], [0.2, 0.1]], np.float32)
    model = keras.Sequential(
        [keras.Input((3,), name="row"), keras.layers.Dense(2, "softmax" if softmax else None, use_bias=False)]
    )
    model.set_weights([logits])
    labels = np.array([0, 1, 1, 0])
    scores = np.exp(ROWS @ logits) / np.exp(ROWS @ logits).sum(axis=1, keepdims=True)
    gradient = ROWS.T @ (scores - np.eye(2)[labels]) / 4
    found = LossSensitivity("taylor", model, Samples({"row": ROWS}, labels))([model.layers[0].kernel])
    assert found[0] == pytest.approx(np.abs(gradient * logits), rel=1e-3)


@pytest.mark.parametrize(("samples", "words"), [(None, "none"), (Samples({"row": ROWS}), "samples without labels")])
def test_without_labelled_samples_it_is_refused(samples, words):
    with pytest.raises(UsageError, match=f"prune.criterion 'hessian' takes gradients .* labels, got {words}; give"):
        LossSensitivity("hessian", linear(), samples)
