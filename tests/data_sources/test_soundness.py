from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfcompress.data.sources import load_data
from tfcompress.errors import DataError, UsageError
from tfcompress.models.specs import Signature, TensorSpec

MODEL = Signature((TensorSpec("v", (2,), "float32"),), (TensorSpec("out", (3,), "float32"),))
NUMBER = Signature(MODEL.inputs, (TensorSpec("out", (1,), "float32"),))


@given(st.lists(st.sampled_from(["good", "nan", "inf", "unlabelled"]), min_size=1, max_size=200))
@settings(deadline=None, max_examples=50)
def test_exactly_the_samples_with_numbers_are_kept(kinds: list[str]) -> None:
    x = np.stack([np.arange(len(kinds)), np.zeros(len(kinds))], axis=1)
    y = 0.5 + np.arange(len(kinds))
    x[[kind == "nan" for kind in kinds], 1] = np.nan
    x[[kind == "inf" for kind in kinds], 0] = np.inf
    y[[kind == "unlabelled" for kind in kinds]] = np.nan
    good = [row for row, kind in enumerate(kinds) if kind == "good"]
    data = load_data((x, y), skip_corrupt=True)
    if not good:
        with pytest.raises(DataError, match=r"holds NaN or Inf at sample 0|holds no label \(NaN\) at sample 0"):
            data.bind(NUMBER, holdout=None)
        return
    bound = data.bind(NUMBER, holdout=None)
    kept = [float(value) for _, labels in bound.need_test().batches(7) for value in labels.reshape(-1)]
    assert kept == [0.5 + row for row in good]
    lines = [line for line in bound.lint() if "corrupt" in line]
    assert lines == [] if len(good) == len(kinds) else lines[0].startswith(f"x: {len(kinds) - len(good):,} corrupt")


def test_corrupt_images_are_counted_and_named(tmp_path: Path) -> None:
    for place in range(12):
        path = tmp_path / "ab"[place % 2] / f"{place:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), place, np.uint8)).save(path)
    for victim in ("a/04", "b/05", "b/11"):
        path = tmp_path / f"{victim}.png"
        path.write_bytes(path.read_bytes()[:-25])
    model = Signature((TensorSpec("v", (4, 4, 3), "float32"),), (TensorSpec("out", (2,), "float32"),))
    with pytest.raises(DataError, match=r"a/04\.png' cannot be decoded"):
        load_data(tmp_path).bind(model, holdout=None).lint()
    data = load_data(tmp_path, skip_corrupt=True).bind(model, holdout=None)
    x, _ = next(data.need_test().batches(99))
    assert x["v"][:, 0, 0, 0].tolist() == [0, 2, 6, 8, 10, 1, 3, 7, 9]
    (line,) = [line for line in data.lint() if "corrupt" in line]
    assert line.startswith(f"{tmp_path.name}/: 3 corrupt samples are left out (--skip-corrupt): image ")
    assert all(name in line for name in ("04.png", "05.png", "11.png"))


def test_of_many_corrupt_samples_the_first_are_named() -> None:
    x = np.zeros((40, 2))
    x[:30] = np.nan
    line = load_data((x, np.zeros(40, int)), skip_corrupt=True).bind(MODEL, holdout=None).lint()[0]
    assert line == (
        "x: 30 corrupt samples are left out (--skip-corrupt): x holds NaN or Inf at sample 0; x holds NaN or Inf at "
        "sample 1; x holds NaN or Inf at sample 2; x holds NaN or Inf at sample 3; x holds NaN or Inf at sample 4; ..."
    )


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_rows_without_a_value_or_with_text_are_left_out(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "d.csv").write_text("a,b,kind\n1,2,high\n,3,low\n4,x,low\n5,6,\n7,8,low\n")
    signature = Signature((TensorSpec("v", (2,), dtype),), MODEL.outputs[:1])
    two = Signature(signature.inputs, (TensorSpec("out", (2,), "float32"),))
    with pytest.raises(DataError, match=r"column 'a' has no value \(NaN\) in row 2"):
        load_data(tmp_path / "d.csv").bind(two)
    data = load_data(tmp_path / "d.csv", skip_corrupt=True).bind(two, holdout=None)
    x, y = next(data.need_test().batches(9))
    assert (x["v"].tolist(), y.tolist()) == ([[1, 2], [7, 8]], [0, 1])
    assert x["v"].dtype == dtype


def test_what_is_read_in_one_go_cannot_be_skipped() -> None:
    with pytest.raises(
        UsageError, match="--skip-corrupt leaves out samples of folders, tables and arrays; x of arrays in"
    ):
        load_data(lambda: iter([(np.zeros((4, 2)), np.zeros(4, int))]), skip_corrupt=True).bind(MODEL)
    with pytest.raises(UsageError, match=r"--skip-corrupt leaves out .* no meaning for 'keras:mnist'"):
        load_data("keras:mnist", skip_corrupt=True)
