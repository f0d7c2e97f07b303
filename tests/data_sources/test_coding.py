from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.tasks.traits import OutputTraits, StepMask

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


def model(*outputs: TensorSpec) -> Signature:
    return Signature((TensorSpec("v", (2,), "float32"),), outputs)


def spec(name: str, *shape: int, **traits: Any) -> TensorSpec:
    return TensorSpec(name, shape, "float32", OutputTraits(**traits))


TWO = model(spec("kind", 3, activation="softmax"), spec("size", 1, loss="Huber", metrics=("MeanSquaredError",)))
BOTH = {"train": (X, {"kind": NUMBERS, "size": np.arange(6.0) / 2})}


def test_each_output_is_of_the_task_that_was_said_and_the_main_one_comes_first() -> None:
    data = load_data({"train": (X, {"a": [0, 1] * 3, "b": [1, 0] * 3})}, task=["a=regression"], main_output="b")
    bound = data.bind(model(spec("a", 1), spec("b", 1)))
    assert {name: task.name for name, task in bound.tasks.items()} == {"b": "binary", "a": "regression"}
    assert next(iter(bound.tasks)) == "b"
    assert bound.choices == ["output 'b' is of task binary, by its labels; choose otherwise by --task"]


def test_the_loss_that_a_model_was_compiled_with_tells_the_task_and_the_user_is_told() -> None:
    data = load_data({"train": (X, [0, 1] * 3)})
    plain, compiled = data.bind(model(spec("out", 1))), data.bind(model(spec("out", 1, loss="MeanSquaredError")))
    assert (plain.tasks["out"].name, compiled.tasks["out"].name) == ("binary", "regression")
    (line,) = compiled.choices
    assert "output 'out' is of task regression, by its labels and the loss that the model was compiled with" in line
    assert line in compiled.lint()
    assert not set(plain.choices) & set(plain.lint())


def test_steps_that_the_model_masks_and_steps_without_weight_are_padding_and_it_is_told() -> None:
    tokens, y = np.array([[1, 2, 0], [3, 0, 0]]), np.array([[0, 1, 0], [1, 0, 0]])
    of = {
        mask: spec("out", 3, 2, mask=mask, activation="softmax") for mask in (StepMask("v", 0.0), StepMask(None), None)
    }
    found = {
        mask: load_data({"train": (tokens, y, np.array([[1, 0, 1], [1, 1, 1]]))}).bind(
            Signature((TensorSpec("v", (3,), "int32"),), (out,))
        )
        for mask, out in of.items()
    }
    labels = {mask: next(data.need_train().batches(9))[1].tolist() for mask, data in found.items()}
    assert labels[StepMask("v", 0.0)] == [[0, -1, -1], [1, -1, -1]]
    assert labels[StepMask(None)] == labels[None] == [[0, -1, 0], [1, 0, 0]]
    told = {mask: [line for line in data.lint() if "masks steps" in line] for mask, data in found.items()}
    assert told == {
        StepMask("v", 0.0): ["output 'out': the model masks steps where input 'v' is 0; they are taken for padding"],
        StepMask(None): [
            "output 'out': the model masks steps by a rule that is not read; label them -1, or what --ignore-label "
            "says, as padding"
        ],
        None: [],
    }
    assert all(any("steps of weight 0 never" in line for line in data.lint()) for data in found.values())


def test_weights_of_samples_pad_no_steps() -> None:
    y = np.array([[0, 1, 0], [1, 0, 0]])
    data = load_data({"train": (np.ones((2, 2)), y, np.array([0.0, 1.0]))}).bind(model(spec("out", 3, 2)))
    assert next(data.need_train().batches(9))[1].tolist() == y.tolist()


RECONSTRUCTION = (
    "output 'out' is of task autoencoder, by its shape, which is the input's, and the loss that the model was compiled"
    " with, {}; choose otherwise by --task"
)
PERHAPS = "output 'out' has no labels; if it is of task autoencoder (it has the input's shape), say --task autoencoder"


@pytest.mark.parametrize(
    ("shape", "traits", "line"),
    [
        ((4,), {"loss": "MeanSquaredError", "activation": "linear"}, RECONSTRUCTION.format("MeanSquaredError")),
        ((4,), {"loss": "BinaryCrossentropy", "activation": "sigmoid"}, RECONSTRUCTION.format("BinaryCrossentropy")),
        ((2, 2, 1), {"loss": "BinaryCrossentropy", "activation": "sigmoid"}, PERHAPS),  # a mask as well as pixels
        ((4,), {"loss": "MeanSquaredError", "activation": "softmax"}, PERHAPS),
        ((4,), {"loss": "CategoricalCrossentropy", "activation": "softmax"}, PERHAPS),
        ((4,), {"activation": "linear"}, PERHAPS),
        ((3,), {"loss": "MeanSquaredError", "activation": "linear"}, ""),
    ],
)
def test_an_autoencoder_without_labels_is_known_by_its_loss_and_the_user_is_told(
    shape: tuple[int, ...], traits: dict[str, str], line: str
) -> None:
    given = shape if len(shape) > 1 else (4,)
    signature = Signature(
        (TensorSpec("v", given, "float32"),), (TensorSpec("out", shape, "float32", OutputTraits(**traits)),)
    )
    x = np.zeros((6, *given), np.float32)
    found = load_data({"train": x, "test": x}).bind(signature)
    assert found.choices == ([line] if line else [])
    assert [task.name for task in found.tasks.values()] == (["autoencoder"] if line not in ("", PERHAPS) else [])
    assert (line in found.lint()) == bool(found.tasks)
    said = load_data({"train": x, "test": x}, task="regression").bind(signature)
    assert (said.choices, said.tasks) == ([], {})


def test_metrics_are_those_of_the_model_until_the_user_says_others() -> None:
    names = {name: [each.name for each in found] for name, found in load_data(BOTH).bind(TWO).metrics.items()}
    assert names == {"kind": [], "size": ["MeanSquaredError"]}
    said = load_data(BOTH, metrics=["kind=SparseCategoricalCrossentropy"]).bind(TWO).metrics
    assert {name: len(found) for name, found in said.items()} == {"kind": 1, "size": 0}


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            {"task": "knd=binary"},
            UsageError,
            r"--task must name one of .* \(kind, size\), got 'knd' \(did you mean 'kind'",
        ),
        ({"metrics": "siz=Precision"}, UsageError, "--metric must name one of the model's outputs"),
        ({"main_output": "other"}, UsageError, "--main-output must name one of the model's outputs"),
        ({"task": "kind=binary"}, DataError, r"task binary of output 'kind', \(3,\), takes"),
        ({"metrics": "kind=Precision"}, DataError, "--metric Precision compares values of one shape; output 'kind'"),
        ({"main_metric": "rmse"}, UsageError, "--main-metric must be one of top1, .* for output 'kind'"),
        ({"ignore_label": 9}, UsageError, "--ignore-label would do nothing for classification, regression: it is for"),
    ],
)
def test_what_was_said_must_fit_the_model_and_the_labels(
    said: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_data(BOTH, **said).bind(TWO)


def test_a_main_output_without_labels_is_refused() -> None:
    with pytest.raises(UsageError, match="--main-output 'size' has no labels, and no task that needs none"):
        load_data({"train": (X, {"kind": NUMBERS})}, main_output="size").bind(TWO)
