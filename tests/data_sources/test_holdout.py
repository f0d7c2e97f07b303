from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.holdout import held_out
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("v", (1,), "float32"),), (TensorSpec("out", (1000,), "float32"),))


def divided(size: int, fraction: float, seed: int = 0) -> tuple[list[int], list[int]]:
    data = load_data((np.arange(size)[:, None], np.arange(size))).bind(SIGNATURE, holdout=fraction, seed=seed)
    assert data.train is not None
    assert data.test is not None
    parts = [[int(n) for _, y in split.batches(64) for n in y] for split in (data.train, data.test)]
    return parts[0], parts[1]


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_rows_are_divided_into_two_parts_without_overlap(size: int, fraction: float, seed: int) -> None:
    train, test = divided(size, fraction, seed)
    assert sorted(train + test) == list(range(size))
    assert len(test) == min(max(1, round(fraction * size)), size - 1)
    assert (train, test) == divided(size, fraction, seed)


def test_another_seed_holds_out_other_rows() -> None:
    assert divided(100, 0.2, 0)[1] != divided(100, 0.2, 1)[1]


def test_one_sample_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="x must hold at least 2 samples to be divided into train and test, got 1"):
        divided(1, 0.5)


@given(st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_about_the_fraction_of_a_stream_is_held_out(fraction: float, seed: int) -> None:
    held = held_out(np.arange(20_000), fraction, seed)
    assert abs(held.mean() - fraction) < 5 * (fraction * (1 - fraction) / 20_000) ** 0.5


def test_the_hash_does_not_depend_on_how_a_stream_is_cut() -> None:
    whole = held_out(np.arange(1000), 0.3, 7)
    assert np.array_equal(np.concatenate([held_out(np.arange(a, a + 10), 0.3, 7) for a in range(0, 1000, 10)]), whole)


def tf_dataset(size: int) -> Any:
    import tensorflow as tf

    numbers = np.arange(size)
    return tf.data.Dataset.from_tensor_slices((numbers[:, None].astype(np.float32), numbers))


def test_a_stream_is_divided_without_overlap_or_loss() -> None:
    data = load_data(tf_dataset(500)).bind(SIGNATURE, holdout=0.25, seed=3)
    assert data.train is not None
    assert data.test is not None
    train, test = ([int(n) for _, y in split.batches(64) for n in y] for split in (data.train, data.test))
    assert sorted(train + test) == list(range(500))
    assert test == np.flatnonzero(held_out(np.arange(500), 0.25, 3)).tolist()
    assert data.holdout == "25 % of 'all' held out by seed 3"


def test_a_stream_that_shuffles_itself_cannot_be_divided() -> None:
    shuffling = tf_dataset(500).shuffle(500)
    with pytest.raises(DataError, match=r"comes in another order each time, .* give it without shuffle\(\)"):
        load_data(shuffling).bind(SIGNATURE)


def test_a_stream_that_shuffles_itself_is_welcome_as_a_split() -> None:
    data = load_data({"train": tf_dataset(50).shuffle(50), "test": tf_dataset(5)}).bind(SIGNATURE)
    assert data.holdout == ""
