from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.data import iterators
from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec

N = 12
ONE = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (3,), "float32"),))
TWO = Signature(
    (TensorSpec("a", (2,), "float32"), TensorSpec("b", (1,), "float32")),
    (TensorSpec("kind", (3,), "float32"), TensorSpec("size", (1,), "float32")),
)
X = np.stack([np.arange(N), np.zeros(N)], axis=1).astype(np.float32)
B = 100 + np.arange(N, dtype=np.float32)[:, None]
Y = np.arange(N) % 3
SIZE = 0.5 + np.arange(N, dtype=np.float32)
W = 1.0 + np.arange(N, dtype=np.float32)


def read(data: BoundData, size: int = 5) -> tuple[dict[str, np.ndarray], Any, Any]:
    """Return all inputs, labels and weights of the only split."""
    parts = list(data.splits["test"].weighted(size))

    def together(values: list[Any]) -> Any:
        if isinstance(values[0], dict):
            return {name: np.concatenate([value[name] for value in values]) for name in values[0]}
        return None if values[0] is None else np.concatenate(values)

    x, y, weights = (together(list(column)) for column in zip(*parts, strict=True))
    return x, y, weights


def batches(*parts: Any, size: int = 4) -> list[Any]:
    """Cut nested arrays into batches."""

    def cut(part: Any, start: int) -> Any:
        if isinstance(part, dict):
            return {name: cut(value, start) for name, value in part.items()}
        if isinstance(part, list | tuple):
            return type(part)(cut(value, start) for value in part)
        return part[start : start + size]

    return [tuple(cut(part, start) for part in parts) for start in range(0, N, size)]


def tf_data(*parts: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(parts)


def py_dataset(elements: list[Any], package: str) -> Any:
    import importlib

    home = importlib.import_module(package).utils
    kind: Any = getattr(home, "PyDataset", None) or home.Sequence

    class Batches(kind):  # type: ignore[misc]  # of either Keras
        def __len__(self) -> int:
            return len(elements)

        def __getitem__(self, number: int) -> Any:
            return elements[number]

    return Batches()


FORMS = ["arrays", "tf", "tf batches", "keras", "tf_keras", "generator", "iterator", "function", "samples", "length"]


class WithLength:
    def __init__(self, elements: list[Any]) -> None:
        self.elements = elements

    def __len__(self) -> int:
        return len(self.elements)

    def __iter__(self) -> Any:
        return iter(self.elements)


def given(form: str, *parts: Any) -> Any:
    made: dict[str, Any] = {
        "arrays": lambda: parts,
        "tf": lambda: tf_data(*parts),
        "tf batches": lambda: tf_data(*parts).batch(4),
        "keras": lambda: py_dataset(batches(*parts), "keras"),
        "tf_keras": lambda: py_dataset(batches(*parts), "tf_keras"),
        "generator": lambda: lambda: (batch for batch in batches(*parts)),
        "iterator": lambda: iter(batches(*parts)),
        "function": lambda: lambda: parts,
        "samples": lambda: lambda: (_first(batch) for batch in batches(*parts, size=1)),
        "length": lambda: WithLength(batches(*parts)),
    }
    return made[form]()


def _first(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _first(value) for name, value in part.items()}
    return type(part)(map(_first, part)) if isinstance(part, list | tuple) else part[0]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_input_is_read_with_its_weights(form: str) -> None:
    data = load_data(given(form, X, Y, W)).bind(ONE, holdout=None)
    for _ in range(2):  # passes
        x, y, weights = read(data)
        assert np.array_equal(x["v"], X)
        assert np.array_equal(y, Y)
        assert np.array_equal(weights, W)
        assert weights.dtype == np.float32


# tf.data takes no lists: it would make tensors of them.
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inputs", [(X, B), [X, B], {"b": B, "a": X}], ids=["tuple", "list", "dict"])
def test_every_form_of_two_inputs_and_outputs_is_read(form: str, inputs: Any) -> None:
    if form.startswith("tf") and form != "tf_keras" and isinstance(inputs, list):
        inputs = tuple(inputs)
    labels: Any = {"kind": Y, "size": SIZE} if isinstance(inputs, dict) else [Y, SIZE]
    if form.startswith("tf") and form != "tf_keras" and isinstance(labels, list):
        labels = tuple(labels)
    x, y, weights = read(load_data(given(form, inputs, labels, W)).bind(TWO, holdout=None))
    assert np.array_equal(x["a"], X)
    assert np.array_equal(x["b"], B)
    assert np.array_equal(y["kind"], Y)
    assert np.array_equal(y["size"][:, 0], SIZE)
    assert np.array_equal(weights["kind"], W)
    assert np.array_equal(weights["size"], W)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_inputs_alone_calibrates(form: str) -> None:
    data = load_data(given(form, X) if form not in ("arrays", "function") else X).bind(ONE, holdout=None)
    assert np.array_equal(data.representative(N, 0)["v"], X)
    assert data.scored is None


@pytest.mark.parametrize(
    "alone", [{"a": X, "b": B}, [X, B], {"x": {"a": X, "b": B}}, {"x_train": [X, B]}, {"train": [X, B]}, ([X, B],)]
)
def test_inputs_alone_come_by_name_or_in_a_list(alone: Any) -> None:
    drawn = load_data(alone).bind(TWO, holdout=None).representative(N, 0)
    assert np.array_equal(drawn["a"], X)
    assert np.array_equal(drawn["b"], B)


def test_one_sample_without_a_label_is_enough_to_calibrate() -> None:
    assert load_data(X[:1]).bind(ONE).representative(9, 0)["v"].shape == (1, 2)


def test_a_list_of_samples_is_one_input() -> None:
    x, y, _ = read(load_data((list(X), list(Y))).bind(ONE, holdout=None))
    assert np.array_equal(x["v"], X)
    assert np.array_equal(y, Y)
    assert np.array_equal(read(load_data(([X], Y)).bind(ONE, holdout=None))[0]["v"], X)


def test_splits_may_each_have_their_own_form_and_weights() -> None:
    data = load_data({"train": (X, Y, W), "val": lambda: iter(batches(X, Y)), "test": tf_data(X, Y)}).bind(ONE)
    assert data.need_train().size == N
    (_, _, weights), *_ = data.need_train().weighted(N)
    assert np.array_equal(weights, W)
    assert [split.count() for split in data.splits.values()] == [N, N, N]
    pair = load_data(((X, Y, W), (X, Y))).bind(ONE)
    assert next(pair.need_train().weighted(N))[2] is not None
    assert next(pair.need_test().weighted(N))[2] is None  # type: ignore[attr-defined]  # both kinds have it


def test_weights_in_an_npz_go_by_the_name_of_their_split(tmp_path: Any) -> None:
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y, sample_weight_train=W)
    assert np.array_equal(next(load_data(tmp_path / "d.npz").bind(ONE).need_train().weighted(N))[2], W)


def test_weights_follow_their_samples_through_holdout_and_shuffling() -> None:
    data = load_data((X, Y, W)).bind(ONE, holdout=0.25)
    for split in (data.need_train(), data.need_test()):
        for x, _, weights in split.weighted(4, seed=3):
            assert np.array_equal(x["v"][:, 0] + 1, weights)


def test_lint_says_what_weights_do_and_what_they_do_not() -> None:
    assert (
        "sample weights (test) weigh the loss in training; calibration and evaluation count every sample once"
        in load_data((X, Y, W)).bind(ONE, holdout=None).lint()
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-W, "sample_weight must be finite and not below 0, sample 0 has -1"),
        (np.where(W == 3, np.nan, W), "sample_weight must be finite and not below 0, sample 2 has nan"),
        (0 * W, "sample_weight is 0 for every sample"),
        (W[:3], "as many samples as each other: x has 12, y has 12, sample_weight has 3"),
        (np.array(["a"] * N), "sample_weight must be numbers"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused_before_training(weights: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data((X, Y, weights)).bind(ONE).need_train()


@pytest.mark.parametrize(
    ("value", "signature", "message"),
    [
        ([X, B, B], TWO, r"x must be a list of 2 arrays, for a, b in this order, got 3"),
        (([X, B], [Y, SIZE, SIZE]), TWO, r"y must be a list of 2 arrays, for kind, size in this order, got 3"),
        ({"image": X}, ONE, r"must hold an array for each input \(v\), got image"),
        ({"x_trian": X, "y_train": Y}, ONE, "has y_train but no x_train"),
        ({"x_trian": X}, ONE, "must hold x_train and y_train, .*; it holds x_trian"),
        ((X, None, W), ONE, "gives sample weights without labels"),
        ({"x": X, "sample_weight": W}, ONE, "has sample_weight but no y"),
        ((X, Y, W, W), ONE, r"must give x, \(x, y\) or \(x, y, sample_weight\), it gives 4 parts"),
        (lambda: iter([(X, Y[:5])]), ONE, "batches of as many inputs as labels: x has 12, y has 5"),
        (lambda: iter([(X, Y), (X[:, :1], Y)]), ONE, "all samples must have one shape|has shape"),
        (lambda: iter([]), ONE, "holds zero samples"),
        (lambda: [][1], ONE, "failed: IndexError"),
    ],
)
def test_what_cannot_be_meant_is_refused(value: Any, signature: Signature, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(value).bind(signature, holdout=None).lint()


def test_an_error_in_the_users_generator_is_told_in_one_line() -> None:
    def failing() -> Any:
        yield X, Y
        msg = "disk on fire"
        raise OSError(msg)

    with pytest.raises(DataError, match="arrays in memory failed: OSError: disk on fire"):
        load_data(failing).bind(ONE, holdout=None).lint()


@pytest.mark.parametrize("kind", ["function", "iterator"])
def test_a_generator_that_begins_again_instead_of_ending_is_refused(kind: str) -> None:
    def forever() -> Any:
        while True:
            yield from batches(X, Y)

    with pytest.raises(DataError, match=r"begins again from its start after 1,0\d\d samples; give one pass"):
        load_data(forever if kind == "function" else forever()).bind(ONE, holdout=None).lint()


def test_samples_that_are_all_alike_are_no_repetition() -> None:
    data = load_data(lambda: iter(batches(0 * X, Y))).bind(ONE, holdout=None)
    assert data.test is not None
    assert data.test.count() == N


def test_a_function_that_hands_out_one_iterator_is_noticed() -> None:
    used = iter(batches(X, Y))
    with pytest.raises(DataError, match="gave 12 samples once and none the second time"):
        load_data(lambda: used).bind(ONE, holdout=None).lint()


def test_an_iterator_too_large_to_keep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterators, "KEPT_BYTES", 150)
    with pytest.raises(DataError, match="an iterator, which can be read only once, and gives more than the 150 bytes"):
        load_data(iter(batches(X, Y))).bind(ONE, holdout=None).lint()


def test_a_generator_that_fills_one_array_anew_is_copied() -> None:
    def reusing() -> Any:
        x = np.empty((4, 2), np.float32)
        for start in range(0, N, 4):
            x[:] = X[start : start + 4]
            yield x, Y[start : start + 4]

    for form in (reusing, reusing()):
        assert np.array_equal(read(load_data(form).bind(ONE, holdout=None))[0]["v"], X)


def test_options_for_what_is_open_already_are_refused() -> None:
    with pytest.raises(UsageError, match="open already; give label, features, classes, preprocessing and the rest"):
        load_data(load_data((X, Y)), classes="a,b,c")


def test_what_is_printed_of_data_is_a_short_line() -> None:
    dataset = load_data({"train": (X, Y), "test": tf_data(X, Y)}, classes=[f"class number {i}" for i in range(3)])
    data = dataset.bind(ONE)
    assert repr(dataset) == (
        "Dataset('arrays in memory': train 12, test; classes class number 0, class number 1, class number 2)"
    )
    assert repr(data) == ("BoundData('arrays in memory': train 12, test 12; classification; v (2,) -> out (3,))")
    assert repr(data.train) == "TableSplit('train', 12 samples)"
    assert repr(data.test) == "StreamSplit('test', 12 samples)"
    assert repr(dataset.splits["train"]) == "ArraySplit(x_train (12, 2) float32, y_train (12,) int64)"
    for value in (load_data(np.zeros((9, 100))), load_data([X, B]), load_data(py_dataset(batches(X, Y), "keras"))):
        assert len(repr(value)) < 200
        assert len(repr(value.splits["all"])) < 200
