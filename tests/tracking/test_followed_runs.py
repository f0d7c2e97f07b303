"""Real runs, followed: by compress, and by somebody's own fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcompress as tfc
from tests.engines.tiny_networks import compile_, dense, fit_, vectors
from tests.tracking.recorder import Record, Recorder
from tfcompress.errors import ContractError
from tfcompress.job import Job
from tfcompress.reports.report import Report
from tfcompress.tracking import epoch_values

pytestmark = pytest.mark.slow

RECIPE = tfc.Recipe(
    stages=(tfc.Prune(sparsity=0.5), tfc.QAT()),
    train=tfc.Train(epochs=2, batch_size=8),
    export=tfc.Export(quantize="int8"),
)


@pytest.fixture(scope="module")
def run(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Report, list[str]]:
    """Run a recipe with a tracker that keeps everything and one that fails at the first epoch."""
    recorder, failing = Recorder(), Recorder("log")
    x, y = vectors()
    notes: list[str] = []

    class Notes:
        def task(self, name: str, total: float | None = None) -> Any:
            from tfcompress.progress import SILENT

            return SILENT.task(name, total)

        def note(self, text: str) -> None:
            notes.append(text)

    model = compile_(keras, dense(keras))
    model.fit(x, y, epochs=5, verbose=0)
    folder = tmp_path_factory.mktemp("run") / "out"
    data = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    found = tfc.compress(model, RECIPE, data, output=folder, trackers=[failing, recorder], progress=Notes())
    (record,) = recorder.runs
    return record, found.report, notes


def test_a_tracker_that_fails_costs_a_line_and_nothing_else(run: tuple[Record, Report, list[str]]) -> None:
    _, report, notes = run
    assert sum("recorder follows no further" in note for note in notes) == 1
    assert report.training is not None
    assert report.training.epochs == 2


def test_each_epoch_tells_losses_sparsity_and_ranges(run: tuple[Record, Report, list[str]]) -> None:
    record, report, _ = run
    assert sorted(record.rows) == [1, 2]
    assert report.training is not None
    losses = report.training.history["loss"]
    assert tuple(record.rows[step]["training/loss"] for step in (1, 2)) == losses
    last = record.rows[2]
    zeros = {name: value for name, value in last.items() if name.startswith("sparsity/")}
    assert sorted(zeros) == ["sparsity/a", "sparsity/b"]
    assert min(zeros.values()) >= 0.5
    lows = {name.removesuffix("/low"): value for name, value in last.items() if name.endswith("/low")}
    assert lows
    assert all(low < last[f"{name}/high"] for name, low in lows.items())


def test_the_end_has_figures_files_and_what_goes_in_and_out(run: tuple[Record, Report, list[str]]) -> None:
    record, report, _ = run
    (end,) = record.ends
    assert end.outcome == "finished"
    assert end.figures["result/size_bytes"] == report.result.size_bytes == record.file_sizes[end.model]
    assert set(end.files) == {report.result.name, "report.json", "report.html", "recipe.toml"}
    assert [(form.shape, form.dtype) for form in end.inputs] == [((16,), "float32")]
    assert [form.shape for form in end.outputs] == [(3,)]
    assert record.start.settings["prune.sparsity"] == 0.5


def test_a_run_without_output_has_its_file_for_trackers_all_the_same_and_one_that_fails_says_why(keras: Any) -> None:
    recorder = Recorder()
    model = dense(keras)
    with tfc.Workbench(model, progress=False, trackers=[recorder]) as bench:
        result = bench.run(tfc.Recipe())
        with pytest.raises(ContractError):
            bench.run(tfc.Recipe(), examine=refuse)
    first, second = recorder.runs
    assert first.file_sizes[result.report.result.name] == result.tflite.size_bytes
    assert [end.reason for end in second.ends] == ["not what was asked for"]


def refuse(result: tfc.Result) -> Report:
    msg = "not what was asked for"
    raise ContractError(msg)


def test_somebodys_own_fit_is_a_run_each_time(keras: Any) -> None:
    recorder = Recorder()
    x, y = vectors()
    job = tfc.attach(dense(keras), tfc.Prune(sparsity=0.5), trackers=[recorder])
    fit_(keras, job, (x, y), validation_split=0.25)
    (run,) = recorder.runs
    assert sorted(run.rows) == [1, 2]
    assert {"training/loss", "training/val_loss", "sparsity/a"} <= set(run.rows[2])
    assert run.rows[2]["sparsity/a"] >= 0.5
    assert run.start.settings["fit.epochs"] == 2
    assert len(run.ends) == 1


def test_a_metric_with_a_number_for_each_class_ends_nobodys_fit(keras: Any) -> None:
    recorder = Recorder()
    x, y = vectors()
    job = tfc.attach(dense(keras), tfc.Prune(sparsity=0.5), trackers=[recorder])
    job.model.compile("adam", "categorical_crossentropy", metrics=[keras.metrics.F1Score(average=None)])
    job.model.fit(x, np.eye(3, dtype="float32")[y], epochs=1, verbose=0, callbacks=job.callbacks)
    (run,) = recorder.runs
    assert [name for name in run.rows[1] if name.startswith("training/")] == ["training/loss"]


def test_a_fit_that_was_ended_by_an_exception_is_interrupted_when_the_next_one_begins(keras: Any) -> None:
    class CtrlC(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    recorder = Recorder()
    x, y = vectors()
    job = tfc.attach(dense(keras), tfc.Prune(sparsity=0.5), trackers=[recorder])
    compile_(keras, job.model)
    with pytest.raises(KeyboardInterrupt):
        job.model.fit(x, y, epochs=1, verbose=0, callbacks=[*job.callbacks, CtrlC()])
    job.model.fit(x, y, epochs=1, verbose=0, callbacks=job.callbacks)
    assert [[end.outcome for end in run.ends] for run in recorder.runs] == [["interrupted"], ["finished"]]


def test_a_teacher_and_the_task_are_told_apart(keras: Any) -> None:
    recorder = Recorder()
    job = tfc.attach(dense(keras), tfc.Distill(weight=0.5), trackers=[recorder])
    fit_(keras, job, vectors())
    row = recorder.runs[0].rows[2]
    assert np.isclose(row["loss/task"] + row["loss/teacher"], row["training/loss"], rtol=1e-3)


def test_ranges_of_tfmot_have_names_and_grow_to_what_they_see(tf_keras: Any) -> None:
    recorder = Recorder()
    job = tfc.attach(dense(tf_keras), tfc.QAT(engine="tfmot"), trackers=[recorder])
    fit_(tf_keras, job, vectors())
    row = recorder.runs[0].rows[2]
    lows = [name for name in row if name.startswith("range/") and name.endswith("/low")]
    assert len(lows) >= 2
    assert all(row[name] <= row[f"{name.removesuffix('low')}high"] for name in lows)


def test_trackers_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(tfc.UsageError, match="--track must be NAME"):
        tfc.compress(tmp_path / "no.keras", "int8", trackers=["tensorbord"])


def test_a_run_that_nobody_follows_looks_at_no_kernel_between_epochs(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []
    monkeypatch.setattr(epoch_values, "reached", lambda job: asked.append(job) or {})
    x, y = vectors()
    data = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    recipe = tfc.Recipe(stages=(tfc.Prune(sparsity=0.5),), train=tfc.Train(epochs=2, batch_size=8))
    tfc.compress(dense(keras), recipe, data, trackers=[Recorder("begin")], progress=False)
    assert asked == []
