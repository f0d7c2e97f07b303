"""tfcompress.models.lookups: models are cut behind what looks words up."""

from __future__ import annotations

import numpy as np
import pytest

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
