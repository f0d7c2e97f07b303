"""Every option of the commands beside export does something."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from tests.cli.asked import Calls, asked_by, assert_does_something, options_of
from tests.tflite.make_files import FOLDER
from tfcompress import demo
from tfcompress.cli.options import DATA_FLAGS
from tfcompress.errors import OutputError, UsageError
from tfcompress.tasks.score import Figure, Score


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo.MODEL, tmp_path / "model.h5")
    found = Calls(monkeypatch)
    found.replace("tfcompress.data.sources.load_data", "the data")
    return found


def everything_of(*names: str) -> Any:
    pairs = [(name, option) for name in names for option in options_of(name)]
    return pytest.mark.parametrize(("name", "option"), pairs, ids=[f"{n}-{o.name}" for n, o in pairs])


@everything_of("evaluate")
def test_every_option_of_evaluate(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    score = Score(task="regression", samples=2, main="mae", figures={"mae": Figure(0.5, unit="label", better="lower")})
    calls.replace("tfcompress.cli.evaluate.score_file", (score, "the data"))
    words = [name, "model.h5", "--data", "data.npz"]
    assert_does_something(option, words, lambda typed: asked_by(typed, calls, capfd))


@everything_of("inspect")
def test_every_option_of_inspect(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    calls.replace("tfcompress.cli.inspect.keras_facts", ({"file": "model.h5"}, ["name"], []))
    calls.replace("tfcompress.files.write_atomic")
    Path("there.csv").touch()
    if option.name == "target":  # it runs files, and model.h5 is none
        shutil.copy(FOLDER / "int8.tflite", "model.tflite")
        calls.replace("tfcompress.cli.inspect.examined", SimpleNamespace(target="tflm", to_dict=dict))
        calls.replace("tfcompress.cli.inspect.lines_of", [("tflm", "it runs")])
    model = "model.tflite" if option.name == "target" else "model.h5"

    def run(words: list[str]) -> Any:
        try:
            return asked_by(words, calls, capfd)
        except OutputError as error:  # without --force
            return str(error)

    words = [name, model, *(["--csv", "there.csv"] if option.name == "force" else [])]
    assert_does_something(option, words, run)


@everything_of("bench")
def test_every_option_of_bench(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    device = SimpleNamespace(name="pi")
    document = {"models": []}
    calls.replace("tfcompress.devices.config.find_devices", [device])
    calls.replace("tfcompress.devices.fleet.cancel")
    calls.replace(
        "tfcompress.devices.fleet.measure_on_devices", [SimpleNamespace(device=device, error=None, document=document)]
    )
    calls.replace("tfcompress.cli.bench.show")
    calls.replace("tfcompress.cli.bench.complain")
    calls.replace("tfcompress.files.write_atomic")
    words = [name, "model.tflite", *(["--data", "x.npy"] if option.name == "labels" else [])]
    assert_does_something(option, words, lambda typed: asked_by(typed, calls, capfd))


@everything_of("sensitivity")
def test_every_option_of_sensitivity(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfcompress.reports.sensitivity_page import ScoreCurve, SensitivityAnalysis

    found = SensitivityAnalysis(
        model="model.h5",
        data="data.npz",
        samples=1,
        metric="accuracy",
        percent=True,
        criterion="l2",
        baseline=1.0,
        curves=(ScoreCurve("a", 8, 0.5, ((4, 0.5), (8, 1.0))),),
        pinned=(),
        spare=1.0,
    )
    calls.replace("tfcompress.cli.sensitivity.analysis", found)
    calls.replace("tfcompress.files.write_atomic")
    if option.name == "force":
        Path("model-sensitivity.html").touch()

    def run(words: list[str]) -> Any:
        words = ["elsewhere.html" if word == "elsewhere" else word for word in words]  # it is a page
        try:
            return asked_by(words, calls, capfd)
        except OutputError as error:  # without --force
            return str(error)

    assert_does_something(option, [name, "model.h5", "--data", "data.npz"], run)


@everything_of("debug")
def test_every_option_of_debug(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    from tfcompress.reports.debug_facts import DebugFacts

    found = DebugFacts("model.tflite", "model.h5", "data.npz", 1, "litert", None, None, (), (), ())
    calls.replace("tfcompress.cli.debug.debugging", found)
    calls.replace("tfcompress.files.write_atomic")
    if option.name == "force":
        Path("model-debug.html").touch()

    def run(words: list[str]) -> Any:
        words = ["elsewhere.html" if word == "elsewhere" else word for word in words]  # it is a page
        try:
            return asked_by(words, calls, capfd)
        except OutputError as error:  # without --force
            return str(error)

    words = [name, "model.tflite", "--data", "data.npz"]
    given = words if option.name == "model" else [*words, "--model", "model.h5"]
    if option.name == "model":
        with pytest.raises(click.MissingParameter):
            run(given)
        return
    assert_does_something(option, given, run)


@everything_of("doctor")
def test_every_option_of_doctor(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    from tfcompress.reports.checkup_facts import CheckupFacts

    calls.replace("tfcompress.cli.doctor.checkup", CheckupFacts("model.h5", "keras2", "", (), (), ()))
    words = [name, "model.h5", "--data", "data.npz"]
    if option.name in ("force", "rewrite", "output"):
        Path("lean.keras").touch()
        words += {"force": ["--rewrite", "-o", "lean.keras"], "rewrite": ["-o", "new.keras"], "output": ["--rewrite"]}[
            option.name
        ]

    def run(typed: list[str]) -> Any:
        typed = ["elsewhere.keras" if word == "elsewhere" else word for word in typed]
        try:
            return asked_by(typed, calls, capfd)
        except (OutputError, UsageError) as error:  # without --force, or half of what belongs together
            return str(error)

    assert_does_something(option, words, run)


@everything_of("demo")
def test_every_option_of_demo(name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    calls.replace("tfcompress.cli.demo.run_demo", [])
    calls.replace("tfcompress.reports.printing.print_comparison")
    assert_does_something(option, [name], lambda typed: asked_by(typed, calls, capfd))


@everything_of("recipes", "stages")
def test_every_option_of_the_lists(
    name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_does_something(option, [name], lambda typed: asked_by(typed, calls, capfd))


def test_the_option_of_runner_says_where(calls: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    assert [option.name for option in options_of("runner")] == ["output"]
    asked_by(["runner", "-o", "there"], calls, capfd)
    assert Path("there/edge_runner/__main__.py").is_file()
    assert not Path("edge_runner").exists()


def test_the_options_about_data_are_those_that_export_passes_on() -> None:
    names = {option.name for option in options_of("evaluate")}
    assert set(DATA_FLAGS) <= names


BESIDE = {
    "builder": ["--trust"],
    "also": ["--device", "local"],
    "address": ["--engine", "ray", "--address", "localhost:1"],
    "c_array": ["--target", "tflm"],
    "max_arena": ["--target", "tflm"],
    "max_flash": ["--target", "tflm"],
    "hop": ["--streaming"],
    "state": ["--streaming"],
}
"""Words without which an option of auto is refused; --engine goes with --address alone (test_auto_command)."""


@everything_of("auto")
def test_every_option_of_auto(name: str, option: click.Option, calls: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    if option.name == "engine":
        return
    facts = SimpleNamespace(to_json=lambda: "{}")
    calls.replace("tfcompress.cli.auto.check_trackers")
    calls.replace("tfcompress.cli.auto.open_trackers", ["opened"])
    calls.replace("tfcompress.search.automatic.searched", SimpleNamespace(facts=facts))
    calls.replace("tfcompress.cli.auto.show_search")
    calls.replace("tfcompress.search.estimate.estimated", "an estimate")
    calls.replace("tfcompress.search.estimate.estimate_lines", ["a line"])
    words = [name, "model.h5", "--data", "data.npz", "--trials", "5", *BESIDE.get(option.name or "", [])]
    assert_does_something(option, words, lambda typed: asked_by(typed, calls, capfd))
