from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from tfcompress.models.loading import load_model
from tfcompress.tasks.traits import StepMask


@pytest.fixture(params=["keras", "tf_keras"])
def library(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def masks(model: Any) -> dict[str, StepMask | None]:
    return {spec.name: spec.traits.mask for spec in load_model(model).signature.outputs}


def tagged(library: Any, x: Any) -> Any:
    return library.layers.Dense(3, activation="softmax", name="tags")(x)


def test_tokens_of_an_embedding_that_masks_zero_tell_the_steps(library: Any) -> None:
    tokens = library.layers.Input((6,), dtype="int32", name="tokens")
    x = library.layers.Embedding(9, 4, mask_zero=True)(tokens)
    model = library.Model(tokens, tagged(library, library.layers.GRU(4, return_sequences=True)(x)))
    assert masks(model) == {"tags": StepMask("tokens", 0.0)}
    x = np.array([[3, 0, 5, 1, 0, 0], [0, 0, 2, 2, 2, 2]], np.int32)
    seen = ~np.asarray(model(x)._keras_mask)
    assert np.array_equal(StepMask("tokens", 0.0).masked({"tokens": x}), seen)


def test_a_value_that_a_signals_steps_hold_alone_tells_them(library: Any) -> None:
    signal = library.layers.Input((5, 2), name="signal")
    x = library.layers.Masking(-1.0)(signal)
    model = library.Model(signal, tagged(library, library.layers.LSTM(4, return_sequences=True)(x)))
    assert masks(model) == {"tags": StepMask("signal", -1.0)}
    held = np.array([[[-1, -1], [-1, 0], [0, 0], [1, -1], [-1, -1]]], np.float32)
    assert StepMask("signal", -1.0).masked({"signal": held}).tolist() == [[True, False, False, False, True]]  # type: ignore[union-attr]


def test_of_several_inputs_each_output_has_the_one_that_tells_and_a_mask_of_both_is_not_known(library: Any) -> None:
    words, marks = (library.layers.Input((6,), dtype="int32", name=name) for name in ("words", "marks"))
    one, other = (library.layers.Embedding(9, 4, mask_zero=True)(x) for x in (words, marks))
    both = library.layers.Add()([one, other])
    outputs = [library.layers.Dense(3, name=name)(x) for name, x in (("a", one), ("b", other), ("c", both))]
    found = masks(library.Model([words, marks], outputs))
    assert found == {"a": StepMask("words", 0.0), "b": StepMask("marks", 0.0), "c": StepMask(None)}
    assert StepMask(None).masked({}) is None


def test_a_model_that_takes_one_sample_at_a_time_tells_it_too(library: Any) -> None:
    tokens = library.layers.Input(batch_shape=(1, 6), dtype="int32", name="tokens")
    assert masks(library.Model(tokens, tagged(library, library.layers.Embedding(9, 4, mask_zero=True)(tokens)))) == {
        "tags": StepMask("tokens", 0.0)
    }


def test_an_output_whose_mask_is_gone_and_a_model_without_one_tell_none(library: Any) -> None:
    tokens = library.layers.Input((6,), dtype="int32", name="tokens")
    for zero, whole in ((True, False), (False, True)):
        x = library.layers.Embedding(9, 4, mask_zero=zero)(tokens)
        x = library.layers.GRU(4, return_sequences=whole)(x)
        assert masks(library.Model(tokens, tagged(library, x))) == {"tags": None}
