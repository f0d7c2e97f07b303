from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data import repetition
from tfcompress.data.repetition import REPEATED_SAMPLES, Repetition
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec


def watch(elements: list[np.ndarray]) -> None:
    watcher, total = Repetition("it", "__len__"), 0
    for element in elements:
        total += len(element)
        watcher.check(element, total)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 30))
def test_whatever_begins_again_is_noticed_once_enough_came_again(numbers: list[int], size: int) -> None:
    elements = [np.full((size, 2), number) for number in [*numbers, 10, 11]]
    pass_samples = len(elements) * size
    needed = max(pass_samples, REPEATED_SAMPLES) + 2 * pass_samples
    with pytest.raises(DataError, match="it begins again from its start after"):
        watch(list(islice(cycle(elements), needed // size + 2)))
    watch(elements + elements[:-1])


@given(st.lists(st.integers(0, 1), min_size=1, max_size=300))
def test_few_numbers_in_any_order_are_honest(numbers: list[int]) -> None:
    watch([np.array([[number]]) for number in numbers])


def test_samples_that_are_all_alike_are_honest() -> None:
    watch([np.zeros((500, 2))] * 20)


def test_random_batches_are_honest() -> None:
    draw = np.random.default_rng(0)
    watch([draw.normal(size=(100, 2)) for _ in range(50)])


def test_what_only_never_ends_is_noticed_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repetition, "PASS_SAMPLES", 1_000)
    with pytest.raises(DataError, match="it does not end after 1,100 samples"):
        watch([np.zeros((100, 2))] * 20)


def test_of_very_many_elements_only_the_first_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repetition, "REMEMBERED", 5)
    watch([np.full((1_000, 1), number) for number in [*range(10), *range(10)]])


def test_a_tf_data_set_that_hides_that_it_repeats_is_noticed() -> None:
    import tensorflow as tf

    signature = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (3,), "float32"),))
    x = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    forever = tf.data.Dataset.from_tensor_slices((x, np.arange(90) % 3)).batch(30).repeat().filter(lambda *_: True)
    with pytest.raises(DataError, match="begins again from its start after"):
        load_data({"train": forever}).bind(signature).lint()


MODEL = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (3,), "float32"),))
X = np.random.default_rng(0).normal(size=(2_000, 2)).astype(np.float32)
Y = np.arange(2_000) % 3


def size_of(given_: object) -> int | None:
    data = load_data({"train": given_}).bind(MODEL)
    data.lint()
    return data.need_train().size


def repeated(form: str) -> object:
    import tensorflow as tf

    parts = (X, Y, np.ones(2_000, np.float32)) if "weights" in form else (X, Y)
    whole = tf.data.Dataset.from_tensor_slices(parts)
    whole = whole.batch(32) if "batches" in form else whole
    if "unknown" not in form:
        return whole.repeat(2)
    again = whole.filter(lambda *_: True).repeat(2)
    return again.apply(tf.data.experimental.assert_cardinality(4_000)) if "asserted" in form else again


@pytest.mark.parametrize("form", ["samples", "batches", "batches and weights", "unknown, then asserted"])
def test_a_tf_data_set_that_says_where_it_ends_may_repeat(form: str) -> None:
    assert size_of(repeated(form)) == 4_000


def test_one_that_does_not_say_is_told_how() -> None:
    with pytest.raises(DataError, match=r"begins again .* say how many there are \(tf.data.experimental.assert_card"):
        size_of(repeated("batches of unknown number"))


class Endless:
    """Gives the same 500 samples for ever; its length says how often they count."""

    def __init__(self, length: int | None) -> None:
        self._length = length

    def __len__(self) -> int:
        if self._length is None:
            msg = "nobody knows"
            raise TypeError(msg)
        return self._length

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return ((X[start : start + 500], Y[:500]) for start in cycle((0, 500, 1000)))


class EndlessIterator(Endless):
    """The same as an iterator."""

    def __init__(self, length: int | None) -> None:
        super().__init__(length)
        self._given = super().__iter__()

    def __iter__(self) -> EndlessIterator:
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        return next(self._given)


@pytest.mark.parametrize("kind", [Endless, EndlessIterator])
@pytest.mark.parametrize("by_function", [False, True])
def test_what_has_a_length_is_read_so_far(kind: type[Endless], by_function: bool) -> None:
    assert size_of((lambda: kind(7)) if by_function else kind(7)) == 3_500


@pytest.mark.parametrize("kind", [Endless, EndlessIterator])
def test_what_never_ends_and_has_no_length_is_refused(kind: type[Endless]) -> None:
    with pytest.raises(DataError, match=r"begins again from its start .* say how many there are \(__len__\)"):
        size_of(kind(None))


@pytest.mark.parametrize("home", ["keras", "tf_keras"])
@pytest.mark.parametrize("said", ["num_batches", "__len__", "both", "endless", "nothing"])
def test_a_py_dataset_says_how_many_batches_it_has_as_it_says_it_to_keras(said: str, home: str) -> None:
    utils = importlib.import_module(home).utils
    members: dict[str, Any] = {"__getitem__": lambda _, number: (X[number * 500 % 1_500 :][:500], Y[:500])}
    if said in ("num_batches", "both", "endless"):
        members["num_batches"] = property(lambda _: None if said == "endless" else 4)
    if said in ("__len__", "both"):
        members["__len__"] = lambda _: 4 if said == "__len__" else 9
    given_ = type("Mine", (getattr(utils, "PyDataset", utils.Sequence),), members)()
    if said in ("endless", "nothing"):
        with pytest.raises(DataError, match=r"must say how many batches it has \(num_batches or __len__\), Mine does"):
            size_of(given_)
    else:
        assert size_of(given_) == 2_000
