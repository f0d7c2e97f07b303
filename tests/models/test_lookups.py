"""tfcompress.models.lookups: models are cut behind what looks words up."""

from __future__ import annotations

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import UnsupportedError
from tfcompress.models.loading import load_model
from tfcompress.models.lookups import behind_lookups
from tfcompress.models.signature import signature_of


def reading(keras, kind: str):
    """Build a model that takes words."""
    layers = keras.layers
    words = keras.Input((1,) if kind == "TextVectorization" else (4,), dtype="string", name="text")
    if kind == "TextVectorization":
        numbers = layers.TextVectorization(vocabulary=["sun", "rain"], output_sequence_length=4, name="look")(words)
    elif kind == "Hashing":
        numbers = layers.Hashing(8, name="look")(words)
    else:
        numbers = layers.StringLookup(vocabulary=["sun", "rain"], name="look")(words)
    embedded = layers.Embedding(8, 3)(numbers)
    return keras.Model(words, layers.Dense(2, name="answer")(layers.Flatten()(embedded)))


@pytest.mark.parametrize("kind", ["StringLookup", "TextVectorization", "Hashing"])
def test_front_and_rest_together_give_what_the_model_gives(keras_module, kind) -> None:
    import tensorflow as tf

    model = reading(keras_module, kind)
    split = behind_lookups(model)
    words = tf.constant([["sun rain"], ["snow"]] if kind == "TextVectorization" else [["sun", "rain", "snow", "sun"]])
    assert np.allclose(split.model(split.front(words)), model(words))
    (spec,) = signature_of(split.model).inputs
    assert (spec.name, spec.shape, spec.dtype) == ("look", (4,), "int64")
    assert f"no op for 'look' ({kind}): the file, and the data for it, begin behind that" in split.notes[0]


def test_the_words_come_by_the_number_that_the_model_knows_them_by(keras_module) -> None:
    loaded = load_model(reading(keras_module, "StringLookup"))
    assert loaded.vocabularies == {"look": ("[UNK]", "sun", "rain")}
    assert loaded.notes


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_with_its_words_inside_needs_no_trust(keras_module, tmp_path) -> None:
    reading(keras_module, "StringLookup").save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.vocabularies == {"look": ("[UNK]", "sun", "rain")}
    assert [spec.name for spec in signature_of(loaded.native).inputs] == ["look"]


@pytest.mark.slow
def test_the_words_are_written_beside_the_file_one_a_line(keras, tmp_path) -> None:
    given = keras.Input((4,), dtype="string", name="text")
    words = ["sun", "two words", "back\\slash", "line\nbreak"]
    looked = keras.layers.StringLookup(vocabulary=words, name="look")(given)
    flat = keras.layers.Flatten()(keras.layers.Embedding(8, 3)(looked))
    model = keras.Model(given, keras.layers.Dense(2, name="answer")(flat))
    tfc.compress(model, tfc.Recipe(), output=tmp_path / "out", progress=False)
    written = (tmp_path / "out" / "look.vocabulary.txt").read_text("utf-8").splitlines()
    assert written == ["[UNK]", "sun", "two words", r"back\\slash", r"line\nbreak"]


def test_a_model_without_lookups_is_given_back_itself(keras_module) -> None:
    x = keras_module.Input((4,))
    model = keras_module.Model(x, keras_module.layers.Dense(2)(x))
    assert behind_lookups(model).model is model
    assert behind_lookups(model).front is None


def test_a_lookup_in_the_middle_is_refused_by_name(keras) -> None:
    x = keras.Input((4,))
    numbers = keras.ops.cast(keras.layers.Dense(4)(x), "int64")
    looked = keras.layers.IntegerLookup(vocabulary=[1, 2], name="look")(numbers)
    model = keras.Model(x, keras.layers.Flatten()(keras.layers.Embedding(4, 2)(looked)))
    with pytest.raises(UnsupportedError, match=r"layer 'look' \(IntegerLookup\), and it takes what other layers have"):
        behind_lookups(model)


def test_what_feeds_a_layer_without_op_is_cut_off_with_it(keras_module) -> None:
    layers = keras_module.layers
    ages = keras_module.Input((2,), name="ages")
    binned = layers.Discretization(bin_boundaries=[0.0, 18.0, 65.0], name="binned")(ages)
    found = layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot", name="look")(binned)
    model = keras_module.Model(ages, layers.Dense(2)(found))
    split = behind_lookups(model)
    x = np.array([[-3.0, 70.0], [20.0, 20.0]], np.float32)
    assert np.allclose(split.model(split.front([x])), model(x))
    assert split.notes[0].startswith("TFLite has no op for 'look' (CategoryEncoding): the file, and the data for it,")


def test_a_model_that_only_prepares_is_cut_off_as_a_whole(keras_module) -> None:
    import tensorflow as tf

    layers = keras_module.layers
    given = keras_module.Input((1,), dtype="string")
    words = layers.StringLookup(vocabulary=["sun", "rain"], name="words")(given)
    prepare = keras_module.Model(given, layers.CategoryEncoding(3, output_mode="one_hot")(words), name="prepare")
    text = keras_module.Input((1,), dtype="string")
    model = keras_module.Model(text, layers.Dense(2)(prepare(text)))
    split = behind_lookups(model)
    rain = tf.constant([["rain"]])
    assert np.allclose(split.model(split.front([rain])), model(rain))
    assert split.vocabularies == {"words": ("[UNK]", "sun", "rain")}
    assert [spec.name for spec in signature_of(split.model).inputs] == ["prepare"]


def test_a_lookup_beside_trained_layers_in_a_nested_model_is_refused_by_name(keras_module) -> None:
    inner = reading(keras_module, "StringLookup")
    text = keras_module.Input((4,), dtype="string")
    model = keras_module.Model(text, keras_module.layers.Dense(2)(inner(text)))
    with pytest.raises(UnsupportedError, match=rf"layer {inner.name}/look \(StringLookup\), which stands in one model"):
        behind_lookups(model)


def test_a_table_that_is_asked_twice_gives_two_inputs(keras_module) -> None:
    layers = keras_module.layers
    first, second = keras_module.Input((1,), dtype="string"), keras_module.Input((1,), dtype="string")
    look, embed = layers.StringLookup(vocabulary=["sun"], name="look"), layers.Embedding(3, 2)
    both = layers.Concatenate()([embed(look(first)), embed(look(second))])
    split = behind_lookups(keras_module.Model([first, second], layers.Dense(1)(layers.Flatten()(both))))
    assert [spec.name for spec in signature_of(split.model).inputs] == ["look", "look_1"]


def test_layers_that_were_trained_are_not_cut_off_frozen_or_not(keras) -> None:
    x = keras.Input((4,))
    dense = keras.layers.Dense(4, trainable=False)
    place = keras.ops.argmax(dense(x), axis=-1, keepdims=True)
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.CategoryEncoding(4, name="look")(place)))
    with pytest.raises(
        UnsupportedError, match=r"layer 'look' \(CategoryEncoding\), and it takes what other layers have"
    ):
        behind_lookups(model)
