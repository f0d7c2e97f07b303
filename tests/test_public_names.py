"""What the package passes on is known to type checkers, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tfcompress as tfc

ROOT = Path(__file__).parents[1]


def test_every_public_name_is_found_when_it_is_asked_for() -> None:
    script = "from tfcompress import *\nimport tfcompress\nassert set(tfcompress.__all__) <= set(globals())"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.slow
def test_a_strict_type_checker_sees_every_public_name(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "user.py"
    lines = [f"from tfcompress import {name} as {name}" for name in tfc.__all__]
    script.write_text("\n".join([*lines, "stage: Prune = Prune(sparsity=0.5)", "Prune(sparsty=0.5)", ""]))
    # with the cache of `make lint`, which comes before the tests where all is run: without it this takes half a minute
    command = [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", str(script)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout
    errors = [line for line in said.splitlines() if ": error: " in line]
    assert len(errors) == 1, said
    assert 'Unexpected keyword argument "sparsty" for "Prune"' in errors[0]
