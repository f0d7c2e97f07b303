from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data import table_files
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, MissingDependencyError, UsageError
from tfcompress.models.specs import Signature, TensorSpec


def model(*inputs: tuple[str, tuple[int | None, ...], str], classes: int = 2) -> Signature:
    given = inputs or (("v", (2,), "float32"),)
    return Signature(tuple(TensorSpec(*spec) for spec in given), (TensorSpec("out", (classes,), "float32"),))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def everything(path: Path, signature: Signature | None = None, **options: Any) -> tuple[dict[str, Any], Any]:
    """Return inputs and labels of a file as lists."""
    split = load_data(path, **options).bind(signature or model(), holdout=None).need_test()
    x, y = next(split.batches(1000))
    return {name: part.tolist() for name, part in x.items()}, y.tolist()


def test_every_column_but_the_label_feeds_the_only_input(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,label,b\n1,0,2.5\n3,1,4\n")
    assert everything(path) == ({"v": [[1.0, 2.5], [3.0, 4.0]]}, [0, 1])


@pytest.mark.parametrize(
    ("header", "label", "column"),
    [("label,y,c", None, 0), ("a,y,c", None, 1), ("a,b,c", None, 2), ("a,label,c", "c", 2), ("a,b,c", "a", 0)],
)
def test_the_label_is_named_or_called_label_or_y_or_last(
    tmp_path: Path, header: str, label: str | None, column: int
) -> None:
    values = ["8", "8", "8"]
    values[column] = "1"
    path = write(tmp_path / "d.csv", f"{header}\n{','.join(values)}\n")
    assert everything(path, label=label) == ({"v": [[8.0, 8.0]]}, [1])


def test_columns_are_reshaped_to_the_models_input(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "label,p0,p1,p2,p3\n1,1,2,3,4\n")
    assert everything(path, model(("image", (2, 2, 1), "float32")))[0] == {"image": [[[[1.0], [2.0]], [[3.0], [4.0]]]]}


def test_any_number_of_columns_serves_a_model_that_says_none(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,c,label\n1,2,3,0\n")
    assert everything(path, model(("v", (None,), "float32")))[0] == {"v": [[1.0, 2.0, 3.0]]}


def test_several_inputs_take_the_columns_called_like_them(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "age,place.x,place.y,label\n7,1.5,2.5,1\n")
    signature = model(("place", (2,), "float32"), ("age", (1,), "int32"))
    assert everything(path, signature) == ({"place": [[1.5, 2.5]], "age": [[7]]}, [1])


def test_several_label_columns_are_targets_of_one_output(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,lat,lon\n1,2,0.5,7.5\n")
    data = load_data(path, label="lat,lon").bind(model(), holdout=None)
    assert [task.name for task in data.tasks.values()] == ["regression"]
    assert next(data.need_test().batches(1))[1].tolist() == [[0.5, 7.5]]


def test_several_label_columns_go_to_the_outputs_of_their_names(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,kind,size\n1,2,1,7.5\n1,2,0,2\n")
    outputs = (TensorSpec("kind", (2,), "float32"), TensorSpec("size", (1,), "float32"))
    data = load_data(path, label="kind, size").bind(Signature(model().inputs, outputs), holdout=None)
    _, y = next(data.need_test().batches(2))
    assert {name: part.tolist() for name, part in y.items()} == {"kind": [1, 0], "size": [[7.5], [2.0]]}


@pytest.mark.parametrize("label", [["lat", "lon"], ("lat", "lon"), "lat, lon"])
def test_label_columns_may_come_in_a_list(label: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,lat,lon\n1,2,0.5,7.5\n")
    data = load_data(path, label=label).bind(model(), holdout=None)
    assert next(data.need_test().batches(1))[1].tolist() == [[0.5, 7.5]]


@pytest.mark.parametrize("label", [3, [], ["lat", 3], ["lat", "lat"], {"lat"}, b"lat"])
def test_what_names_no_columns_is_refused(label: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,lat,lon\n1,2,0.5,7.5\n")
    with pytest.raises(UsageError, match=r"label must name (a column, several|different columns)"):
        load_data(path, label=label)


def test_text_labels_are_numbered_in_sorted_order_over_all_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,b,label\n1,2,dog\n1,2,cat\n")
    write(tmp_path / "test.csv", "a,b,label\n1,2,ant\n")
    data = load_data(tmp_path).bind(model(classes=3))
    assert data.dataset.labels == ("ant", "cat", "dog")
    assert next(data.train.batches(2))[1].tolist() == [2, 1]  # type: ignore[union-attr]  # it has a train split
    assert next(data.need_test().batches(2))[1].tolist() == [0]


def test_tabs_separate_tsv_and_gzip_is_unpacked(tmp_path: Path) -> None:
    import gzip

    expected = ({"v": [[1.0, 2.0]]}, [1])
    assert everything(write(tmp_path / "d.tsv", "a\tb\tlabel\n1\t2\t1\n")) == expected
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"a,b,label\n1,2,1\n"))
    assert everything(tmp_path / "d.csv.gz") == expected


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1.0, 3.0], "b": [2, 4], "label": ["x", "y"]})
    frame.to_parquet(tmp_path / "d.parquet")
    assert everything(tmp_path / "d.parquet") == ({"v": [[1.0, 2.0], [3.0, 4.0]]}, [0, 1])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingDependencyError, match=r"Parquet needs pyarrow: pip install 'tfcompress\[parquet\]'"):
        load_data(tmp_path / "d.parquet")


def test_pieces_of_a_file_join_into_one_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "CHUNK_ROWS", 7)
    numbers = np.arange(100)
    rows = "\n".join(f"{n},{2 * n},{n % 2}" for n in numbers)
    x, y = everything(write(tmp_path / "d.csv", f"a,b,label\n{rows}\n"))
    assert x["v"] == np.stack([numbers, 2 * numbers], 1).tolist()
    assert y == (numbers % 2).tolist()


def test_a_file_is_read_once_however_often_it_is_bound(tmp_path: Path) -> None:
    data = load_data(write(tmp_path / "d.csv", "a,b,label\n1,2,0\n3,4,1\n"))
    first, second = (data.bind(model(), holdout=None).test for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.table is second.table  # type: ignore[union-attr]  # both are tables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"cannot be read as a table: No columns to parse from file"),
        ("a,b,label\n", "holds zero samples"),
        ("1,2,0\n3,4,1\n", "must start with a line of column names, it starts with 1, 2, 0"),
        ('a,b,label\n1,2,0\n1,2,0,"', r"cannot be read as a table: Error tokenizing data"),
        ("a,b,label\n1,,0\n", r"d\.csv column 'b' has no value \(NaN\) in row 1; fill in or drop such rows"),
        ("a,b,label\n1,2,0\n1,2,\n", r"column 'label' has no value \(NaN\) in row 2"),
        ("a,b,label\n1,red,0\n", r"column 'b' must hold numbers, got 'red'; encode it as numbers or drop the column"),
        (
            "a,b,c,label\n1,2,3,0\n",
            r"has 3 columns \(a, b, c\) for the model's input 'v', which wants 2 \(shape \(2,\)\)",
        ),
        ("a,b,label\n1,2,7\n", r"column label must be whole numbers in 0\.\.1 .* sample 0 is 7"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "d.csv", text)
    with pytest.raises(DataError, match=message):
        everything(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"\xff\xfd\x00a,b\n\x80")
    with pytest.raises(DataError, match="cannot be read as a table: 'utf-8' codec can't decode"):
        load_data(tmp_path / "d.csv")


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "d.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(DataError, match=r"d\.parquet' cannot be read as a table"):
        load_data(tmp_path / "d.parquet")


def test_fractions_for_an_integer_input_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,label\n1,2.5,0\n")
    with pytest.raises(DataError, match=r"column 'b' must hold whole numbers, as the model's input does"):
        everything(path, model(("v", (2,), "int32")))


def test_an_unknown_label_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a,b,target\n1,2,0\n")
    with pytest.raises(DataError, match=r"has no column 'targte' \(did you mean 'target'\?\); it has a, b, target"):
        load_data(path, label="targte")


def test_splits_with_different_label_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,b,c\n1,2,0\n")
    write(tmp_path / "test.csv", "a,b,d\n1,2,0\n")
    with pytest.raises(DataError, match=r"same label column, found .*test\.csv: d.*choose one with --label"):
        load_data(tmp_path)


def test_two_files_for_one_split_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,b,c\n1,2,0\n")
    write(tmp_path / "train.tsv", "a\tb\tc\n1\t2\t0\n")
    with pytest.raises(DataError, match=r"holds train\.csv and train\.tsv, both for train; keep one of them"):
        load_data(tmp_path)
