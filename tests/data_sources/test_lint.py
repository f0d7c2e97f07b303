from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.preprocessing import Preprocessing
from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec


def model(classes: int = 3, dtype: str = "float32") -> Signature:
    return Signature((TensorSpec("v", (4,), dtype),), (TensorSpec("out", (classes,), "float32"),))


def lint(given: Any, signature: Signature | None = None, **steps: Any) -> list[str]:
    return load_data(given, preprocessing=Preprocessing(**steps)).bind(signature or model()).lint()


def splits(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    return {"x_train": x, "y_train": y, "x_test": x[:6], "y_test": np.array(y[:6])}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_or_inf_in_the_inputs_is_refused_with_the_sample(bad: float) -> None:
    x = np.zeros((600, 4))
    x[301, 2] = bad
    with pytest.raises(DataError, match="x_train holds NaN or Inf at sample 301; mend or drop such samples"):
        lint(splits(x, np.arange(600) % 3))


def test_finite_inputs_whose_sum_overflows_are_welcome() -> None:
    x = np.full((600, 4), 3e38, np.float32)
    assert lint(splits(x, np.arange(600) % 3)) == []


def test_values_that_overflow_float32_are_refused() -> None:
    x = np.zeros((6, 4))
    x[4] = 1e300
    with pytest.raises(DataError, match="x_train holds NaN or Inf at sample 4"):
        lint(splits(x, np.arange(6) % 3))


def test_a_label_out_of_range_far_behind_is_found() -> None:
    y = np.arange(30_000) % 3
    y[29_999] = 3
    with pytest.raises(DataError, match=r"y_train must be whole numbers in 0\.\.2 .* sample 29,999 is 3"):
        lint(splits(np.zeros((30_000, 4), np.uint8), y))


def test_nan_in_targets_is_refused() -> None:
    y = np.linspace(0.1, 1, 2000)
    y[1234] = np.nan
    with pytest.raises(DataError, match="y_train has no label \\(NaN\\) at sample 1,234"):
        lint(splits(np.zeros((2000, 4)), y), model(1))


def test_a_function_that_makes_nan_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log_for_lint.py").write_text(
        "import numpy as np\ndef log(x):\n  with np.errstate(all='ignore'): return np.log(x.astype('f4'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    x = np.ones((10, 4), np.uint8)
    x[7, 0] = 0
    with pytest.raises(DataError, match="x_train holds NaN or Inf at sample 7"):
        lint(splits(x, np.arange(10) % 3), function="log_for_lint:log")


def test_values_too_large_for_an_integer_input_are_found() -> None:
    x = np.ones((10, 4), np.int64)
    x[9, 3] = 200
    with pytest.raises(DataError, match="x_train holds 200, the model's input 'v' wants int8"):
        lint(splits(x, np.arange(10) % 3), model(dtype="int8"))


@pytest.mark.parametrize(("y", "outputs"), [(np.arange(9) % 3, 1), (np.array([[2, 1, 0]] * 9), 3)])
def test_whole_numbers_that_are_no_classes_are_told_to_be_taken_as_targets(y: np.ndarray, outputs: int) -> None:
    for where, warning in zip(("y_train", "y_test"), lint(splits(np.zeros((9, 4)), y), model(outputs)), strict=True):
        assert warning.startswith(
            f"{where} holds only whole numbers, yet was taken as targets of a regression; classes"
        )


def test_targets_with_fractions_need_no_warning() -> None:
    assert lint(splits(np.zeros((9, 4)), np.linspace(0.5, 3, 9)), model(1)) == []


def test_missing_classes_are_listed_up_to_ten() -> None:
    warnings = lint(splits(np.zeros((9, 4)), np.zeros(9, int)), model(100))
    assert warnings[0] == "y_train has no sample of class 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... (99 of 100 classes)"


def test_integer_inputs_are_not_read_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_data(splits(np.zeros((600, 4), np.uint8), np.arange(600) % 3)).bind(model())

    def forbidden(rows: np.ndarray) -> None:
        raise AssertionError(rows)

    assert data.train is not None
    monkeypatch.setattr(type(data.train.table), "read", lambda self, rows: forbidden(rows))  # type: ignore[union-attr]
    assert data.findings.warnings == []


def test_a_stream_is_checked_in_one_pass() -> None:
    import tensorflow as tf

    x = np.zeros((300, 4), np.float32)
    x[200] = np.nan
    stream = {"train": tf.data.Dataset.from_tensor_slices((x, np.arange(300) % 3)).batch(50)}
    with pytest.raises(DataError, match="x of arrays in memory train holds NaN or Inf at sample 200"):
        lint(stream)


def test_a_held_out_part_of_a_stream_may_not_be_empty() -> None:
    import tensorflow as tf

    stream = tf.data.Dataset.from_tensor_slices((np.zeros((3, 4), np.float32), np.arange(3)))
    with pytest.raises(DataError, match="the test split holds zero samples; give more data"):
        load_data(stream).bind(model(), holdout=0.001).lint()
