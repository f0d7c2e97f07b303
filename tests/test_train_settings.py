"""Settings of a training: losses by output, names of Keras, how data is divided."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import RecipeError
from tfcompress.keras_names import LOSSES, OPTIMIZERS, loss_class
from tfcompress.recipe import Train

outputs = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="_/"), min_size=1, max_size=6)
losses = st.sampled_from(["auto", *LOSSES])


@given(st.dictionaries(outputs, losses, min_size=1, max_size=4), st.none() | losses, st.booleans())
def test_losses_of_outputs_are_read_back_and_one_stands_for_all_others(
    named: dict[str, str], rest: str | None, spaced: bool
) -> None:
    space = " " if spaced else ""
    parts = [f"{space}{output}{space}={space}{name}" for output, name in named.items()]
    train = Train(loss=f",{space}".join([*parts, *([rest] if rest else [])]))
    assert train.losses == {**named, **({"": rest} if rest else {})}
    for output, name in named.items():
        assert train.loss_of(output) == name
    assert train.loss_of("another output") == (rest or "auto")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("a=mae,a=mse", r"^train\.loss must be one name for each output, got 'a=mae,a=mse'"),
        ("mae,mse", r"^train\.loss must be one name for each output"),
        ("a=mae,,", r"^train\.loss must be (one name|'auto' or the name of a Keras loss)"),
        ("", r"^train\.loss must be 'auto' or the name of a Keras loss, got ''"),
        ("a=", r"^train\.loss must be 'auto' or the name of a Keras loss, got ''"),
        ("a=hubr", r"a Keras loss \(did you mean 'hu?b?ber'\?\), got 'hubr'|\(did you mean 'huber'\?\), got 'hubr'"),
        ("Auto", r"^train\.loss must be 'auto' or the name of a Keras loss"),
    ],
)
def test_what_is_no_loss_is_refused(loss: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Train(loss=loss)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_known_in_capitals_too_and_misspelt_by_the_nearest(name: str) -> None:
    assert Train(optimizer=name).optimizer == name
    assert Train(optimizer=name.upper()).optimizer == name.upper()
    with pytest.raises(RecipeError, match=r"^train\.optimizer must be the name of a Keras optimizer \(did you mean '"):
        Train(optimizer=f"{name}_")


@pytest.mark.parametrize("name", LOSSES)
def test_the_name_of_a_loss_leads_to_one_class_however_it_is_written(name: str) -> None:
    found = loss_class(name)
    assert Train(loss=name).loss_of("") == name
    if found is not None:
        assert found in LOSSES
        assert loss_class(found) == found
        assert loss_class(name.upper()) == loss_class(name.lower()) == found


def test_a_class_of_the_users_own_is_left_to_keras() -> None:
    train = Train(loss="mine>Weighted, kind=mine>Other", optimizer="mine>Slow")
    assert train.losses == {"": "mine>Weighted", "kind": "mine>Other"}
    assert loss_class("mine>Weighted") is None


@given(st.floats(0.01, 0.99), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_data_is_divided_by_two_fractions_and_the_seed(holdout: float, validation: float, seed: int) -> None:
    train = Train(holdout=holdout, validation=validation, seed=seed)
    assert train.division == (holdout, validation, seed)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"validation": 1}, r"train\.validation must be in \[0, 1\), got 1"),
        ({"validation": -0.1}, r"train\.validation must be in \[0, 1\), got -0\.1"),
        ({"holdout": 0}, r"train\.holdout must be in \(0, 1\), got 0"),
        ({"ema": 0}, r"train\.ema must be in \(0, 1\), got 0"),
        ({"patience": 0}, r"train\.patience must be at least 1, got 0"),
        ({"seed": 2**32}, r"train\.seed must be between 0 and 2\*\*32 - 1, got 4294967296"),
        ({"learning_rate": -1e-3}, r"train\.learning_rate must be above 0, got -0\.001"),
        ({"limit": True}, r"train\.limit must be a whole number, got True"),
        ({"balance": 1}, r"train\.balance must be true or false, got 1"),
        ({"keep": "first"}, r"train\.keep must be one of 'auto', 'best', 'last', got 'first'"),
        ({"decay": "cosin"}, r"\(did you mean 'cosine'\?\), got 'cosin'"),
        ({"augment": "flip_shift"}, r"\(did you mean 'flip-shift'\?\), got 'flip_shift'"),
        ({"optimizer": ""}, r"train\.optimizer must be the name of a Keras optimizer, got ''"),
    ],
)
def test_what_no_training_can_have_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Train(**fields)
