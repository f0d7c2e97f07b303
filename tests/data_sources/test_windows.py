from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.data.dataset import BoundData
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec


def model(*shape: int | None, outputs: tuple[int, ...] = (3,)) -> Signature:
    return Signature((TensorSpec("v", shape, "float32"),), (TensorSpec("out", outputs, "float32"),))


def everything(data: BoundData, name: str = "test") -> tuple[np.ndarray, np.ndarray]:
    batches = list(data.splits[name].batches(5))
    return np.concatenate([x["v"] for x, _ in batches]), np.concatenate([y for _, y in batches])


def readings(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return readings that tell their row, and the session of each, for sessions of these lengths."""
    x = np.arange(2 * sum(lengths), dtype=np.float32).reshape(-1, 2)
    return x, np.repeat([f"s{number}" for number in range(len(lengths))], lengths)


def arrays(lengths: list[int], **more: Any) -> dict[str, Any]:
    x, session = readings(lengths)
    return {"x": x, "y": np.repeat(np.arange(len(lengths)) % 3, lengths), "session": session, **more}


@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=8).filter(lambda lengths: max(lengths) >= 9),
    st.integers(1, 9),
    st.integers(1, 9),
)
@settings(deadline=None, max_examples=40)
def test_windows_cross_no_session_and_leave_out_none(lengths: list[int], window: int, stride: int) -> None:
    stride = min(stride, window)
    data = load_data(arrays(lengths), window=window, stride=stride, group="session")
    x, y = everything(data.bind(model(window, 2), holdout=None))
    starts, labels = [], []
    for number, (length, first) in enumerate(zip(lengths, np.cumsum([0, *lengths]), strict=False)):
        here = list(range(first, first + length - window + 1, stride))
        starts += here
        labels += [number % 3] * len(here)
    assert x[:, 0, 0].tolist() == [2 * start for start in starts]
    assert np.array_equal(x, [readings(lengths)[0][start : start + window] for start in starts])
    assert y.tolist() == labels


@given(st.lists(st.integers(5, 30), min_size=2, max_size=8), st.integers(0, 99), st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=30)
def test_no_session_lies_in_both_parts(lengths: list[int], seed: int, fraction: float) -> None:
    data = load_data(arrays(lengths), window=5, stride=2, group="session")
    bound = data.bind(model(5, 2), holdout=fraction, seed=seed)
    sessions = [set(split.groups()) for split in bound.splits.values() for _ in [0]]  # type: ignore[arg-type]
    assert sessions[0].isdisjoint(sessions[1])
    assert sessions[0] | sessions[1] == {f"s{number}" for number in range(len(lengths))}
    assert all(sessions)
    assert f", by whole groups: {len(sessions[1])} of {len(lengths)}" in bound.holdout


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write a table of two sessions of ten and six rows; the label changes in row 5 of the first."""
    rows = ["ax,session,ay,label"]
    for row in range(16):
        session, label = ("walk, 1", "walk") if row < 10 else ("run 1", "run")
        rows.append(f'{row},"{session}",{-row},{"sit" if row < 4 else label}')
    (tmp_path / "data.csv").write_text("\n".join(rows))
    return tmp_path / "data.csv"


def test_a_table_is_cut_and_the_label_of_most_rows_counts(table: Path) -> None:
    data = load_data(table, window=3, stride=2, group="session").bind(model(3, 2), holdout=None)
    x, y = everything(data)
    assert x[:, 0, 0].tolist() == [0, 2, 4, 6, 10, 12]
    assert np.array_equal(x[..., 1], -x[..., 0])
    assert data.dataset.labels == ("run", "sit", "walk")
    assert y.tolist() == [1, 1, 2, 2, 0, 0]
    assert "data.csv: 6 windows of 3 rows every 2, from 16 rows" in data.notes
    assert "data.csv: 2 rows are in no window: too few are left behind the last one" in data.notes
    assert "data.csv column label: 1 of 6 windows hold several labels, that of most rows counts" in data.notes


def test_parquet_is_cut_alike(table: Path, tmp_path: Path) -> None:
    import pandas as pd

    pd.read_csv(table).to_parquet(tmp_path / "data.parquet", index=False)
    both = [
        load_data(path, window=3, group="session").bind(model(3, 2, 1), holdout=None) for path in tmp_path.iterdir()
    ]
    assert np.array_equal(everything(both[0])[0], everything(both[1])[0])


def test_sessions_shorter_than_a_window_are_named(table: Path) -> None:
    data = load_data(table, window=8, group="session").bind(model(8, 2), holdout=None)
    line = "data.csv: 1 of 2 groups are shorter than the window of 8 rows and are left out: run 1 (6)"
    assert line in data.lint()
    assert everything(data)[0].shape == (1, 8, 2)


def test_a_window_longer_than_every_session_is_refused(table: Path) -> None:
    line = r"data\.csv holds no window of 11 rows: group 'walk, 1', the longest of 2, has 10; give a shorter --window"
    with pytest.raises(DataError, match=line):
        load_data(table, window=11, group="session").bind(model(11, 2))
    with pytest.raises(DataError, match="x holds no window of 9 rows: it has 4; give a shorter --window"):
        load_data((np.zeros((4, 2)), np.zeros(4, int)), window=9).bind(model(9, 2))


def test_rows_that_are_not_sorted_by_session_are_said() -> None:
    x, _ = readings([12])
    session = np.tile(["a", "b"], 6)
    with pytest.raises(DataError, match=r"holds no window of 2 rows: .* has 1; .*; are rows sorted by group\?"):
        load_data({"x": x, "y": np.zeros(12, int), "s": session}, window=2, group="s").bind(model(2, 2))
    pieces = np.repeat(["a", "b", "a"], 4)
    data = load_data({"x": x, "y": np.zeros(12, int), "s": pieces}, window=2, group="s").bind(model(2, 2))
    assert "x: groups come in 3 pieces, and no window goes from one to another" in data.notes


def test_a_window_of_another_length_than_the_models_is_refused(table: Path) -> None:
    with pytest.raises(DataError, match=r"the window is 4 rows, .* takes windows of 3 rows; give --window 3"):
        load_data(table, window=4, group="session").bind(model(3, 2))


def test_overlapping_windows_of_one_piece_cannot_be_divided() -> None:
    x, _ = readings([40])
    given_ = (x, np.arange(40) // 14)
    with pytest.raises(DataError, match=r"x is one group \(overlapping windows of one piece are, too\)"):
        load_data(given_, window=4, stride=2).bind(model(4, 2))
    apart = load_data(given_, window=4).bind(model(4, 2))
    rows = [everything(apart, name)[0][..., 0] for name in ("train", "test")]
    assert not np.intersect1d(*rows).size


def test_one_group_in_two_files_is_refused(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for name in ("train.csv", "test.csv"):
        (folder / name).write_text(table.read_text())
    with pytest.raises(
        DataError, match=r"2 groups lie in train and in test \(run 1, walk, 1\), .* put each group into"
    ):
        load_data(folder, window=3, group="session").bind(model(3, 2))


def test_an_output_of_as_many_steps_keeps_a_label_for_each_row(table: Path) -> None:
    data = load_data(table, window=3, group="session").bind(model(3, 2, outputs=(3, 3)), holdout=None)
    assert np.asarray(everything(data)[1]).reshape(-1, 3).tolist() == [
        [1, 1, 1],
        [1, 2, 2],
        [2, 2, 2],
        [0, 0, 0],
        [0, 0, 0],
    ]
    assert "data.csv column label: a label for each row of a window, as the model's output has" in data.notes


def test_targets_must_not_change_within_a_window() -> None:
    x, _ = readings([12])
    steady = load_data((x, np.repeat([0.5, 1.5, 0.25], 4)), window=4).bind(model(4, 2, outputs=(1,)), holdout=None)
    assert everything(steady)[1].reshape(-1).tolist() == [0.5, 1.5, 0.25]
    assert "y: every window holds one label" in steady.notes
    with pytest.raises(DataError, match="y changes within the window of rows 1 to 4, and is no class"):
        load_data((x, np.arange(12) / 8), window=4).bind(model(4, 2, outputs=(1,)))


def test_weights_of_a_window_are_the_mean_of_its_rows() -> None:
    x, _ = readings([8])
    data = load_data((x, np.zeros(8, int), np.arange(8.0)), window=4).bind(model(4, 2), holdout=None)
    (_, _, weights), *_ = data.splits["test"].weighted(9)
    assert weights.tolist() == [1.5, 5.5]


def test_a_window_with_a_corrupt_row_is_left_out_where_that_was_asked_for(table: Path) -> None:
    table.write_text(table.read_text().replace("\n1,", "\n,").replace("\n11,", "\nbroken,"))
    with pytest.raises(DataError, match=r"column 'ax' (has no value|must hold numbers)"):
        load_data(table, window=3, group="session").bind(model(3, 2))
    data = load_data(table, window=3, group="session", skip_corrupt=True).bind(model(3, 2), holdout=None)
    assert everything(data)[0][:, 0, 0].tolist() == [3, 6, 13]
    assert any("2 corrupt samples are left out" in line for line in data.lint())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window must be a whole number of rows, at least 1, got 0"),
        ({"window": 4, "stride": 5}, "stride must be at most the window's 4 rows, or some are in none, got 5"),
        ({"stride": 5}, "stride says where windows start, and there is no window; give --window ROWS too"),
        ({"group": "sesion"}, r"has no column 'sesion' \(did you mean 'session'\?\)"),
        ({"group": "label", "label": "label"}, "column 'label' cannot be the label and the group"),
        ({"features": "f.toml"}, "--features says what .tfrecord files hold, it has no meaning for"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(table: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        load_data(table, **options)


def test_a_row_without_a_session_is_refused(table: Path) -> None:
    table.write_text(table.read_text().replace('"run 1"', "", 1))
    with pytest.raises(DataError, match=r"data\.csv column 'session' has no group in row 11"):
        load_data(table, group="session").bind(model(2), holdout=None)


def test_a_stream_cannot_be_cut() -> None:
    x, _ = readings([8])
    with pytest.raises(UsageError, match=r"window cuts tables and arrays, .* is read from front to back"):
        load_data(lambda: iter([(x, np.zeros(8, int))]), window=4).bind(model(4, 2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": np.zeros((4, 2)), "y": np.zeros(4), "sesion": np.zeros(4)}, "must hold an array 'session' beside x"),
        (
            {"x": np.zeros((4, 2)), "y": np.zeros(4), "session": np.zeros(3)},
            "session must hold one number or text for each",
        ),
        ((np.zeros((4, 2)), np.zeros(4)), "must hold an array 'session' beside x"),
        ({"train": (np.zeros((4, 2)), np.zeros(4))}, "must hold an array 'session_train' beside x_train"),
    ],
)
def test_groups_of_arrays_are_an_array_beside_them(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(value, group="session")


def test_groups_in_an_npz_go_by_the_name_of_their_split(tmp_path: Path) -> None:
    x, session = readings([6, 6])
    np.savez(tmp_path / "d.npz", x_train=x, y_train=np.zeros(12, int), session_train=session)
    data = load_data(tmp_path / "d.npz", window=4, group="session").bind(model(4, 2))
    assert data.splits["train"].size == 2
