"""Classes weighed by their inverse frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.training.balance import class_weights, weighed


def bound(y: Any, *outputs: tuple[str, tuple[int, ...]], **more: Any) -> Any:
    signature = Signature(
        (TensorSpec("x", (2,), "float32"),),
        tuple(TensorSpec(name, shape, "float32") for name, shape in outputs or (("out", (3,)),)),
    )
    named = {f"y_train.{name}": part for name, part in y.items()} if isinstance(y, dict) else {"y_train": y}
    size = len(next(iter(named.values())))
    return tfc.load_data({"x_train": np.zeros((size, 2), np.float32), **named, **more}).bind(signature)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_all_classes_weigh_the_same_together_and_a_label_weighs_one_on_average(more: list[int]) -> None:
    y = np.array([0, 1, 2, *more])
    weights = class_weights(bound(y))["out"]
    counts = np.bincount(y, minlength=3)
    assert weights * counts == pytest.approx(np.full(3, len(y) / 3), rel=1e-5)
    assert weighed(weights, y).mean() == pytest.approx(1.0, rel=1e-5)


def test_yes_and_no_are_classes() -> None:
    found = class_weights(bound(np.array([0, 1, 1, 1]), ("out", (1,))))["out"]
    assert found.tolist() == pytest.approx([4 / 2 / 1, 4 / 2 / 3])
    assert weighed(found, np.float32([[1], [0]])).tolist() == pytest.approx([2 / 3, 2])


def test_of_several_outputs_those_with_classes_are_balanced() -> None:
    y = {"kind": np.array([0, 1, 1, 1]), "size": np.linspace(0.1, 0.9, 4)}
    assert list(class_weights(bound(y, ("kind", (2,)), ("size", (1,))))) == ["kind"]


def test_what_is_no_class_weighs_nothing() -> None:
    assert weighed(np.float32([2, 3]), np.array([[1, -1], [255, 0]])).tolist() == [[3, 0], [0, 2]]


def test_shares_of_classes_weigh_as_much_as_they_hold_of_each() -> None:
    assert weighed(np.float32([2, 4]), np.float32([[0.5, 0.5], [0, 1]])).tolist() == [3, 4]
