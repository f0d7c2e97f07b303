from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.holdout import divided as divided_split
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


def classes_of(y: list[int], fraction: float, seed: int = 0, **more: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Return how many of each class train and test, and what is said of it."""
    given_ = {"x": np.arange(len(y))[:, None], "y": np.array(y), **more}
    group = {"group": next(iter(more))} if more else {}
    data = load_data(given_, **group).bind(SIGNATURE, holdout=fraction, seed=seed)
    train, test = (
        np.bincount(np.concatenate([y for _, y in split.batches(64)]), minlength=max(y) + 1)
        for split in data.splits.values()  # type: ignore[union-attr]
    )
    return train, test, data.holdout


@given(st.lists(st.integers(0, 4), min_size=2, max_size=120), st.floats(0.05, 0.95), st.integers(0, 99))
def test_of_each_class_its_share_is_held_out(y: list[int], fraction: float, seed: int) -> None:
    train, test, said = classes_of(y, fraction, seed)
    total = train + test
    assert test.sum() == min(max(1, round(fraction * len(y))), len(y) - 1)
    share = test.sum() * total / len(y)
    # The last sample of a class stays in training while others can go; what it leaves goes to the others.
    stays = int((share > total - 1)[total > 0].sum())
    assert (np.abs(test - share) <= 1 + stays).all()
    if test.sum() <= (np.maximum(total - 1, 0)).sum():
        assert (train[total > 0] > 0).all()
    assert said.endswith(f"held out by seed {seed}, of each class alike")


def test_a_rare_class_is_in_both_parts() -> None:
    train, test, _ = classes_of([0] * 96 + [1] * 4, 0.25)
    assert (train.tolist(), test.tolist()) == ([72, 3], [24, 1])


@given(st.lists(st.integers(1, 20), min_size=2, max_size=12), st.floats(0.1, 0.9), st.integers(0, 99))
def test_groups_are_held_out_whole_and_near_the_fraction(sizes: list[int], fraction: float, seed: int) -> None:
    person = np.repeat(np.arange(len(sizes)), sizes)
    total = sum(sizes)
    _, test, said = classes_of([0] * total, fraction, seed, person=person)
    held = min(max(1, round(fraction * total)), total - 1)
    assert abs(test.sum() - held) <= max(sizes)
    assert "by whole groups: " in said
    data = load_data({"x": person[:, None], "y": person % 2, "person": person}, group="person")
    parts = [
        {int(v) for x, _ in split.batches(64) for v in x["v"][:, 0]} for split in data.bind(SIGNATURE).splits.values()
    ]
    assert parts[0].isdisjoint(parts[1])


def test_groups_are_chosen_so_that_training_keeps_every_class() -> None:
    person = np.repeat(np.arange(10), 10)
    y = (person >= 7).astype(int) + (person == 9)  # 7, 2 and 1 persons
    for seed in range(10):
        train, test, _ = classes_of(y.tolist(), 0.2, seed, person=person)
        assert (train > 0).all()
        assert test.sum() == 20


def labels_of(task: str, y: np.ndarray, output: tuple[int, ...], seed: int, **more: Any) -> tuple[Any, Any, str]:
    """Return the labels of the training and the test part of data of a task, and what is said of them."""
    signature = Signature((TensorSpec("v", output, "float32"),), (TensorSpec("out", output, "float32"),))
    x = np.arange(len(y))[:, None].repeat(output[0], axis=1)
    group = {"group": next(iter(more))} if more else {}
    data = load_data({"x": x, "y": y, **more}, task=task, **group).bind(signature, seed=seed)
    parts = {name: np.concatenate([part for _, part in split.batches(64)]) for name, split in data.splits.items()}
    return parts["train"], parts["test"], data.holdout


@given(st.integers(2, 12), st.integers(0, 99))
def test_anomalies_are_held_out_by_their_share_and_at_least_one(anomalies: int, seed: int) -> None:
    y = (np.arange(300) >= 300 - anomalies).astype(int)
    _, test, said = labels_of("autoencoder", y, (3,), seed)
    assert (len(test), test.sum()) == (60, max(1, round(0.2 * anomalies)))
    assert said.endswith(", of each kind alike")


@given(st.integers(0, 99))
def test_anomalous_clips_are_held_out_too(seed: int) -> None:
    clips = np.repeat(np.arange(50), 6)
    _, test, _ = labels_of("autoencoder", (clips >= 44).astype(int), (3,), seed, clip=clips)
    assert 0 < test.sum() < 36


@given(st.lists(st.integers(5, 15), min_size=2, max_size=6), st.integers(0, 99))
def test_of_each_identity_its_share_is_held_out(counts: list[int], seed: int) -> None:
    train, test, said = labels_of("embedding", np.repeat(np.arange(len(counts)), counts), (4,), seed)
    for who, count in enumerate(counts):
        assert abs((test == who).sum() - 0.2 * count) < 1
        assert (train == who).sum() + (test == who).sum() == count
    assert said.endswith(", of each identity alike")


@given(st.integers(0, 10_000))
def test_each_tag_that_occurs_twice_is_in_both_parts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tags = rng.random((60, 6)) < np.array([0.5, 0.3, 0.1, 0.05, 0.05, 0.02])
    train, test, said = labels_of("multi-label", tags.astype(int), (6,), seed)
    assert len(test) == 12
    several = tags.sum(axis=0) >= 2
    assert (train.sum(axis=0) > 0)[several].all()
    assert (test.sum(axis=0) > 0)[several].all()
    assert np.abs(test.sum(axis=0) - 0.2 * tags.sum(axis=0)).max() < 4
    assert said.endswith(", of each tag alike")


def test_one_group_cannot_be_divided() -> None:
    with pytest.raises(DataError, match=r"x is one group .*; give --group with more groups, or a test split"):
        classes_of([0, 1] * 5, 0.2, person=np.zeros(10))


def test_windows_of_one_clip_stay_together() -> None:
    whole = load_data((np.arange(40)[:, None], np.arange(40))).bind(SIGNATURE, holdout=None).test
    assert whole is not None
    _, test, said = divided_split(whole, 0.3, 0, 4)
    held = sorted(int(v) for x, _ in test.batches(99) for v in x["v"][:, 0])
    assert held == sorted({4 * clip + place for clip in {v // 4 for v in held} for place in range(4)})
    assert said == ", by whole groups: 3 of 10, 12 samples"


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
