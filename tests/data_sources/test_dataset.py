from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.dataset import BoundData
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.tasks.task_table import TASKS

CHOSEN = "output 'out' is of task classification, by its labels; choose otherwise by --task"


def model(classes: int = 3, shape: tuple[int | None, ...] = (4,), dtype: str = "float32") -> Signature:
    return Signature((TensorSpec("image", shape, dtype),), (TensorSpec("out", (classes,), "float32"),))


def arrays(**changes: Any) -> dict[str, Any]:
    """Return 30 training and 12 test samples of three classes, but for what *changes* says; None: left out."""
    given = {
        "x_train": np.arange(30 * 4, dtype=np.uint8).reshape(30, 4),
        "y_train": np.arange(30) % 3,
        "x_test": np.zeros((12, 4), np.uint8),
        "y_test": np.arange(12) % 3,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def bound(given: Any, signature: Signature | None = None, **options: Any) -> BoundData:
    return load_data(given).bind(signature or model(), **options)


def test_splits_task_and_classes_come_from_data_and_model() -> None:
    data = bound(arrays())
    assert (data.tasks, data.classes) == ({"out": TASKS["classification"]}, 3)
    assert data.need_train().size == 30
    assert data.need_test().size == 12
    assert data.val is None
    assert data.lint() == []


@pytest.mark.parametrize(
    ("y", "classes", "task"),
    [([0, 1, 1], 1, "binary"), ([0.5, 1.0, 2.0], 1, "regression"), ([0, 1, 1], 2, "classification")],
)
def test_the_task_is_told_by_labels_and_output(y: list[float], classes: int, task: str) -> None:
    assert bound((np.zeros((3, 4)), np.array(y)), model(classes)).tasks == {"out": TASKS[task]}


def test_without_labels_there_is_no_task_and_no_score_and_training_goes_by_the_model() -> None:
    data = bound(arrays(y_train=None, y_test=None))
    assert (data.tasks, data.classes) == ({}, None)
    assert data.representative(5, 0)["image"].shape == (5, 4)
    assert data.need_train().size == 30
    with pytest.raises(DataError, match="must have labels: y_test beside x_test"):
        data.need_test()


def test_a_missing_split_is_named() -> None:
    with pytest.raises(DataError, match=r"must have a test split \(x_test and y_test\), it has only train"):
        bound(arrays(x_test=None, y_test=None)).need_test()
    with pytest.raises(DataError, match=r"must have a train split \(x_train and y_train\), it has only test"):
        bound(arrays(x_train=None, y_train=None)).need_train()


def test_one_class_missing_is_a_warning_for_evaluation_and_an_error_for_training() -> None:
    data = bound(arrays(y_train=np.arange(30) % 2))
    assert data.lint() == ["y_train has no sample of class 2 (1 of 3 classes)"]
    assert data.need_test().size == 12
    with pytest.raises(
        DataError, match=r"y_train has no sample of class 2 \(1 of 3 classes\); training would forget them"
    ):
        data.need_train()


def test_unnamed_data_is_divided_or_all_of_it_is_for_testing() -> None:
    given = (np.zeros((10, 4)), np.arange(10) % 3)
    divided = bound(given, holdout=0.3, seed=5)
    assert (divided.need_test().size, divided.holdout) == (3, "30 % of 'all' held out by seed 5, of each class alike")
    whole = bound(given, holdout=None)
    assert (whole.train, whole.need_test().size, whole.holdout) == (None, 10, "")
    assert whole.need_test().name == "test"


def test_representative_samples_come_from_training_by_seed_in_the_models_dtype() -> None:
    data = load_data(arrays(), preprocessing=Preprocessing(scale=2.0)).bind(model())
    samples = data.representative(7, seed=1)["image"]
    assert samples.shape == (7, 4)
    assert samples.dtype == np.float32
    rows = samples[:, 0] / (4 * 2)  # x_train[i, 0] is 4 · i, doubled
    assert set(rows) <= set(range(30))
    assert np.array_equal(samples, data.representative(7, seed=1)["image"])
    assert not np.array_equal(samples, data.representative(7, seed=2)["image"])
    assert len(data.representative(1000, 0)["image"]) == 30


def test_without_a_training_split_representative_samples_come_from_another_and_lint_says_so() -> None:
    data = bound(arrays(x_train=None, y_train=None))
    assert data.representative_split.name == "test"
    assert data.lint() == ["no training split: representative samples come from 'test'"]
    assert data.describe()["representative_from"] == "test"


def test_the_description_is_plain_and_complete(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", labels=["a", "b", "c"], **arrays())
    source = str(tmp_path / "d.npz")
    described = load_data(source, preprocessing=Preprocessing(scale=0.5)).bind(model()).describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described == {
        "source": source,
        "reading": {},
        "sha256": hashlib.sha256((tmp_path / "d.npz").read_bytes()).hexdigest(),
        "samples": {"train": 30, "test": 12},
        "preprocessing": {"scale": 0.5, "mean": [], "std": [], "function": None},
        "tasks": {"out": "classification"},
        "task_options": {},
        "classes": 3,
        "labels": ["a", "b", "c"],
        "holdout": None,
        "representative_from": "train",
        "inputs": {"image": {"shape": [4], "dtype": "float32", "min": 0.0, "max": 119 / 2, "mean": 119 / 4}},
        "notes": [CHOSEN],
    }


def test_data_in_memory_has_no_file_to_hash() -> None:
    assert load_data(arrays()).sha256 is None


def test_several_files_have_one_hash_of_names_and_contents(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("a,label\n1,0\n")
    data = load_data(tmp_path)
    each = hashlib.sha256(b"a,label\n1,0\n").hexdigest()
    assert data.sha256 == hashlib.sha256(f"{each}  test.csv\n{each}  train.csv\n".encode()).hexdigest()


@pytest.mark.parametrize(("names", "count"), [(["a", "b"], 2), (["a", "b", "c", "d"], 4)])
def test_class_names_must_be_as_many_as_the_models_classes(names: list[str], count: int) -> None:
    with pytest.raises(
        DataError, match=rf"has {count} classes \(a, b.*\), the model's output 3; .*an empty folder will do"
    ):
        bound(arrays(labels=np.array(names)))


@pytest.mark.parametrize("name", ["x_train", "x_test"])
def test_zero_samples_are_refused(name: str) -> None:
    label = name.replace("x", "y")
    with pytest.raises(DataError, match=f"{name} holds zero samples; give at least one"):
        bound(arrays(**{name: np.zeros((0, 4)), label: np.zeros(0, int)}))


def test_a_wrong_shape_is_refused_when_the_data_is_bound() -> None:
    with pytest.raises(
        DataError, match=r"x_test has shape \(5,\) for each sample, the model's input 'image' wants \(4,\)"
    ):
        bound(arrays(x_test=np.zeros((12, 5))))


def test_names_for_labels_in_one_split_only_are_refused_when_the_data_is_bound() -> None:
    with pytest.raises(DataError, match="labels that are names in y_train and numbers in y_test; give them alike"):
        bound(arrays(y_train=np.array(["cat"] * 30)))


def test_a_missing_preprocessing_function_is_refused_when_the_data_is_bound() -> None:
    with pytest.raises(DataError, match="module 'absent_module' cannot be imported"):
        load_data(arrays(), preprocessing=Preprocessing(function="absent_module:f")).bind(model())


def test_several_outputs_have_their_own_tasks() -> None:
    outputs = (TensorSpec("kind", (3,), "float32"), TensorSpec("size", (1,), "float32"))
    signature = Signature((TensorSpec("image", (4,), "float32"),), outputs)
    data = bound({"x": np.zeros((6, 4)), "y.kind": np.arange(6) % 3, "y.size": np.linspace(0.5, 3, 6)}, signature)
    assert data.tasks == {"kind": TASKS["classification"], "size": TASKS["regression"]}
    _, y = next(data.need_train().batches(2))
    assert set(y) == {"kind", "size"}
    assert data.classes == 3


def test_notes_tell_what_was_added() -> None:
    given = arrays(x_train=np.zeros((30, 4, 4)), x_test=np.zeros((12, 4, 4)))
    assert bound(given, model(shape=(4, 4, 1))).notes == ["x_train: an axis of 1 channel was added", CHOSEN]


def test_data_that_cannot_train_says_so_before_the_model_is_known() -> None:
    given = arrays(x_train=None, y_train=None)
    with pytest.raises(DataError, match=r"must have a train split \(x_train and y_train\), it has only test"):
        load_data(given).check_trainable()


def test_data_that_can_train_or_may_is_let_pass_with_labels_or_without(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,label\n1,0\n")
    unlabelled = (np.zeros((3, 4)), arrays(y_train=None))
    for given in (
        *unlabelled,
        arrays(),
        (np.zeros((3, 4)), [0, 1, 2]),
        tmp_path / "d.csv",
        lambda: iter([np.zeros((3, 4))]),
    ):
        load_data(given).check_trainable()
