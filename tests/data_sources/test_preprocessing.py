from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.preprocessing import Preprocessing, import_function, parse_numbers, parse_scale
from tfcompress.errors import DataError, UsageError


@pytest.fixture
def module_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Write a module into the working directory; its name differs from test to test, as imports are remembered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    name = f"prep_{abs(hash(request.node.name))}"
    Path(f"{name}.py").write_text(
        "import numpy as np\n"
        "def double(x): return x * 2\n"
        "def drop_one(x): return x[1:]\n"
        "def number(x): return 3.0\n"
        "def fail(x): raise KeyError('lost')\n"
        "constant = 3\n"
    )
    return name


def test_scale_mean_and_std_follow_the_formula_in_float32() -> None:
    x = np.array([[[10, 20]], [[30, 40]]], np.uint8)
    out = Preprocessing(scale=0.5, mean=(1.0, 2.0), std=(2.0, 4.0)).apply(x)
    assert out.dtype == np.float32
    assert out.tolist() == [[[(10 / 2 - 1) / 2, (20 / 2 - 2) / 4]], [[(30 / 2 - 1) / 2, (40 / 2 - 2) / 4]]]


def test_nothing_set_gives_the_batch_itself() -> None:
    x = np.arange(6, dtype=np.uint8)
    assert Preprocessing().apply(x) is x
    assert not Preprocessing().active


@given(st.lists(st.integers(0, 255), min_size=1), st.sampled_from(["u1", "i2", "i8", "f2", "f4", "f8"]))
def test_scaling_by_a_255th_puts_pixels_of_any_dtype_into_zero_to_one(pixels: list[int], dtype: str) -> None:
    x = np.array(pixels, dtype)
    out = Preprocessing(scale=parse_scale("1/255")).apply(x)
    assert out.dtype == np.float32
    assert np.abs(out - x.astype(np.float64) / 255).max() < 1e-6


def test_one_mean_serves_every_channel() -> None:
    assert Preprocessing(mean=(1.0,)).apply(np.ones((1, 2, 2, 3))).sum() == 0


@pytest.mark.parametrize(("text", "value"), [("1/255", 1 / 255), ("0.5", 0.5), ("-2", -2.0), ("2/ 4", 0.5)])
def test_scales_are_numbers_or_fractions(text: str, value: float) -> None:
    assert parse_scale(text) == value


@pytest.mark.parametrize("text", ["", "half", "1/0", "0", "1/2/3", "nan", "inf"])
def test_other_scales_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"scale must be a number or a fraction such as 1/255, not 0, got"):
        parse_scale(text)


def test_numbers_come_separated_by_commas() -> None:
    assert parse_numbers("0.485, 0.456,0.406", "mean") == (0.485, 0.456, 0.406)
    with pytest.raises(UsageError, match="std must be numbers separated by commas, got '1,x'"):
        parse_numbers("1,x", "std")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 0.0}, "scale must be a finite number other than 0, got 0.0"),
        ({"scale": float("inf")}, "scale must be a finite number other than 0, got inf"),
        ({"mean": (float("nan"),)}, "mean must be finite numbers"),
        ({"std": (1.0, 0.0)}, "std must be finite numbers above 0"),
        ({"mean": (1.0, 2.0), "std": (1.0, 2.0, 3.0)}, "mean and std must be as long as each other, got 2 and 3"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Preprocessing(**settings)  # type: ignore[arg-type]  # wrong on purpose


def test_mean_of_another_length_than_the_channels_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"mean must have 1 value or one for each of the 1 channels \(last axis\), got 3"
    ):
        Preprocessing(mean=(1.0, 2.0, 3.0)).apply(np.ones((2, 4, 4, 1)))


def test_a_function_of_the_working_directory_is_applied_last(module_here: str) -> None:
    out = Preprocessing(scale=0.5, function=f"{module_here}:double").apply(np.array([1, 3], np.uint8))
    assert out.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("drop_one", "must give as many samples as it gets: 3, got 2"),
        ("number", "must give as many samples as it gets: 3, got one number"),
        ("fail", r"failed on a batch of shape \(3, 2\): KeyError: 'lost'"),
        ("halve", "has no function 'halve'; it has double, drop_one, fail, number"),
        ("constant", "has no function 'constant'"),
    ],
)
def test_a_function_that_does_not_do_its_work_is_refused(module_here: str, function: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preprocessing(function=f"{module_here}:{function}").apply(np.ones((3, 2)))


def test_check_tells_a_missing_module_before_any_work() -> None:
    with pytest.raises(DataError, match="module 'no_such_module_anywhere' cannot be imported: ModuleNotFoundError"):
        Preprocessing(function="no_such_module_anywhere:f").check()


@pytest.mark.parametrize("reference", ["f", "module:", ":f"])
def test_a_reference_that_is_not_module_and_function_is_refused(reference: str) -> None:
    with pytest.raises(DataError, match="data must be module:function, got"):
        import_function(reference, "data")


def test_the_report_says_what_was_done() -> None:
    plain = Preprocessing(scale=0.5, mean=(1.0,)).to_dict()
    assert plain == {"scale": 0.5, "mean": [1.0], "std": [], "function": None}
