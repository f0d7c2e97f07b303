from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcompress.errors import DataError, UsageError
from tfcompress.tasks.labelling import Labelling, labelling_of
from tfcompress.tasks.metric import KERAS_METRICS, metric_of
from tfcompress.tasks.task_table import TASKS, check_said, named_task, said_task

MINE = """
from tfcompress.tasks.regression import Regression


def furthest(outputs, labels):
    return abs(outputs - labels).max()


furthest.better = "lower"
furthest.unit = "label"


class Interval(Regression):
    name = "interval"
    heeds = ("windows_of",)


interval = Interval()
number = 7
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "tasks_for_metric.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "tasks_for_metric"


def test_a_function_says_by_its_attributes_which_way_is_better(mine: str) -> None:
    metric = metric_of(f"{mine}:furthest")
    assert (metric.name, metric.kind.better, metric.kind.unit) == ("furthest", "lower", "label")
    assert metric.function is not None
    assert metric.function(np.array([1.0, 5.0]), np.array([1.0, 2.0])) == 3.0
    assert metric_of(lambda outputs, labels: 1.0).kind.better == "higher"


@pytest.mark.parametrize("name", KERAS_METRICS)
def test_every_metric_of_keras_that_is_offered_is_there(name: str, keras: Any) -> None:
    from tfcompress.models.keras_metric import KerasMetric

    classes = KERAS_METRICS[name].wants == "classes"
    labels, outputs = np.array([1, 0]), np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    metric = KerasMetric(name)
    metric.add(outputs, labels if classes else np.eye(2, dtype=np.float32)[labels])
    assert np.isfinite(metric.value())


@pytest.mark.parametrize(
    ("name", "labels", "output"),
    [("SparseCategoricalCrossentropy", (4,), (4,)), ("Precision", (), (3,)), ("MeanSquaredError", (2,), (3,))],
)
def test_a_metric_that_cannot_compare_such_shapes_is_refused(name: str, labels: Any, output: Any) -> None:
    with pytest.raises(DataError, match=f"--metric {name} compares .*; output 'out' has shape"):
        metric_of(name).check_shapes(labels, output, "out")


def test_metrics_that_can_compare_are_not(mine: str) -> None:
    metric_of("SparseCategoricalCrossentropy").check_shapes((), (3,), "out")
    metric_of("Precision").check_shapes((1,), (), "out")
    metric_of(f"{mine}:furthest").check_shapes((), (3,), "out")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"task": "segmentatoin"}, "--task must be one of .* or module:object, got 'segmentatoin'"),
        ({"task": "clasification"}, r"got 'clasification' \(did you mean 'classification'\?\)"),
        ({"task": "absent_module:x"}, "--task 'absent_module:x': module 'absent_module' cannot be imported"),
        ({"task": "tasks_for_metric:intervall"}, "has no object 'intervall'; it has Interval, Regression, furthest"),
        ({"task": "tasks_for_metric:number"}, "must be a tfcompress.tasks.task.Task .* got int"),
        ({"metrics": "Precison"}, r"got 'Precison' \(did you mean 'Precision'\?\)"),
        ({"metrics": "top5"}, "got 'top5', which the task reports anyway where it has it; --main-metric"),
        ({"metrics": "tasks_for_metric:number"}, "must be a function|has no"),
        ({"main_metric": "rsme"}, r"must be a figure of the task or a --metric, got 'rsme' \(did you mean 'rmse'\?\)"),
        ({"task": "regression", "windows_of": 4}, "--windows-of would do nothing for regression"),
        ({"task": "regression", "ignore_label": 4}, "--ignore-label would do nothing for regression"),
    ],
)
def test_mistakes_are_told_before_there_is_a_model(said: dict[str, Any], line: str, mine: str) -> None:
    with pytest.raises(UsageError, match=line):
        check_said(labelling_of(**said))


def test_tasks_are_named_or_handed_over(mine: str) -> None:
    interval = named_task(f"{mine}:interval")
    assert named_task(interval) is interval
    assert named_task(type(interval)).name == named_task(f"{mine}:Interval").name == "interval"
    labelling = labelling_of(task={"size": interval, "kind": "classification"}, windows_of=2)
    assert said_task(labelling, "size") is interval
    assert said_task(labelling, "kind") is TASKS["classification"]
    assert said_task(Labelling(), "size") is None
