from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.data.sources import load_data
from tfcompress.errors import DataError
from tfcompress.models.specs import Signature, TensorSpec
from tfcompress.tasks.labelling import UNSAID

X = np.zeros((6, 4, 4, 1), np.float32)
MAPS = np.array([0, 1, 2, 0, 1, 7]).repeat(16).reshape(6, 4, 4)


def signature(*outputs: tuple[str, tuple[int, ...]]) -> Signature:
    specs = tuple(TensorSpec(name, shape, "float32") for name, shape in outputs)
    return Signature((TensorSpec("image", (4, 4, 1), "float32"),), specs)


def test_the_samples_for_a_device_say_their_task_and_its_settings_to_the_desk_too(tmp_path: Path) -> None:
    data = load_data({"x_test": X, "y_test": MAPS}, task="segmentation", ignore_label=7)
    data.bind(signature(("map", (4, 4, 3)))).write_for_runner(tmp_path / "samples.npz", None)
    again = load_data(tmp_path / "samples.npz")
    assert (again.labelling.task, again.labelling.ignore_label) == (("segmentation",), 7)
    bound = again.bind(signature(("another_name", (4, 4, 3))), holdout=None)
    assert [task.name for task in bound.tasks.values()] == ["segmentation"]


def test_each_of_several_outputs_has_its_own(tmp_path: Path) -> None:
    labels = {"y_test.tags": np.eye(3)[np.arange(6) % 3], "y_test.size": np.arange(6.0) / 4}
    data = load_data({"x_test": X, **labels}, task={"tags": "multi-label"})
    outputs = signature(("tags", (3,)), ("size", (1,)))
    data.bind(outputs).write_for_runner(tmp_path / "samples.npz", None)
    bound = load_data(tmp_path / "samples.npz").bind(outputs, holdout=None)
    assert {name: task.name for name, task in bound.tasks.items()} == {"tags": "multi-label", "size": "regression"}


def test_what_the_user_says_goes_before_what_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"out": {"task": "multi-label"}}))
    assert load_data(path).labelling.task == ("multi-label",)
    assert load_data(path, task="regression").labelling.task == ("regression",)
    kept = load_data(path, main_metric="micro_f1").labelling
    assert (kept.task, kept.main_metric) == (("multi-label",), "micro_f1")


def test_a_task_of_the_users_own_has_to_be_said_again(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"out": {"task": "detector", "options": {"ignore_label": 3}}}))
    assert load_data(path).labelling == UNSAID


@pytest.mark.parametrize("value", [np.arange(6), np.array(["a", "b", "c", "d", "e", "f"]), np.float32(3)])
def test_an_array_that_happens_to_be_called_task_is_left_alone(value: Any, tmp_path: Path) -> None:
    assert load_data(written(tmp_path, value)).labelling == UNSAID


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[1]", '{"out": 3}', '{"out": {"options": {}}}', "[" * 100_000, "x" * 2_000_000]
)
def test_what_is_no_such_text_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="task") as refusal:
        load_data(written(tmp_path, text))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def written(folder: Path, told: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, x=X, y=np.eye(3)[np.arange(6) % 3], task=told)
    return path
