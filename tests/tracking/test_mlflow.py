"""Runs in a folder, read back by MLflow's own client, and the model by MLflow's own loader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tflite.make_files import FOLDER as FILES
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.interpret import InterpreterProcess, signature_of_file
from tfcompress.tracking.tracker import TensorForm, TrackedEnd, TrackedStart

mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")

pytestmark = [
    pytest.mark.slow,
    # MLflow's own, of packages that it uses
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Follow a run with a part, as a user without any environment of MLflow's; return folder and client."""
    from tfcompress.tracking.mlflow import MLflow

    folder = tmp_path_factory.mktemp("mlflow")
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        pytest.skip(f"{name} is set")
    report = folder / "report.json"
    report.write_text("{}")
    run = MLflow(str(folder / "runs")).begin(
        TrackedStart(name="net-int8", settings={"train.epochs": 2}, recipe="a = 1")
    )
    run.log({"training/loss": 0.5, "sparsity/conv2d (a)": 0.5}, 1)
    run.log({"training/loss": 0.25}, 2)
    run.child(TrackedStart(name="001-int8", parent="net-int8")).end(TrackedEnd(outcome="interrupted", reason="a gate"))
    model = FILES / "none.tflite"
    ends = signature_of_file(read_model_file(model.read_bytes()))
    run.end(
        TrackedEnd(
            figures={"result/size_bytes": 1000.0},
            files={model.name: model, "report.json": report},
            model=model.name,
            inputs=tuple(TensorForm(name=spec.name, shape=spec.shape, dtype=spec.dtype) for spec in ends.inputs),
            outputs=tuple(TensorForm(name=spec.name, shape=spec.shape, dtype=spec.dtype) for spec in ends.outputs),
        )
    )
    return folder / "runs", mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/runs/mlflow.db")


def runs_of(client: Any) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("tfcompress")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_parameters_metrics_files_and_states_are_read_back(kept: tuple[Path, Any]) -> None:
    _, client = kept
    runs = runs_of(client)
    run, part = runs["net-int8"], runs["001-int8"]
    assert run.data.params == {"train.epochs": "2"}
    assert run.data.metrics == {"training/loss": 0.25, "sparsity/conv2d _a_": 0.5, "result/size_bytes": 1000.0}
    losses = client.get_metric_history(run.info.run_id, "training/loss")
    assert [(metric.step, metric.value) for metric in losses] == [(1, 0.5), (2, 0.25)]
    paths = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert paths == {"recipe.toml", "report.json", "none.tflite", "model"}
    assert (run.info.status, part.info.status) == ("FINISHED", "KILLED")
    assert part.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert part.data.tags["tfcompress.reason"] == "a gate"


def test_nothing_is_written_elsewhere_and_the_users_own_run_is_left_alone(kept: tuple[Path, Any]) -> None:
    folder, _ = kept
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", "artifacts"}
    assert mlflow.active_run() is None


def test_the_model_has_its_signature_and_answers_as_the_file_does(kept: tuple[Path, Any]) -> None:
    folder, client = kept
    place = f"{runs_of(client)['net-int8'].info.artifact_uri}/model"
    loaded = mlflow.pyfunc.load_model(place)
    schema = loaded.metadata.signature.inputs
    (spec,) = schema.inputs
    content = (FILES / "none.tflite").read_bytes()
    wanted = signature_of_file(read_model_file(content)).inputs[0]
    assert (spec.name, spec.shape, spec.type) == (wanted.name, (-1, *wanted.shape), np.dtype("float32"))
    x = np.random.default_rng(0).random((2, *wanted.shape), dtype=np.float32)
    with InterpreterProcess(content) as process:
        expected = process.run({wanted.name: x})
    found = loaded.predict({wanted.name: x})
    assert {name: values.tolist() for name, values in found.items()} == {n: v.tolist() for n, v in expected.items()}
    assert folder in Path(place.removeprefix("file://")).parents
