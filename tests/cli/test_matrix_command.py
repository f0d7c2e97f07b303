"""``tfcompress matrix``: what it prints, its exit code, and one that is really run."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest

from tests.cli.asked import Calls, asked_by, assert_does_something, options_of
from tfcompress.cli.main import run_command
from tfcompress.errors import CellError, UsageError
from tfcompress.reports.matrix_record import MatrixRecord


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("model.h5", "conv*", "other.npz"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("option", options_of("matrix"), ids=lambda option: option.name)
def test_every_option_of_matrix(
    option: click.Option, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = Calls(monkeypatch)
    calls.replace("tfcompress.data.sources.load_data", "the data")

    class Run:
        """Stands in for the matrix: opens the data of every pair, and tells what it was given."""

        def __init__(self, **more) -> None:
            self.more = more
            data = [self.more["open_data"](pair.data) for pair in more["pairs"] if pair.data]
            calls.recorder("matrix")(
                **{key: str(value) for key, value in more.items() if key != "open_data"}, data=data
            )

        def record(self) -> MatrixRecord:
            return MatrixRecord(tool_version="1", cells=())

    monkeypatch.setattr("tfcompress.search.generality.MatrixRun", Run)
    words = ["matrix", "int8", "qat-int8", "--on", "model.h5:x.npz"]
    assert_does_something(option, words, lambda typed: asked_by(typed, calls, capfd))


def test_an_option_about_data_without_any_is_refused(here: Path) -> None:
    from tfcompress.cli.main import group

    with pytest.raises(UsageError, match="--scale says something about data, but no --on has any"):
        group.main(["matrix", "dynamic", "--on", "model.h5", "--scale", "1/255"], standalone_mode=False)


def test_a_flag_of_training_is_refused_before_any_work_where_no_recipe_trains(here: Path) -> None:
    from tfcompress.cli.main import group

    words = ["matrix", "int8", "float16", "--on", "model.h5:x.npz", "--epochs", "3"]
    with pytest.raises(UsageError, match="--epochs would do nothing: no RECIPE has a stage that is trained"):
        group.main(words, standalone_mode=False)
    assert not (here / "matrix").exists()


@pytest.mark.slow
def test_cells_are_made_kept_and_told_where_they_fail(
    here: Path, capfd: pytest.CaptureFixture[str], keras: object
) -> None:
    from tests.tflite.make_files import cnn

    rng = np.random.default_rng(0)
    cnn(keras).save(here / "net.keras")
    for name, samples in (("few.npz", 20), ("more.npz", 30)):
        images = rng.random((samples, 8, 8, 3), dtype=np.float32)
        np.savez(here / name, x_test=images, y_test=np.arange(samples) % 10)
    words = ["matrix", "float16", "--on", "net.keras:few.npz", "--on", "net.keras:more.npz"]
    assert run_command(words) == 0
    shown = capfd.readouterr().out
    assert "net.keras:few.npz" in shown
    assert "size of the file" in shown
    reports = [here / "matrix" / f"net-{name}" / "float16" / "report.json" for name in ("few", "more")]
    before = [path.stat().st_mtime_ns for path in reports]
    assert run_command([*words, "--on", "model.h5:few.npz", "--json"]) == CellError.exit_code
    streams = capfd.readouterr()
    found = json.loads(streams.out)
    assert [cell["kept"] for cell in found["cells"]] == [True, True, False]
    assert "1 of 3 cells failed, first float16 on model.h5:few.npz: " in streams.err
    assert [path.stat().st_mtime_ns for path in reports] == before
    sizes = {each["metric"]: each["cells"] for each in found["summaries"]}
    assert sizes["size_ratio"] == sizes["accuracy_loss"] == 2
