"""Networks at other sizes of their pictures: the same weights, the same layers, and what cannot be had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.blocks.residual_models import network, networks
from tests.pictures import network as pictures_network
from tfcompress.errors import UnsupportedError, UsageError
from tfcompress.models.keras_private import functional, replayed
from tfcompress.models.picture_size import at_size, from_size, picture_of, pools_everything, sizes_to_try
from tfcompress.stages.stage import InputSize

keras = pytest.importorskip("keras")
layers = keras.layers


def size(height: int, width: int | None = None, name: str = "image") -> InputSize:
    return InputSize(name, height, height if width is None else width)


def images(height: int, width: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, height, width, 3)).astype(np.float32)


def layer_by_layer(model: Any, x: np.ndarray) -> list[Any]:
    """Run a model's own layers, one after the other, on pictures that the model itself does not take."""

    def stand_in(operation: Any) -> Any:
        if isinstance(operation, keras.Sequential):
            return lambda given, **_: layer_by_layer(operation, given)[0]
        return operation

    return keras.tree.flatten(replayed(functional(model), [x], stand_in))


@settings(max_examples=8, deadline=None)
@given(networks, st.integers(2, 7), st.integers(2, 7))
def test_every_weight_is_kept_and_every_layer_does_what_it_did(branches: list[str], height: int, width: int) -> None:
    model = network(branches)
    new = at_size(model, size(height, width))
    assert new.input_shape == (None, height, width, 3)
    assert new.output_shape == model.output_shape
    for own, made in zip(model.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(made, own)
    x = images(height, width)
    for output, expected in zip(new(x), layer_by_layer(model, x), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    assert model.input_shape == (None, 4, 4, 3)


def test_at_its_own_size_a_network_answers_as_before() -> None:
    model = pictures_network()
    x = images(16, 16)
    np.testing.assert_array_equal(at_size(model, size(16))(x), model(x))


def test_a_pooling_over_the_whole_of_the_maps_stays_one() -> None:
    window, everything = (pictures_network(pooling=kind) for kind in ("window", "global"))
    assert pools_everything(window.get_layer("pool"))
    small = at_size(window, size(10, 12))
    assert tuple(small.get_layer("pool").pool_size) == (5, 6)
    x = images(10, 12)
    np.testing.assert_allclose(small(x), at_size(everything, size(10, 12))(x), rtol=1e-5)
    part = keras.Sequential([keras.Input((8, 8, 3), name="image"), layers.AveragePooling2D(4, name="pool")])
    assert not pools_everything(part.get_layer("pool"))


def test_frozen_models_inside_stay_frozen_and_are_built_for_what_they_are_given() -> None:
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same")], name="inner")
    inner.trainable = False
    outer = keras.Sequential(
        [
            keras.Input((16, 16, 3), name="image"),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            inner,
            layers.GlobalMaxPooling2D(),
        ]
    )
    small = at_size(outer, size(8))
    assert small.get_layer("inner").input_shape == (None, 4, 4, 4)
    assert not small.get_layer("inner").trainable
    assert len(small.trainable_weights) == 2


def reshaping(target: tuple[int, ...], *, raw: bool) -> Any:
    given = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 1)(given)
    x = keras.ops.reshape(x, (-1, *target)) if raw else layers.Reshape(target)(x)
    return keras.Model(given, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            lambda: pictures_network(pooling="flatten"),
            r"out/kernel would have the shape \(64, 2\) instead of \(256, 2\)",
        ),
        (lambda: reshaping((64, 4), raw=False), "The total size of the tensor must be unchanged"),
        (lambda: reshaping((64, 4), raw=True), ""),
        (
            lambda: keras.Sequential([keras.Input((16, 16, 3), name="image"), layers.Conv2D(2, 1)]),
            r"an output would have the shape \(8, 8, 2\) instead of \(16, 16, 2\)",
        ),
    ],
)
def test_what_belongs_to_places_in_the_picture_is_refused(model: Any, line: str) -> None:
    made = model()
    wanted = size(made.input_shape[1] // 2)
    words = f"cannot take pictures of {wanted.text} instead of .* with its weights and outputs as they are: .*{line}"
    with pytest.raises(UnsupportedError, match=words):
        at_size(made, wanted)


def test_a_reshape_that_mixes_samples_is_refused_even_where_the_numbers_come_out() -> None:
    given = keras.Input((8, 8, 3), name="image")
    x = keras.ops.reshape(layers.Conv2D(4, 1)(given), (-1, 16, 4))  # of a quarter of the picture each
    model = keras.Model(given, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    assert model(images(8, 8, 4)).shape[0] == 16
    with pytest.raises(UnsupportedError, match="reshapes to the size of larger pictures"):
        at_size(model, size(4, 8))


def test_what_takes_no_picture_and_what_has_another_name_are_refused() -> None:
    for shape in ((8,), (None, None, 3)):
        model = keras.Sequential([keras.Input(shape, name="image"), layers.Dense(2)])
        assert picture_of(model) is None
        assert sizes_to_try(model) == ()
        with pytest.raises(
            UnsupportedError, match=r"one input \(height, width, channels\) of a fixed size, it has 'im"
        ):
            at_size(model, size(4))
    with pytest.raises(UsageError, match=r"must name the input 'image' of model .* for a size, got 'picture'"):
        at_size(pictures_network(), size(8, name="picture"))


def test_sizes_to_try_are_parts_that_every_stride_divides() -> None:
    def strided(side: int, strides: int) -> Any:
        front = [layers.Conv2D(2, 3, strides=2, padding="same") for _ in range(strides)]
        return keras.Sequential([keras.Input((side, 2 * side, 3), name="image"), *front, layers.GlobalMaxPooling2D()])

    assert [each.text for each in sizes_to_try(strided(32, 1))] == ["24x48", "22x42", "16x32"]
    assert [each.text for each in sizes_to_try(strided(32, 3))] == ["24x48", "24x40", "16x32"]
    assert [each.text for each in sizes_to_try(strided(96, 5))] == ["64x160", "64x128", "64x96"]
    assert sizes_to_try(strided(8, 2))[-1] == InputSize("image", 4, 8)


def test_a_network_for_pictures_of_another_size_resizes_them_first_and_trains_nothing() -> None:
    import tensorflow as tf

    model, x = pictures_network(), images(10, 12)
    before = model.get_weights()
    resizing = from_size(model, size(10, 12))
    expected = model(tf.image.resize(x, (16, 16)))
    np.testing.assert_allclose(resizing(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(resizing(x), expected, rtol=1e-5, atol=1e-6)
    for own, kept in zip(before, resizing.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, own)
    whole = keras.Sequential([keras.Input((4, 4, 1), dtype="uint8", name="image"), layers.Rescaling(0.5)])
    found = from_size(whole, size(2))(np.array([[[[2], [4]], [[2], [4]]]], np.uint8))
    np.testing.assert_array_equal(found[0, 0, :, 0], [1.0, 1.0, 2.0, 2.0])
