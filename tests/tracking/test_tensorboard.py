"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfcompress.tracking.tracker import TrackedEnd, TrackedStart

pytest.importorskip("tensorboard", reason="needs the extra tensorboard")

START = TrackedStart(name="net-int8", settings={"prune.sparsity": 0.5, "export.quantize": "int8"}, recipe="a = 1")


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def test_scalars_text_and_hyperparameters_are_read_back(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.metadata import PLUGIN_NAME

    from tfcompress.tracking.tensorboard import TensorBoard

    tracker = TensorBoard(str(tmp_path / "runs"))
    run = tracker.begin(START)
    run.log({"training/loss": 0.5, "sparsity/conv": 0.25}, 1)
    run.log({"training/loss": 0.25, "sparsity/conv": 0.5}, 2)
    run.end(TrackedEnd(figures={"result/size_bytes": 1000.0}))
    found = read(tmp_path / "runs" / "net-int8")
    rows = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert rows == {
        "training/loss": [(1, 0.5), (2, 0.25)],
        "sparsity/conv": [(1, 0.25), (2, 0.5)],
        "result/size_bytes": [(2, 1000.0)],
    }
    assert found.Tensors("recipe")[0].tensor_proto.string_val == [b"    a = 1"]
    told = found.PluginTagToContent(PLUGIN_NAME)
    assert set(told) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    assert b"prune.sparsity" in told["_hparams_/session_start_info"]


def test_runs_of_one_name_and_parts_of_a_run_have_folders_of_their_own(tmp_path: Path) -> None:
    from tfcompress.tracking.tensorboard import TensorBoard

    tracker = TensorBoard(str(tmp_path))
    first, second = tracker.begin(START), tracker.begin(START)
    part = first.child(TrackedStart(name="001/int8"))
    for run in (part, first, second):
        run.end(TrackedEnd(outcome="failed", reason="it lost too much"))
    folders = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("events.*")}
    assert folders == {"net-int8", "net-int8-2", "net-int8/001_int8"}
    assert read(tmp_path / "net-int8-2").Tensors("failed")[0].tensor_proto.string_val == [b"it lost too much"]
