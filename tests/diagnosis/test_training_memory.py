"""Samples against what a model remembers of its training."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tfcompress.diagnosis.training_memory import lint_scaling  # noqa: E402 - after keras

L = keras.layers
IMAGES = (np.random.default_rng(0).random((40, 6, 6, 3)) * [1.0, 0.6, 0.2]).astype("float32")


@pytest.fixture(scope="module")
def remembering():
    """Return a model whose normalization holds the statistics of IMAGES behind a convolution."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((6, 6, 3), name="image"), L.Conv2D(6, 3, name="conv"), L.BatchNormalization(name="norm"), L.ReLU()]
    )
    seen = np.asarray(model.get_layer("conv")(IMAGES))
    weights = model.get_layer("norm").get_weights()
    model.get_layer("norm").set_weights([*weights[:2], seen.mean((0, 1, 2)), seen.var((0, 1, 2))])
    return model


def test_samples_like_those_of_training_are_fine(remembering) -> None:
    assert lint_scaling(remembering, {"image": IMAGES[:20]}) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (IMAGES * 255, "255 times too large"),
        (IMAGES / 255, "255 times too small"),
        (IMAGES[..., ::-1], "reverse"),
    ],
    ids=["large", "small", "reversed"],
)
def test_what_makes_samples_fit_is_named(remembering, wrong: np.ndarray, said: str) -> None:
    (remark,) = lint_scaling(remembering, {"image": np.ascontiguousarray(wrong)})
    assert (remark.gravity, remark.where) == ("fault", "input image")
    assert said in remark.what


def test_samples_that_nothing_mends_are_a_risk(remembering) -> None:
    noise = np.random.default_rng(3).normal(-40, 9, IMAGES.shape).astype("float32")
    (remark,) = lint_scaling(remembering, {"image": noise})
    assert remark.gravity == "risk"


def test_a_model_that_was_never_trained_remembers_nothing() -> None:
    model = keras.Sequential([keras.Input((6, 6, 3), name="image"), L.Conv2D(6, 3), L.BatchNormalization()])
    assert lint_scaling(model, {"image": IMAGES * 255}) == []


@pytest.mark.parametrize(("factor", "said"), [(1, "they are scaled already"), (255, ""), (255**2, "as in training")])
def test_a_rescaling_says_which_numbers_it_wants_through_augmentation_and_nesting(factor: int, said: str) -> None:
    head = keras.Sequential([L.Rescaling(1 / 255, name="rescale")], name="head")
    image = keras.Input((6, 6, 3), name="image")
    model = keras.Model(image, L.Conv2D(2, 3)(head(L.RandomFlip()(image))))
    found = lint_scaling(model, {"image": IMAGES * np.float32(factor)})
    assert [remark.where for remark in found] == ["input image"] * bool(said)
    assert all("head/rescale" in remark.what and said in remark.remedy for remark in found)
