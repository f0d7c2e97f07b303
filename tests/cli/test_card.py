"""``tfcompress card`` and ``explore``: what is written of a run, what is refused, and a push to a made-up Hub."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.reports.test_layer_changes import report_of
from tests.tflite.make_files import FOLDER
from tfcompress.cli import card
from tfcompress.cli.main import run_command
from tfcompress.companion_files import COMPILED_SUFFIX, lookup_name, streaming_name
from tfcompress.files import sha256
from tfcompress.reports.report import read_report

MODEL = FOLDER / "int8.tflite"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a run's folder, with what a card leaves where it is."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    report = report_of()
    result = dataclasses.replace(report.result, name="net.tflite", sha256=sha256(MODEL.read_bytes()))
    dataclasses.replace(report, result=result).save(folder / "report.json")
    shutil.copy(MODEL, folder / "net.tflite")
    for name in ("net.tfz", "trained.keras", "test-samples.npz", "log.txt", "text.vocabulary.txt"):
        (folder / name).write_text("x")
    return folder


def test_the_folder_is_laid_out_as_the_hub_has_it(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["card", "run", "-o", "hub", "--license", "mit", "--title", "My net"]) == 0
    assert capfd.readouterr().out == "written: hub/\n"
    names = {path.name for path in Path("hub").iterdir()}
    goes_along = {"net.tflite", "net.tfz", "text.vocabulary.txt", "recipe.toml", "report.json"}
    assert names == {"README.md", ".gitattributes", *goes_along}
    text = Path("hub/README.md").read_text()
    assert "license: mit\n" in text
    assert "# My net\n" in text
    assert read_report(Path("hub")).result == read_report(run).result


def test_every_file_that_stands_beside_the_tflite_goes_along(run: Path) -> None:
    beside = [
        name
        for file in ("net.tflite", streaming_name("net.tflite"))
        for name in (lookup_name(file), f"{file.removesuffix('.tflite')}{COMPILED_SUFFIX}")
    ]
    beside.append(streaming_name("net.tflite"))
    for name in beside:
        (run / name).write_text("x")
    assert run_command(["card", "run", "-o", "hub"]) == 0
    assert {*beside, "net.tfz"} <= {path.name for path in Path("hub").iterdir()}


class Hub:
    """Stands for huggingface_hub's HfApi, and keeps what it is asked."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012  of the class: the command makes its own
    failure: Exception | None = None

    def create_repo(self, repository: str, **more: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        self.asked.append({"repository": repository, **more})
        return SimpleNamespace(repo_id=f"me/{repository}")

    def upload_folder(self, **more: Any) -> str:
        self.asked.append({**more, "files": sorted(path.name for path in Path(more["folder_path"]).iterdir())})
        return f"made-up-hub/{more['repo_id']}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    module = ModuleType("huggingface_hub")
    module.HfApi = Hub  # type: ignore[attr-defined]  # a module that is made up
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setattr(card, "find_spec", lambda name: name)
    monkeypatch.setattr(Hub, "asked", [])
    monkeypatch.setattr(Hub, "failure", None)
    return Hub


def test_the_folder_is_pushed_to_a_repository_of_ones_own(
    run: Path, hub: type[Hub], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["card", "run", "-o", "hub", "--push", "net"]) == 0
    made, sent = hub.asked
    assert (made["repository"], made["private"], made["exist_ok"], made["repo_type"]) == ("net", True, True, "model")
    assert (sent["repo_id"], sent["repo_type"]) == ("me/net", "model")
    assert {"README.md", "net.tflite"} <= set(sent["files"])
    assert capfd.readouterr().out == "written: hub/\npushed: made-up-hub/me/net\n"
    assert run_command(["card", "run", "-o", "hub", "--push", "net", "--public", "--force"]) == 0
    assert hub.asked[2]["private"] is False


def test_a_push_that_fails_is_one_line_and_the_folder_stays(
    run: Path, hub: type[Hub], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "failure", OSError("401 Unauthorized\nlog in first"))
    assert run_command(["card", "run", "-o", "hub", "--push", "net"]) == 8
    said = "tfcompress: net was not pushed, hub/ is written: OSError: 401 Unauthorized log in first\n"
    assert capfd.readouterr().err == said
    assert Path("hub/README.md").is_file()


def test_a_missing_package_is_told_before_anything_is_written(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(card, "find_spec", lambda name: None)
    assert run_command(["card", "run", "-o", "hub", "--push", "net"]) == 9
    said = "tfcompress: --push needs a package that is not installed: pip install 'tfcompress[hub]'\n"
    assert capfd.readouterr().err == said
    assert not Path("hub").exists()


def test_what_is_known_of_each_op_is_written(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explore", "run"]) == 0
    assert capfd.readouterr().out == (
        "written: run-explore/error.json, run-explore/bits.json\n"
        "to look at: model-explorer run/net.tflite --node_data_paths run-explore/error.json,run-explore/bits.json\n"
    )
    assert json.loads(Path("run-explore/error.json").read_text())["main"]["results"] == {"1": {"value": 35.25}}
    assert run_command(["explore", "run"]) == 8
    assert "run-explore/error.json exists already; give --force" in capfd.readouterr().err
    assert run_command(["explore", "run", "--force"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["card", "nowhere"], 2, "cannot be read: No such file"),
        (["card", "run", "-o", "run"], 2, "is the run itself"),
        (["card", "run", "--public"], 2, "--public would do nothing: there is no --push"),
        (["card", "run", "-o", "full"], 8, "full exists already"),
        (["card", "run", "-o", "full", "--force"], 8, "tfcompress did not write it"),
        (["explore", "nowhere"], 2, "cannot be read: No such file"),
        (["explore", "run", "-o", "full/a"], 8, "a part of the path is a file"),
    ],
)
def test_a_mistake_is_one_line(
    run: Path, words: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("full").mkdir()
    Path("full/a").touch()
    assert run_command(words) == code
    told = capfd.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["card", "explore"])
def test_another_file_than_the_reports_is_refused(name: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "net.tflite").write_bytes((FOLDER / "none.tflite").read_bytes())
    assert run_command([name, "run"]) == 2
    assert "is not the file that its report is about" in capfd.readouterr().err
    (run / "net.tflite").unlink()
    assert run_command([name, "run"]) == 2
    assert "cannot be read: No such file" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["/etc/passwd", "../net.tflite", "..", "", "net.tflite\0", "a/net.tflite"])
@pytest.mark.parametrize("command", ["card", "explore", "compare"])
def test_a_report_names_no_file_elsewhere(
    command: str, name: str, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    values = json.loads((run / "report.json").read_text())
    values["result"]["name"] = name
    (run / "report.json").write_text(json.dumps(values))
    assert run_command([command, "run", *(["run"] if command == "compare" else [])]) == 2
    assert "result.name must be the name of a file beside the report" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["net.tfz", "other.vocabulary.txt"])
def test_a_link_to_a_file_elsewhere_is_not_published(name: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("secret.txt").write_text("a secret")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(Path("secret.txt").resolve())
    assert run_command(["card", "run", "-o", "hub"]) == 2
    assert "is no file of the run's folder but a link" in capfd.readouterr().err
    assert not Path("hub").exists()


@pytest.mark.parametrize("command", ["card", "explore"])
def test_a_pipe_in_place_of_the_file_does_not_hang(command: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "net.tflite").unlink()
    os.mkfifo(run / "net.tflite")
    assert run_command([command, "run"]) == 2
    assert "it is a pipe or a device, not a file" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [("ops_by_dtype", 7), ("packings", 1e308), ("likeness", {"outputs": [1]}), ("kernel_note", [None])],
)
def test_a_report_that_no_run_wrote_is_one_line(
    key: str, value: object, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    values = json.loads((run / "report.json").read_text())
    values["result"]["verification"][key] = value
    (run / "report.json").write_text(json.dumps(values))
    assert run_command(["card", "run", "-o", "hub"]) == 2
    assert "its report is not whole" in capfd.readouterr().err
    assert not Path("hub").exists()


def test_two_runs_at_once_are_not_explored(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, "runs/one")
    shutil.copytree(run, "runs/two")
    assert run_command(["explore", "runs"]) == 2
    assert "explore is about one run, and 'runs' holds 2" in capfd.readouterr().err
