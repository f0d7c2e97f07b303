"""Samples that an export would calibrate on, with a fault planted each; what was said already is not said again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.data.sources import load_data  # noqa: E402 - after keras
from tfcompress.diagnosis import data_checkup  # noqa: E402
from tfcompress.diagnosis.data_checkup import check_calibration  # noqa: E402
from tfcompress.models.signature import signature_of  # noqa: E402

L = keras.layers
GENERATOR = np.random.default_rng(0)
IMAGES = (GENERATOR.random((160, 6, 6, 3)) * [1.0, 0.6, 0.2]).astype("float32")
LABELS = np.arange(160) % 3


@pytest.fixture(scope="module")
def model() -> Any:
    """Return a model whose normalization holds the statistics of IMAGES."""
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 3), name="image")
    x = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(6, 3, name="conv")(image)))
    found = keras.Model(image, L.Dense(3, activation="softmax", name="kind")(L.Flatten()(x)))
    seen = np.asarray(found.get_layer("conv")(IMAGES))
    norm = found.get_layer("norm")
    norm.set_weights([*norm.get_weights()[:2], seen.mean((0, 1, 2)), seen.var((0, 1, 2))])
    return found


def bound(model: Any, **changed: Any) -> Any:
    parts = {"x_train": IMAGES[:100], "y_train": LABELS[:100], "x_test": IMAGES[100:], "y_test": LABELS[100:]}
    return load_data({**parts, **changed}).bind(signature_of(model), holdout=None)


def test_samples_as_in_training_are_fine_by_the_model_and_without_it(model: Any) -> None:
    assert check_calibration(model, bound(model), 80, 0) == ()
    assert check_calibration(None, bound(model), 80, 0) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x_train": IMAGES[:100] * 255, "x_test": IMAGES[100:] * 255}, ["255 times too large (mend --scale: 1/255)"]),
        ({"x_train": IMAGES[:100] * 255}, ["1/255 as far", "255 times too large"]),
        ({"x_test": IMAGES[100:, :, :, ::-1].copy()}, ["are those of the calibration (train) samples in reverse"]),
        ({"x_test": IMAGES[100:] * 2}, ["what lies beyond is clipped"]),
    ],
    ids=["scaled", "scaled apart", "channels", "wider"],
)
def test_what_is_wrong_with_the_inputs_is_told_faults_first(model: Any, changed: Any, said: list[str]) -> None:
    remarks = check_calibration(model, bound(model, **changed), 80, 0)
    text = "\n".join(map(str, remarks))
    assert all(words in text for words in said)
    assert [remark.gravity for remark in remarks] == sorted(remark.gravity for remark in remarks)


def test_halves_that_reach_apart_are_told_whatever_is_run_at_a_time(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = IMAGES[:100] * np.linspace(0.01, 1, 100, dtype="float32")[:, None, None, None]
    found = []
    for chunk in (7, 1000):
        monkeypatch.setattr(data_checkup, "ROWS_AT_ONCE", chunk)
        found.append(check_calibration(model, bound(model, x_train=rising), 100, 0))
    assert found[0] == found[1]
    assert any("one half of the 100 samples reaches more than 50% further" in str(remark) for remark in found[0])


def test_a_large_model_runs_on_fewer_samples(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(data_checkup, "layer_values", lambda _, part: ran.append(len(part["image"])) or [])
    check_calibration(model, bound(model), 100, 0, macs=data_checkup.MOST_MACS // 40)
    assert sum(ran) == 40


def test_a_class_that_the_sample_lacks_is_told_and_one_that_the_data_lacks_is_not_told_again(model: Any) -> None:
    drawn = set(bound(model).train.sample(10, 0).rows.tolist())
    rare = np.where(np.arange(100) == min(set(range(100)) - drawn), 2, np.arange(100) % 2)
    (remark,) = check_calibration(model, bound(model, y_train=rare), 10, 0)
    assert "no sample of 1 of 3 classes (2)" in str(remark)
    data = bound(model, y_train=np.arange(100) % 2)
    assert "has no sample of class 2" in data.lint()[0]
    assert check_calibration(model, data, 10, 0) == ()


def test_labels_of_steps_with_padding_are_no_classes_to_be_missed() -> None:
    steps = keras.Input((5, 3), name="steps")
    tagger = keras.Model(steps, L.Dense(4, activation="softmax", name="tags")(steps))
    x = GENERATOR.random((60, 5, 3)).astype("float32")
    y = np.where(np.arange(5) < 3, GENERATOR.integers(0, 4, (60, 5)), -1)
    parts = {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}
    data = load_data(parts, task="tokens").bind(signature_of(tagger), holdout=None)
    assert check_calibration(tagger, data, 40, 0) == ()
