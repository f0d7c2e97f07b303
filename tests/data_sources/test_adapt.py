from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.data.adapt import Adapter
from tfcompress.data.coding import coders_for
from tfcompress.data.preprocessing import Preprocessing
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec


def adapter(*inputs: tuple[str, tuple[int | None, ...], str], outputs: int = 1, **preprocessing: Any) -> Adapter:
    signature = Signature(
        tuple(TensorSpec(*given) for given in inputs),
        tuple(TensorSpec(f"out{number}", (2,), "float32") for number in range(outputs)),
    )
    return Adapter(signature, Preprocessing(**preprocessing), "x_train", "y_train", {})


def test_pixels_keep_their_values_when_they_become_floats() -> None:
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    out = adapter(("image", (2, 2, 3), "float32")).inputs({"": x})["image"]
    assert out.dtype == np.float32
    assert np.array_equal(out, x)


def test_a_missing_axis_of_one_channel_is_added_and_noted() -> None:
    fits = adapter(("image", (28, 28, 1), "float32"))
    stored = {"": np.zeros((5, 28, 28), np.uint8)}
    assert fits.inputs(stored)["image"].shape == (5, 28, 28, 1)
    assert fits.notes(stored) == ["x_train: an axis of 1 channel was added"]
    assert fits.notes({"": np.zeros((5, 28, 28, 1))}) == []


@pytest.mark.parametrize(
    ("shape", "wanted", "message"),
    [
        (
            (28, 28),
            (32, 32, 3),
            r"x_train has shape \(28, 28\) .*input 'image' wants \(32, 32, 3\); grey images for a colour",
        ),
        ((3, 32, 32), (32, 32, 3), r"the channels come first: transpose to \(height, width, channels\)"),
        ((64, 64, 3), (32, 32, 3), "resize the images to the model's input"),
        ((28, 28), (784,), r"as many values: reshape to \(784,\)"),
        ((3,), (4,), "reshape the data, or give a preprocessing function that does"),
    ],
)
def test_another_shape_is_refused_with_the_mend(shape: tuple[int, ...], wanted: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        adapter(("image", wanted, "float32")).inputs({"": np.zeros((1, *shape), np.uint8)})


def test_any_size_is_welcome_where_the_model_says_none() -> None:
    fits = adapter(("image", (None, None, 3), "float32"))
    assert fits.inputs({"": np.zeros((1, 7, 9, 3))})["image"].shape == (1, 7, 9, 3)


def test_the_shape_after_preprocessing_counts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crop_for_adapt.py").write_text("def crop(x): return x[:, :2]\n")
    monkeypatch.syspath_prepend(tmp_path)
    fits = adapter(("v", (3,), "float32"), function="crop_for_adapt:crop")
    with pytest.raises(DataError, match=r"x_train has shape \(4,\) \(\(2,\) after preprocessing\) for each sample"):
        fits.inputs({"": np.zeros((1, 4))})


def test_inputs_go_by_name_when_there_are_several() -> None:
    fits = adapter(("a", (2,), "float32"), ("b", (1,), "int32"))
    out = fits.inputs({"b": np.array([[7]]), "a": np.array([[1, 2]]), "c": np.array([0])})
    assert {name: part.tolist() for name, part in out.items()} == {"a": [[1, 2]], "b": [[7]]}
    notes = fits.notes({"b": np.array([[7]]), "a": np.array([[1, 2]]), "c": np.array([0])})
    assert notes == ["x_train.c: not an input of the model, ignored"]


def test_a_missing_input_is_named() -> None:
    fits = adapter(("a", (2,), "float32"), ("b", (1,), "int32"))
    with pytest.raises(DataError, match=r"inputs are a, b; the data has a; give x_train\.b"):
        fits.inputs({"a": np.zeros((1, 2))})
    with pytest.raises(DataError, match=r"the data has one unnamed array, x_train; give x_train\.a, x_train\.b"):
        fits.inputs({"": np.zeros((1, 2))})


def test_preprocessing_leaves_integer_inputs_beside_floats_alone() -> None:
    fits = adapter(("image", (1,), "float32"), ("token", (1,), "int32"), scale=0.5)
    out = fits.inputs({"image": np.array([[3]]), "token": np.array([[3]])})
    assert out["image"].tolist() == [[1.5]]
    assert out["token"].tolist() == [[3]]


@pytest.mark.parametrize(
    ("x", "dtype", "message"),
    [
        ([[1.5]], "int32", "x_train holds 1.5, the model's input 'v' wants int32; give whole numbers in its range$"),
        ([[300]], "uint8", "x_train holds 300, .* wants uint8"),
        ([[-1]], "uint8", "x_train holds -1"),
        ([["a"]], "float32", "x_train has dtype <U1, the model's input 'v' wants float32"),
    ],
)
def test_values_that_the_models_dtype_cannot_hold_are_refused(x: Any, dtype: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        adapter(("v", (1,), dtype)).inputs({"": np.array(x)})


def test_scaled_values_for_an_integer_input_are_refused() -> None:
    with pytest.raises(DataError, match="give whole numbers in its range, without preprocessing"):
        adapter(("v", (1,), "int32"), scale=0.5).inputs({"": np.array([[1]])})


def test_whole_floats_may_feed_an_integer_input() -> None:
    assert adapter(("v", (1,), "int32")).inputs({"": np.array([[3.0]])})["v"].dtype == np.int32


def test_labels_are_an_array_for_one_output_and_go_by_name_for_several() -> None:
    one, two = adapter(("v", (1,), "float32")), adapter(("v", (1,), "float32"), outputs=2)
    y = np.array([0, 1])
    rows = np.arange(2)
    fitted = one.with_coders(coders_for({"train": (one, y)})["train"])
    assert {name: task.name for name, task in fitted.tasks.items()} == {"out0": "classification"}
    assert np.array_equal(fitted.labels(y, rows), y)  # type: ignore[arg-type]  # an array, as the model has one output
    named = {"out1": y}
    assert set(two.with_coders(coders_for({"train": (two, named)})["train"]).labels(named, rows) or ()) == {"out1"}
    assert fitted.labels(None, rows) is None
    assert coders_for({"train": (one, None)}) == {"train": {}}


def test_labels_for_several_outputs_need_names() -> None:
    two = adapter(("v", (1,), "float32"), outputs=2)
    with pytest.raises(
        DataError, match=r"has 2 outputs, so labels need their names: give y_train\.out0, y_train\.out1"
    ):
        coders_for({"train": (two, np.array([0]))})
    with pytest.raises(DataError, match=r"y_train\.other is no output of the model; its outputs are out0, out1"):
        coders_for({"train": (two, {"other": np.array([0])})})
