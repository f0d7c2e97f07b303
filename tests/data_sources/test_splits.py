from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.adapt import Adapter
from tfcompress.data.arrays import ArraySplit
from tfcompress.data.coding import coders_for
from tfcompress.data.ondisk import InMemory
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.raw import Stored
from tfcompress.data.splits import BoundSplit, StreamSplit, TableSplit
from tfcompress.models.specs import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("v", (1,), "float32"),), (TensorSpec("out", (1000,), "float32"),))


class Numbers:
    """A stream of samples that hold their own number, which counts how often it is read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.passes = 0

    def chunks(self) -> Iterator[Stored]:
        self.passes += 1
        for start in range(0, self.size, 7):
            numbers = np.arange(start, min(start + 7, self.size))
            yield Stored({"": numbers[:, None].astype(np.float32)}, numbers)


def split_of(kind: str, size: int) -> BoundSplit:
    numbers = np.arange(size)
    blank = Adapter(SIGNATURE, Preprocessing(), "x", "y", {})
    adapter = blank.with_coders(coders_for({"all": (blank, np.array([0]))})["all"])
    if kind == "stream":
        return StreamSplit("all", adapter, Numbers(size))
    table = ArraySplit({"": InMemory(numbers[:, None].astype(np.float32))}, InMemory(numbers), "x", "y")
    return TableSplit("all", adapter, table, numbers)


def read(split: BoundSplit, **options: int | None) -> list[int]:
    """Return the labels in the order they come, having checked that the inputs belong to them."""
    found: list[int] = []
    for x, y in split.batches(5, **options):  # type: ignore[arg-type]  # seed, epoch and limit only
        assert np.array_equal(x["v"][:, 0], y)
        assert len(y) <= 5
        found += y.tolist()
    return found


both_kinds = pytest.mark.parametrize("kind", ["table", "stream"])


@both_kinds
def test_without_a_seed_the_order_is_that_of_the_file(kind: str) -> None:
    assert read(split_of(kind, 23)) == list(range(23))
    assert read(split_of(kind, 23), limit=9) == list(range(9))
    assert read(split_of(kind, 23), limit=99) == list(range(23))


@both_kinds
def test_each_epoch_has_its_own_order_that_comes_again(kind: str) -> None:
    split = split_of(kind, 50)
    orders = [read(split, seed=3, epoch=epoch) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50))
    assert read(split, seed=4, epoch=0) != orders[0]


@both_kinds
def test_a_limit_with_a_seed_takes_the_same_samples_in_every_epoch(kind: str) -> None:
    split = split_of(kind, 50)
    first, second = (read(split, seed=3, epoch=epoch, limit=20) for epoch in (0, 1))
    assert len(set(first)) == 20
    assert sorted(first) == sorted(second)
    assert first != second
    assert sorted(read(split, seed=4, limit=20)) != sorted(first)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5))
def test_tables_and_streams_draw_the_same_sample(size: int, count: int, seed: int) -> None:
    samples = [split_of(kind, size).sample(count, seed) for kind in ("table", "stream")]
    rows = [read(sample) for sample in samples]
    assert rows[0] == rows[1] == sorted(set(rows[0]))
    assert len(rows[0]) == min(count, size) == samples[0].size == samples[1].size


def test_a_stream_learns_its_size_from_the_first_full_pass() -> None:
    split = split_of("stream", 23)
    assert isinstance(split, StreamSplit)
    sizes = [split.size]
    next(split.batches(5))
    sizes.append(split.size)
    read(split)
    assert [*sizes, split.size, split.count()] == [None, None, 23, 23]
    assert getattr(split.stream, "passes", 0) == 2  # the begun one and the full one; counting again was not needed


def test_a_part_of_a_stream_can_be_sampled() -> None:
    whole = split_of("stream", 50)
    assert isinstance(whole, StreamSplit)
    even = StreamSplit("train", whole.adapter, whole.stream, keep=lambda rows: rows % 2 == 0)
    assert even.count() == 25
    sample = read(even.sample(10, 0))
    assert len(sample) == 10
    assert set(sample) <= set(range(0, 50, 2))


@both_kinds
def test_pieces_are_as_stored_and_numbered(kind: str) -> None:
    found = list(split_of(kind, 12).pieces(8))
    assert [piece.rows.tolist() for piece in found] == [list(range(8)), list(range(8, 12))]
    assert found[0].x[""].shape == (8, 1)


def test_labels_of_a_table_come_without_inputs() -> None:
    split = split_of("table", 12)
    assert isinstance(split, TableSplit)
    assert np.concatenate(list(split.labels(5))).tolist() == list(range(12))


@both_kinds
@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_runs_of_samples_are_drawn_whole(kind: str, together: int, runs: int, count: int, seed: int) -> None:
    drawn = read(split_of(kind, together * runs).sample(count, seed, together=together))
    assert len(drawn) == min(together * runs, max(1, count // together) * together)
    assert (np.reshape(drawn, (-1, together)) % together == np.arange(together)).all()
    assert drawn == sorted(set(drawn))
