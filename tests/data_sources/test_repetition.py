from __future__ import annotations

from itertools import cycle, islice

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
    watcher, total = Repetition("it"), 0
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
