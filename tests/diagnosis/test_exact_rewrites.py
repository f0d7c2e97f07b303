"""Rewrites that change no number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

keras = pytest.importorskip("keras")

from tfcompress.diagnosis import exact_rewrites  # noqa: E402 - after keras
from tfcompress.diagnosis.exact_rewrites import TOLERANCE, Affine, can_fold, largest_difference, rewritten  # noqa: E402

L = keras.layers


def normalization(channels: int, seed: int, name: str = "norm"):
    layer = L.BatchNormalization(name=name)
    layer.build((None, None, None, channels))
    draw = np.random.default_rng(seed)
    layer.set_weights(
        [draw.uniform(0.2, 3, channels), *draw.normal(size=(2, channels)), draw.uniform(0.1, 4, channels)]
    )
    return layer


def names(model) -> list[str]:
    return [layer.name for layer in model.layers if not isinstance(layer, L.InputLayer)]


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from(["conv", "depthwise", "dense"]),
    st.integers(0, 100),
    st.booleans(),
    st.integers(1, 2),
)
def test_a_normalization_goes_into_the_kernel_that_reads_it(kind: str, seed: int, use_bias: bool, stride: int) -> None:
    keras.utils.set_random_seed(seed)
    reader = {
        "conv": lambda: L.Conv2D(5, 3, strides=stride, use_bias=use_bias, activation="relu", name="reader"),
        "depthwise": lambda: L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=use_bias, name="reader"),
        "dense": lambda: L.Dense(4, use_bias=use_bias, name="reader"),
    }[kind]()
    model = keras.Sequential([keras.Input((6, 6, 3)), normalization(3, seed), reader])
    lean, offers = rewritten(model)
    assert [(offer.layer, offer.proven) for offer in offers] == [("norm", True)]
    assert names(lean) == ["reader"]
    assert largest_difference(model, lean) <= TOLERANCE
    assert names(model) == ["norm", "reader"]


def test_what_acts_in_training_only_goes_a_model_of_it_and_a_rescaling_behind_it() -> None:
    augmentation = keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1)], name="augmentation")
    image = keras.Input((8, 8, 3), name="image")
    x = L.Rescaling(1 / 255, name="rescale")(augmentation(image))
    x = L.Dropout(0.5, name="drop")(L.Conv2D(4, 3, padding="same", name="conv")(x))
    model = keras.Model(image, L.Dense(2, name="logits")(L.Flatten(name="flat")(x)))
    lean, offers = rewritten(model)
    assert names(lean) == ["conv", "flat", "logits"]
    assert [offer.layer for offer in offers] == ["augmentation", "rescale", "drop"]
    assert lean.input.name == "image"


def test_an_offset_is_not_folded_over_a_border_of_zeros() -> None:
    padded, valid = (L.Conv2D(4, 3, padding=padding) for padding in ("same", "valid"))
    one_by_one = L.Conv2D(4, 1, padding="same")
    shifted, scaled = Affine(np.ones(1), np.ones(1)), Affine(np.ones(1) * 3, np.zeros(1))
    assert [can_fold(shifted, layer) for layer in (padded, valid, one_by_one)] == [False, True, True]
    assert can_fold(scaled, padded)
    model = keras.Sequential([keras.Input((6, 6, 3)), L.Rescaling(1 / 127.5, -1.0), padded])
    assert rewritten(model)[1] == ()


def test_what_several_layers_read_and_what_is_an_output_stays() -> None:
    image = keras.Input((6, 6, 3), name="image")
    normal = normalization(3, 0)(image)
    twice = keras.Model(image, L.Add()([L.Conv2D(2, 1)(normal), L.Conv2D(2, 1)(normal)]))
    assert rewritten(twice)[1] == ()
    last = keras.Model(image, L.Dropout(0.5)(L.Conv2D(2, 1)(image)))
    assert rewritten(last)[1] == ()


def test_a_layer_that_is_called_twice_stays() -> None:
    image = keras.Input((6, 6, 3), name="image")
    drop = L.Dropout(0.5)
    conv = L.Conv2D(3, 1)
    model = keras.Model(image, L.ReLU()(drop(conv(drop(conv(image))))))
    assert rewritten(model)[1] == ()


def test_a_normalization_layer_goes_into_a_dense_one() -> None:
    layer = L.Normalization(name="standard")
    layer.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)).astype("float32"))
    model = keras.Sequential([keras.Input((4,)), layer, L.Dense(3, name="logits")])
    lean, offers = rewritten(model)
    assert names(lean) == ["logits"]
    assert offers[0].proven


def test_a_rewrite_that_changes_numbers_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_rewrites, "affine_of", lambda layer: Affine(np.ones(1) * 2, np.zeros(1)))
    model = keras.Sequential([keras.Input((4,)), L.Rescaling(1 / 255, name="rescale"), L.Dense(3, name="logits")])
    lean, offers = rewritten(model)
    assert lean is model
    assert (offers[0].layer, offers[0].proven) == ("rescale", False)
