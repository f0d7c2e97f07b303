"""Trackers by name: what is refused, and that nothing is imported before it is asked for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.test_light_imports import loaded_by
from tests.tracking.recorder import Recorder
from tfcompress.cli.main import run_command
from tfcompress.errors import MissingDependencyError, OutputError, UsageError
from tfcompress.tracking import tracker_table
from tfcompress.tracking.tracker_table import TRACKERS, TrackerChoice, check_trackers, open_trackers, read_tracker


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mlflow", ("mlflow", "")),
        ("tensorboard:my/runs", ("tensorboard", "my/runs")),
        ("mlflow:http://host:5000", ("mlflow", "http://host:5000")),
    ],
)
def test_a_name_and_a_place_are_read(text: str, found: tuple[str, str]) -> None:
    assert read_tracker(text) == found


@pytest.mark.parametrize("text", ["mlflo", "", ":runs", "wandb:"])
def test_what_is_no_tracker_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"--track must be NAME or NAME:WHERE with NAME one of tensorboard, mlflow, wa"
    ):
        read_tracker(text)


def test_the_nearest_name_is_said() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'mlflow'"):
        read_tracker("mlflw:runs")


def test_the_same_tracker_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_table, "find_spec", lambda name: name)
    with pytest.raises(UsageError, match="--track wandb is given twice"):
        check_trackers(["wandb", "mlflow", "wandb"])
    check_trackers(["mlflow:here", "mlflow:there"])


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_missing_is_one_line_before_any_work(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracker_table, "find_spec", lambda package: None)
    monkeypatch.chdir(tmp_path)
    for words in (["export", "no.keras"], ["auto", "no.keras", "--data", "no.npz", "--trials", "1"]):
        assert run_command([*words, "--track", name]) == MissingDependencyError.exit_code
        line = f"tfcompress: --track {name} needs a package that is not installed: pip install 'tfcompress[{name}]'\n"
        assert capfd.readouterr().err == line
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_misspelt_ends_with_two(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["export", "no.keras", "--track", "tensorbord"]) == UsageError.exit_code
    assert "did you mean 'tensorboard'?" in capfd.readouterr().err


def test_a_tracker_that_cannot_be_opened_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = TrackerChoice(about="", where="", package="json", implementation="tests.tracking.recorder:nobody")
    monkeypatch.setitem(TRACKERS, "mlflow", choice)
    with pytest.raises(OutputError, match=r"--track mlflow:x cannot be opened: AttributeError: .*nobody"):
        open_trackers(["mlflow:x"])


def test_objects_are_taken_as_they_are() -> None:
    mine: Any = Recorder()
    assert open_trackers([mine]) == (mine,)


def test_no_tracker_is_imported_unless_it_is_asked_for() -> None:
    script = "import tfcompress.workbench, tfcompress.cli.export, tfcompress.search.automatic"
    assert not loaded_by(script).intersection({choice.package for choice in TRACKERS.values()})


def test_each_has_an_extra_of_its_name() -> None:
    text = (Path(__file__).parents[2] / "setup.cfg").read_text("utf-8")
    extras = text.partition("[options.extras_require]")[2].partition("[options.entry_points]")[0].splitlines()
    assert {f"{name} =" for name in TRACKERS} <= set(extras)


@pytest.mark.parametrize("choice", TRACKERS.values(), ids=list(TRACKERS))
def test_each_has_an_implementation(choice: TrackerChoice) -> None:
    module, _, _ = choice.implementation.partition(":")
    assert importlib.util.find_spec(module) is not None
