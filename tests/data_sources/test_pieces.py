from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data import pieces
from tfcompress.data.pieces import joined, numbered, rebatched, shuffled
from tfcompress.data.raw import Stored
from tfcompress.errors import DataError

lengths = st.lists(st.integers(1, 9), max_size=12)


def stream(sizes: list[int]) -> Iterator[Stored]:
    """Yield samples that hold their own number: x = 10 · number, y.a = number."""
    start = 0
    for size in sizes:
        numbers = np.arange(start, start + size)
        yield Stored({"x": 10 * numbers}, {"a": numbers})
        start += size


@given(lengths, st.integers(1, 10))
def test_rebatching_keeps_every_sample_in_order(sizes: list[int], batch_size: int) -> None:
    batches = list(rebatched(numbered(stream(sizes)), batch_size))
    assert [len(batch.rows) for batch in batches[:-1]] == [batch_size] * max(len(batches) - 1, 0)
    assert np.concatenate([[], *(batch.rows for batch in batches)]).tolist() == list(range(sum(sizes)))
    for batch in batches:
        assert isinstance(batch.y, dict)
        assert np.array_equal(batch.x["x"], 10 * batch.rows)
        assert np.array_equal(batch.y["a"], batch.rows)


@given(lengths, st.integers(1, 20), st.integers(0, 3))
def test_shuffling_loses_no_sample_and_keeps_labels_with_inputs(sizes: list[int], capacity: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "SHUFFLE_SAMPLES", capacity)
        out = list(shuffled(numbered(stream(sizes)), np.random.default_rng(seed)))
        again = list(shuffled(numbered(stream(sizes)), np.random.default_rng(seed)))
    rows = np.concatenate([[], *(piece.rows for piece in out)])
    assert sorted(rows) == list(range(sum(sizes)))
    assert rows.tolist() == np.concatenate([[], *(piece.rows for piece in again)]).tolist()
    for piece in out:
        assert isinstance(piece.y, dict)
        assert np.array_equal(piece.x["x"], 10 * piece.rows)
        assert np.array_equal(piece.y["a"], piece.rows)


def test_a_buffer_mixes_far_beyond_one_piece() -> None:
    out = next(shuffled(numbered(stream([10] * 100)), np.random.default_rng(0)))
    assert out.rows.max() - out.rows.min() > 500


def test_the_buffer_holds_fewer_samples_when_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SHUFFLE_BYTES", 8 * 20)  # twenty samples of one int64
    out = next(shuffled(numbered(stream([10] * 100)), np.random.default_rng(0)))
    assert out.rows.max() < 20


def test_samples_of_several_shapes_are_refused() -> None:
    parts = [next(numbered([Stored({"x": np.zeros((1, size))})])) for size in (2, 3)]
    with pytest.raises(DataError, match=r"all samples must have one shape, got \(2,\) and \(3,\); resize or pad them"):
        joined(parts)


def test_pieces_without_labels_join_without_labels() -> None:
    both = joined(list(numbered([Stored({"x": np.zeros(2)}), Stored({"x": np.ones(1)})])))
    assert both.y is None
    assert both.x["x"].tolist() == [0, 0, 1]


def test_unnamed_labels_stay_unnamed() -> None:
    both = joined(list(numbered([Stored({"x": np.zeros(1)}, np.array([5])), Stored({"x": np.ones(1)}, np.array([6]))])))
    assert isinstance(both.y, np.ndarray)
    assert both.y.tolist() == [5, 6]
