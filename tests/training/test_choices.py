"""What is refused before a training, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tfcompress.errors import RecipeError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.recipe import Train
from tfcompress.training.choices import check_training, keeps_best, validation_split

X, Y = np.zeros((6, 2), np.float32), np.arange(6) % 3


def bound(outputs: tuple[tuple[str, int], ...] = (("out", 3),), **arrays: Any) -> Any:
    specs = tuple(TensorSpec(name, (size,), "float32") for name, size in outputs)
    return tfc.load_data(arrays).bind(Signature((TensorSpec("x", (2,), "float32"),), specs))


LABELLED = {"x_train": X, "y_train": Y}
NUMBERS = {"x_train": X, "y_train": np.linspace(0.5, 3.0, 6)}


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({"keep": "best"}, LABELLED, r"train\.keep 'best' goes by the validation loss, and .* has only train; give x_"),
        ({"patience": 2}, LABELLED, r"train\.patience 2 goes by the validation loss"),
        ({"patience": 2}, {**LABELLED, "x_val": X}, "one without the labels that the training split has"),
        ({"balance": True}, {"x_train": X}, r"train\.balance .*\(none in the training split\); leave it out"),
    ],
)
def test_what_the_data_cannot_give_is_refused(settings: dict[str, Any], data: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_training(bound(**data), Train(**settings))


def test_numbers_cannot_be_balanced() -> None:
    with pytest.raises(RecipeError, match=r"got labels without classes \('out': regression\)"):
        check_training(bound((("out", 1),), **NUMBERS), Train(balance=True))


def test_a_training_with_labels_and_validation_needs_no_words() -> None:
    assert check_training(bound(**LABELLED, x_val=X, y_val=Y), Train(balance=True, keep="best", patience=3)) == []


def test_without_labels_the_float_model_is_said_to_teach() -> None:
    for more in ({}, {"x_test": X, "y_test": Y}, {"x_val": X}):
        assert check_training(bound(x_train=X, **more), Train()) == [
            "the training data has no labels: the stages train against the float model's own outputs"
        ]


def test_outputs_without_labels_are_named() -> None:
    data = bound((("kind", 3), ("size", 1)), **{"x_train": X, "y_train.kind": Y})
    said = "no labels train size: trained against the float model's own outputs"
    assert check_training(data, Train()) == [said]


@pytest.mark.parametrize(
    ("data", "used"),
    [
        ({**LABELLED, "x_val": X, "y_val": Y}, True),
        ({**LABELLED, "x_val": X}, False),
        ({"x_train": X, "x_val": X}, True),
        ({"x_train": X, "x_val": X, "y_val": Y}, True),
        (LABELLED, False),
    ],
)
def test_a_validation_split_is_used_where_it_has_what_training_compares(data: dict[str, Any], used: bool) -> None:
    found = bound(**data)
    assert (validation_split(found) is not None) is used
    assert keeps_best(found, Train()) is used
    assert not keeps_best(found, Train(keep="last"))
    said = ["the validation split lacks labels that the training split has: it was not used"]
    assert (check_training(found, Train()) == said) is ("x_val" in data and not used)


def test_of_several_outputs_those_that_cannot_be_balanced_are_named() -> None:
    given = {"x_train": X, "y_train.kind": Y, "y_train.size": np.linspace(0.5, 3.0, 6)}
    said = check_training(bound((("kind", 3), ("size", 1)), **given), Train(balance=True))
    assert said == ["balance: the samples of size count the same, it has no classes"]
