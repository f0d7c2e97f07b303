from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec

X = np.zeros((6, 2), np.float32)
NUMBERS = np.array([0, 1, 2, 0, 1, 2])
ONE_HOT = np.eye(3)[NUMBERS]
SOFT = np.full((6, 3), 1 / 3)


def bound(outputs: int = 3, **labels: Any) -> Any:
    signature = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (outputs,), "float32"),))
    return load_data({name: (X, y) for name, y in labels.items()}).bind(signature)


def test_a_test_split_that_happens_to_be_one_hot_is_what_the_training_split_is() -> None:
    data = bound(train=SOFT, test=ONE_HOT)
    alone = bound(train=SOFT, test=SOFT)
    assert {split.adapter.tasks["out"].name for split in data.splits.values()} == {"classification"}
    for each in (data, alone):
        assert next(each.need_test().batches(9))[1].shape == (6, 3)


def test_targets_that_happen_to_be_0_and_1_in_one_split_are_targets() -> None:
    data = bound(1, train=[0.5, 1, 2, 3, 4, 5], test=[0, 1, 0, 1, 0, 1])
    assert {split.adapter.tasks["out"].name for split in data.splits.values()} == {"regression"}


def test_class_numbers_here_and_one_hot_there_are_one_task() -> None:
    data = bound(train=NUMBERS, test=ONE_HOT)
    for split in (data.need_train(), data.need_test()):
        assert next(split.batches(9))[1].tolist() == NUMBERS.tolist()


def test_labels_that_mean_different_things_are_refused() -> None:
    with pytest.raises(DataError, match=r"same in every split: y_train would be classification, y_test .* regr"):
        bound(train=NUMBERS, test=5 * SOFT)


def test_messages_name_the_split_they_are_about() -> None:
    with pytest.raises(DataError, match=r"y_test must be whole numbers in 0\.\.2 .*, sample 5 is 3"):
        bound(train=NUMBERS, test=[0, 1, 2, 0, 1, 3]).lint()


@pytest.mark.parametrize(
    ("outputs", "y"),
    [
        (3, [0.0, 1, np.nan, 0, 1, 2]),
        (1, [0.0, 1, np.nan, 0, 1, 1]),
        (1, [0.5, 1, np.nan, 0, 1, 1]),
        (3, np.where(np.arange(6)[:, None] == 2, np.nan, ONE_HOT)),
    ],
    ids=["classes", "binary", "regression", "one-hot"],
)
def test_one_sample_without_a_label_is_refused_by_its_number_before_training(outputs: int, y: Any) -> None:
    with pytest.raises(DataError, match=r"y_train has no label \(NaN\) at sample 2; label or drop such samples"):
        bound(outputs, train=y, test=NUMBERS % 2 if outputs == 1 else NUMBERS).lint()


def test_none_among_labels_is_refused_by_its_number() -> None:
    with pytest.raises(DataError, match=r"y_train holds None at sample 1; give it a value or drop such samples"):
        bound(train=[0, None, 2, 0, 1, 2])


@pytest.mark.parametrize("names", [("0", "1"), ("no", "yes")])
def test_an_empty_label_in_a_table_is_refused_by_its_row(tmp_path: Path, names: tuple[str, str]) -> None:
    (tmp_path / "d.csv").write_text(f"a,b,label\n1,2,{names[0]}\n1,2,\n1,2,{names[1]}\n")
    signature = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (2,), "float32"),))
    with pytest.raises(DataError, match=r"column 'label' has no value \(NaN\) in row 2; fill in or drop such rows"):
        load_data(tmp_path / "d.csv").bind(signature)
