from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.tasks.task_table import TASKS, at_chance, read_score, read_scores, task_of_outputs, trained_by
from tfcompress.tasks.traits import OutputTraits

PACKAGE = Path(__file__).parents[2] / "tfcompress"


def test_the_table_has_each_task_by_its_name() -> None:
    names = [
        "autoencoder",
        "tokens",
        "segmentation",
        "classification",
        "binary",
        "multi-label",
        "embedding",
        "regression",
    ]
    assert list(TASKS) == names
    assert all(task.name == name for name, task in TASKS.items())


@pytest.mark.parametrize("name", TASKS)
def test_no_module_outside_knows_a_task_by_name(name: str) -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if "tasks" not in path.relative_to(PACKAGE).parts]
    assert len(modules) > 100
    spelt = [str(p) for p in modules if f'"{name}"' in p.read_text("utf-8") or f"'{name}'" in p.read_text("utf-8")]
    assert spelt == []


@pytest.mark.parametrize(
    ("loss", "task"),
    [
        ("sparse_categorical_crossentropy", "classification"),
        ("CategoricalFocalCrossentropy", "classification"),
        ("binary_crossentropy", "binary"),
        ("binary_focal_crossentropy", "binary"),
        ("cosine_similarity", "embedding"),
        ("mean_squared_error", "regression"),
        ("", "regression"),
    ],
)
def test_a_loss_says_what_its_outputs_are(loss: str, task: str) -> None:
    assert trained_by(loss) is TASKS[task]


def test_tasks_that_only_the_device_knows_keep_their_figures() -> None:
    found = read_score({"task": "segmentation", "samples": 3, "mean_iou": 0.9, "top1": None, "mae": None})
    assert (found.task, found.main, found.main_figure.value) == ("segmentation", "mean_iou", 0.9)
    found = read_score({"task": "autoencoder", "samples": 3, "auc": 0.7, "mae": 0.1, "rmse": 0.2})
    assert (found.main, list(found.figures)) == ("auc", ["auc"])
    found = read_score({"task": "poetry", "samples": 3, "auc": 0.3, "mae": 0.1})
    assert (found.main, list(found.figures)) == ("auc", ["auc", "mae"])
    assert at_chance(found) is None


def test_a_figure_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="a figure must be a number, got 'much'"):
        read_score({"task": "regression", "samples": 1, "mae": "much"})


def test_importing_the_tasks_imports_nothing_heavy() -> None:
    heavy = ("numpy", "keras", "tensorflow")
    script = f"import sys, tfcompress.tasks.task_table; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def counted(task: str, **figures: Any) -> dict[str, Any]:
    return {"task": task, "samples": 9, **figures}


def test_a_devices_outputs_are_one_score_whose_main_output_and_figure_are_those_of_the_desk() -> None:
    outputs = {"kind": counted("classification", top1=0.5), "size": counted("regression", mae=2.0, rmse=3.0)}
    alone = read_scores(outputs)
    assert alone is not None
    assert (list(alone.outputs), alone.main) == (["kind", "size"], "top1")
    desk = read_scores({"size": outputs["size"], "kind": outputs["kind"]})
    assert desk is not None
    like = dataclasses.replace(desk, main="rmse")
    found = read_scores(outputs, like)
    assert found is not None
    assert (list(found.outputs), found.main, found.main_figure.value) == (["size", "kind"], "rmse", 3.0)
    assert read_scores({}) is None
    single = read_scores({"kind": outputs["kind"]})
    assert single is not None
    assert single.outputs == {}


@pytest.mark.parametrize(("inputs", "task"), [({"x": (6, 6, 1)}, None), ({"x": (6, 6, 3)}, "segmentation")])
def test_what_a_model_reconstructs_of_its_input_is_no_answer(inputs: dict[str, Any], task: str | None) -> None:
    pictures = np.random.default_rng(0).random((40, 6, 6, 1)).astype(np.float32)
    pictures[:, :3] = 0
    traits = OutputTraits(activation="sigmoid", loss="BinaryCrossentropy")
    meant = task_of_outputs(pictures, (6, 6, 1), inputs, traits=traits)
    assert (meant and meant.name) == task


def test_a_mask_that_was_resized_is_no_picture() -> None:
    masks = np.repeat(np.arange(2.0), 18).reshape(1, 6, 6, 1).repeat(40, axis=0)
    masks[:, 2, :2, 0] = np.random.default_rng(0).random((40, 2))
    traits = OutputTraits(activation="sigmoid", loss="BinaryCrossentropy")
    meant = task_of_outputs(masks, (6, 6, 1), {"x": (6, 6, 1)}, traits=traits)
    assert meant is not None
    assert meant.name == "segmentation"
