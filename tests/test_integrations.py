"""What other tools read of this repository: the pre-commit hook, the Dockerfile, CITATION.cff."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import tfcompress
from tests.reports.test_changes import a_report, a_score
from tfcompress.cli.main import run_command
from tools.docs_site import ROOT

HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def instructions(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions: the word, and what follows it on one line."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("old", 0.9), ("new", 0.8)):
        a_report(1000, a_score(value, 0.01)).save(tmp_path / f"{name}.json")


def hook_in_the_docs() -> list[str]:
    """Return the arguments that docs/tutorials/pipeline.md gives to the hook."""
    text = (ROOT / "docs" / "tutorials" / "pipeline.md").read_text("utf-8")
    (config,) = (yaml.safe_load(found) for found in re.findall(r"```yaml\n(repos:.*?)```", text, re.DOTALL))
    (hook,) = config["repos"][0]["hooks"]
    assert hook["id"] == HOOKS[0]["id"]
    return list(hook["args"])


@pytest.mark.parametrize(
    ("conditions", "code"), [(["accuracy_drop > 0.5pt", "size > 1.05x"], 12), (["size > 1.05x"], 0), ([], 0)]
)
def test_the_hook_fails_as_compare_does(reports: None, conditions: list[str], code: int) -> None:
    (hook,) = HOOKS
    entry, *words = shlex.split(hook["entry"])
    assert entry == "tfcompress"
    given = [word for condition in conditions for word in ("--fail-if", condition)]
    assert run_command([*words, "old.json", "new.json", *given]) == code


def test_the_hook_of_the_docs_can_be_run(reports: None) -> None:
    Path("baseline").mkdir()
    Path("candidate").mkdir()
    Path("old.json").rename("baseline/report.json")
    Path("new.json").rename("candidate/report.json")
    _, *words = shlex.split(HOOKS[0]["entry"])
    assert run_command([*words, *hook_in_the_docs()]) == 12


def test_the_hook_runs_when_a_report_is_committed_and_gets_no_names() -> None:
    (hook,) = HOOKS
    assert re.search(hook["files"], "candidate/report.json")
    assert not re.search(hook["files"], "README.md")
    assert (hook["pass_filenames"], hook["language"]) == (False, "system")


def test_the_image_stands_on_one_version_of_python() -> None:
    (base,) = [rest for word, rest in instructions(DOCKERFILE) if word == "FROM"]
    assert re.fullmatch(r"python:3\.1[0-3]\.\d+-slim-\w+", base)


def test_the_image_copies_what_there_is_and_all_that_setup_reads() -> None:
    copied = [part for word, rest in instructions(DOCKERFILE) if word == "COPY" for part in rest.split()[:-1]]
    assert [part for part in copied if not (ROOT / part).exists()] == []
    assert {"setup.py", "setup.cfg", "README.md", "LICENSE", "tfcompress", "edge_runner"} <= {*copied}
    sent = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    assert {f"!{part}" for part in copied} <= {*sent}


def test_the_image_runs_the_command_as_an_ordinary_user() -> None:
    told = instructions(DOCKERFILE)
    users = [rest for word, rest in told if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [rest for word, rest in told if word == "ENTRYPOINT"] == ['["tfcompress"]']


@pytest.mark.slow
def test_what_the_image_copies_is_enough_to_make_the_wheel(tmp_path: Path) -> None:
    for word, rest in instructions(DOCKERFILE):
        *parts, target = rest.split()
        for part in parts if word == "COPY" else ():
            into = tmp_path / target.lstrip("/")
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / part, into)
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", "dist"]
    subprocess.run(command, cwd=tmp_path / "src", check=True, capture_output=True)
    (built,) = (tmp_path / "src" / "dist").glob("*.whl")
    assert built.name.startswith(f"tfcompress-{tfcompress.__version__}-")


def test_the_citation_is_of_this_version() -> None:
    assert CITATION["version"] == tfcompress.__version__
    assert (CITATION["cff-version"], CITATION["type"], CITATION["license"]) == ("1.2.0", "software", "Apache-2.0")
    assert {"message", "title", "authors"} <= {*CITATION}
