"""Emulated Raspberry Pis: made once by tools/make_pi_root.py and kept, entered by tools/pi_run.py.

They are kept in $TFCOMPRESS_PI_ROOTS, or in pytest's own cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.make_pi_root import TOOLS

HERE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pi_root(request: pytest.FixtureRequest) -> Callable[[str, str], Path]:
    """Return what makes a root of an architecture and a Debian suite, or finds it made."""
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if os.getuid() != 0 or missing:
        pytest.skip(f"an emulated Pi takes {' and '.join(['root', *missing])}")
    cache = request.config.cache
    assert cache is not None
    folder = Path(os.environ.get("TFCOMPRESS_PI_ROOTS") or cache.mkdir("pi-roots"))

    def make(arch: str, suite: str) -> Path:
        root = folder / f"{arch}-{suite}"
        command = [sys.executable, str(HERE / "tools" / "make_pi_root.py"), arch, suite, str(root)]
        subprocess.run(command, check=True)
        return root

    return make


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is /mnt in every root, with edge_runner in it."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(HERE / "edge_runner", folder / "edge_runner", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def enter(pi_root: Callable[[str, str], Path], desk: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what runs a command in the root of an architecture and a suite."""

    def run(arch: str, suite: str, *command: str) -> subprocess.CompletedProcess[str]:
        start = [sys.executable, str(HERE / "tools" / "pi_run.py"), "--user", "root", "--bind", f"{desk}:/mnt"]
        words = [*start, str(pi_root(arch, suite)), "--", *command]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    return run
