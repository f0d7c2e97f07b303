from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.delimiters import Dialect, detect
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec

SIGNATURE = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (2,), "float32"),))
ROWS = [[1.5, -2.0], [0.25, 3.0], [4.0, 5.5]]


def table(separator: str, decimal: str = ".") -> str:
    lines = [separator.join(("a", "b", "label"))]
    for number, row in enumerate(ROWS):
        lines.append(separator.join([*(str(value).replace(".", decimal) for value in row), str(number % 2)]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.txt", "d.csv.gz", "d.tsv.gz"])
def test_columns_are_told_apart_whatever_separates_them(tmp_path: Path, separator: str, name: str) -> None:
    content = table(separator).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    x, y = next(load_data(tmp_path / name).bind(SIGNATURE, holdout=None).need_test().batches(9))
    assert x["v"].tolist() == ROWS
    assert y.tolist() == [0, 1, 0]


def test_decimal_commas_are_read_and_said(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(table(";", ","))
    data = load_data(tmp_path / "d.csv").bind(SIGNATURE, holdout=None)
    assert next(data.need_test().batches(9))[0]["v"].tolist() == ROWS
    assert "d.csv: numbers have decimal commas (1,5 is 1.5)" in data.describe()["notes"]


def test_a_decimal_comma_far_down_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a;b;label\n" + "1;2;0\n" * 200 + "1,5;2;1\n")
    with pytest.raises(DataError, match="column 'a' holds '1,5', a decimal comma; save the file with decimal points"):
        load_data(tmp_path / "d.csv").bind(SIGNATURE)


def test_what_may_be_thousands_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a;b;label\n1,500;2;0\n")
    with pytest.raises(DataError, match="'1,500' may be a decimal or thousands; write numbers with a point"):
        load_data(tmp_path / "d.csv")


def test_a_file_of_one_column_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a:b:label\n1:2:0\n")
    with pytest.raises(DataError, match="it has one column only, 'a:b:label'; columns must be separated by commas"):
        load_data(tmp_path / "d.csv")


@given(
    st.sampled_from([",", ";", "\t", "|"]),
    st.integers(2, 6),
    st.lists(st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: f"{value:.3f}"), min_size=12, max_size=60),
)
def test_any_table_of_numbers_is_read_by_its_own_separator(separator: str, width: int, values: list[str]) -> None:
    rows = [values[start : start + width] for start in range(0, len(values) - width + 1, width)]
    lines = [separator.join(f"c{number}" for number in range(width)), *(separator.join(row) for row in rows)]
    for usual in (",", "\t"):
        assert detect([f"{line}\n" for line in lines], usual) == Dialect(separator)


def test_quoted_text_with_other_separators_in_it_does_not_mislead() -> None:
    lines = ['name,"a;b;c",label\n', '1,"x;y;z",0\n', '2,"x;y;w",1\n']
    assert detect(lines, ",") == Dialect(",")


def test_of_two_separators_that_fit_the_one_that_leaves_numbers_is_taken() -> None:
    assert detect(["a,b;c\n", "1,5;3\n", "2,5;4\n"], ",") == Dialect(";", ",")


def test_a_header_alone_is_cut_by_what_cuts_it() -> None:
    assert detect(["a;b;label\n"], ",") == Dialect(";")


def test_a_wide_table_is_still_read(tmp_path: Path) -> None:
    width = 4_000
    header = ";".join(f"{number:0300}" for number in range(width))  # more than a megabyte
    (tmp_path / "d.csv").write_text(f"{header};label\n" + (";".join(["0.5"] * width) + ";1\n") * 2)
    signature = Signature((TensorSpec("v", (width,), "float32"),), (TensorSpec("out", (2,), "float32"),))
    x, _ = next(load_data(tmp_path / "d.csv").bind(signature, holdout=None).need_test().batches(2))
    assert np.array_equal(x["v"], np.full((2, width), 0.5, np.float32))


def test_a_table_without_a_label_column_serves_to_calibrate(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    data = load_data(tmp_path / "d.csv").bind(SIGNATURE)
    assert sorted(data.representative(9, 0)["v"][:, 0].tolist())[0] in (1.0, 3.0)
    assert data.scored is None
