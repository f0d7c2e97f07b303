"""tfcompress.quantization.known_inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.errors import UsageError
from tfcompress.input_ranges import InputRanges
from tfcompress.quantization import rules
from tfcompress.quantization.data_free import without_data
from tfcompress.quantization.fake_quant import FakeQuant
from tfcompress.quantization.known_inputs import BYTES, ranges_of_inputs


@pytest.mark.parametrize(
    ("scale", "offset", "known"), [(1 / 255, 0.0, True), (1 / 127.5, -1.0, True), (0.5, 0.0, False), (1.0, 0.0, False)]
)
def test_the_range_is_known_from_a_rescaling_of_bytes(keras, scale, offset, known) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Rescaling(scale, offset), layers.Dense(2)])
    assert ranges_of_inputs(model, InputRanges((-1.0, 1.0))) == {"x": (-1.0, 1.0)}
    if known:
        assert ranges_of_inputs(model) == {"x": BYTES}
    else:
        with pytest.raises(
            UsageError, match=r"needs the range of the model's inputs: give --input-range LOW,HIGH \(0,1"
        ):
            ranges_of_inputs(model)


def two_inputs(keras, *before: Any, nested: bool = False, swapped: bool = False) -> Any:
    """Return a model of an image, which a Rescaling reads behind layers, and of three further numbers."""
    layers = keras.layers
    image, age = keras.Input((8, 8, 3), name="image"), keras.Input((3,), name="age")
    x, chain = image, [*before, layers.Rescaling(1 / 255)]
    for layer in [keras.Sequential(chain, name="ready")] if nested else chain:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))
    joined = layers.Concatenate()([layers.Dense(4, activation="relu", name="of_age")(age), x])
    return keras.Model([age, image] if swapped else [image, age], layers.Dense(2, name="out")(joined))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_rescaling_tells_the_range_of_the_input_that_it_reads_and_of_no_other(keras, nested, swapped) -> None:
    model = two_inputs(keras, nested=nested, swapped=swapped)
    with pytest.raises(UsageError, match="needs the range of input 'age': give --input-range age=LOW,HIGH, or --data"):
        ranges_of_inputs(model)
    assert ranges_of_inputs(model, InputRanges(named={"age": (0.0, 1.0)})) == {"image": BYTES, "age": (0.0, 1.0)}


def test_what_is_asked_for_counts_the_name_first_then_all(keras) -> None:
    model = two_inputs(keras)
    assert ranges_of_inputs(model, InputRanges((0.0, 1.0))) == dict.fromkeys(("image", "age"), (0.0, 1.0))
    found = ranges_of_inputs(model, InputRanges((0.0, 1.0), {"age": (-2.0, 2.0)}))
    assert found == {"image": (0.0, 1.0), "age": (-2.0, 2.0)}


def test_a_name_that_no_input_has_is_refused_with_the_nearest(keras) -> None:
    message = r"--input-range names input 'aeg', and the model has image, age \(did you mean 'age'\?\)"
    with pytest.raises(UsageError, match=message):
        ranges_of_inputs(two_inputs(keras), InputRanges((0.0, 1.0), {"aeg": (0.0, 1.0)}))


def test_where_several_are_unknown_each_is_named(keras) -> None:
    layers = keras.layers
    inputs = [keras.Input((2,), name=name) for name in "abc"]
    scaled = [layers.Rescaling(1 / 255)(inputs[0]), *inputs[1:]]
    some = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(scaled)))
    with pytest.raises(UsageError, match=r"inputs 'b', 'c': give --input-range b=LOW,HIGH --input-range c=LOW,HIGH"):
        ranges_of_inputs(some)
    none = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(inputs)))
    with pytest.raises(
        UsageError, match="the model's inputs: give --input-range NAME=LOW,HIGH for each of a, b, c, or"
    ):
        ranges_of_inputs(none)


def test_a_rescaling_of_what_was_computed_says_nothing_of_the_input(keras) -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Rescaling(1 / 255), layers.Dense(2)])
    with pytest.raises(UsageError, match="needs the range"):
        ranges_of_inputs(model)


AUGMENTING: dict[str, dict[str, Any]] = {
    **{name: {} for name in rules.AUGMENTING},
    **{f"Random{name}": {"factor": 0.2} for name in ("Rotation", "Contrast", "Brightness", "Hue", "Saturation")},
    **{f"Random{name}": {"factor": 0.2} for name in ("Sharpness", "ColorDegeneration")},
    "RandomZoom": {"height_factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomPosterization": {"factor": 4},
}


@pytest.mark.parametrize("name", sorted(AUGMENTING))
def test_what_acts_in_training_only_is_looked_through(keras, name: str) -> None:
    if not hasattr(keras.layers, name):
        pytest.skip(f"this Keras has no {name}")
    layer = getattr(keras.layers, name)(**AUGMENTING[name])
    model = two_inputs(keras, layer, nested=True)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    assert np.array_equal(np.asarray(layer(pixels, training=False)), pixels)
    found = ranges_of_inputs(model, InputRanges(named={"age": (0.0, 1.0)}))
    assert found["image"] == BYTES
    made = without_data(model, found).model
    ranges = {(float(each.low), float(each.high)) for each in made.layers if isinstance(each, FakeQuant)}
    assert {BYTES, (0.0, 1.0)} <= ranges


def test_values_that_are_handed_on_are_still_those_of_the_input(keras) -> None:
    layers = keras.layers
    before = (layers.Resizing(6, 6), layers.ZeroPadding2D(1), layers.Dropout(0.5), layers.MaxPooling2D(2, strides=1))
    assert ranges_of_inputs(two_inputs(keras, *before), InputRanges(named={"age": (0.0, 1.0)}))["image"] == BYTES
