"""action.yml: what it runs, run."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.reports.test_changes import a_report, a_score

SCRIPT = textwrap.dedent((Path(__file__).parents[1] / "action.yml").read_text().split("run: |\n")[1])


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action runs in bash")
@pytest.mark.parametrize(
    ("conditions", "strict", "code"), [("accuracy_drop > 0.5pt\nsize > 2x", "false", 12), ("", "false", 0)]
)
def test_the_step_writes_the_summary_and_fails_as_compare_does(tmp_path, conditions, strict, code):
    for name, value in (("old", 0.9), ("new", 0.8)):
        a_report(1000, a_score(value, 0.01)).save(tmp_path / f"{name}.json")
    command = tmp_path / "tfcompress"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tfcompress "$@"\n')
    command.chmod(0o755)
    told = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OLD": str(tmp_path / "old.json"),
        "NEW": str(tmp_path / "new.json"),
        "FAIL_IF": conditions,
        "STRICT": strict,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    done = subprocess.run(
        ["bash", "-e", "-c", SCRIPT], env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "| --- | ---: |" in (tmp_path / "summary.md").read_text()
