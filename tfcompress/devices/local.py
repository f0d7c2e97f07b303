"""Measure on this machine: run the edge_runner folder in a process of its own and read what it wrote.

edge_runner is never imported: it is the same folder that is copied to a device, started the same way.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any, Literal

from tfcompress.errors import MissingDependencyError, TfcompressError, UsageError
from tfcompress.progress import SILENT, Progress
from tfcompress.reports import edge

_USAGE, _NO_INTERPRETER, _INTERRUPTED = 2, 3, 130
MEASURED = (0, 1)
"""Exit codes with which edge_runner leaves a document: every model was measured, or some failed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure; None leaves edge_runner's own default.

    Attributes:
        runs: time at least so many inferences a model.
        seconds: and for at least so long.
        warmup: untimed inferences before.
        quick: a first look: few runs, a short time.
        threads: of the kernels.
        runtime: which interpreter.
        reference_kernels: the plain kernels, without XNNPACK.
        limit: score only the first so many samples.
        predictions: keep each sample's predicted class.
        outputs: write each output as stored into this .npz.
        timeout: seconds after which a silent model is given up.
        more: further arguments, as edge_runner has them.
    """

    runs: int | None = None
    seconds: float | None = None
    warmup: int | None = None
    quick: bool = False
    threads: int | None = None
    runtime: Literal["auto", "litert", "tflite-runtime", "tensorflow"] = "auto"
    reference_kernels: bool = False
    limit: int | None = None
    predictions: bool = False
    outputs: Path | None = None
    timeout: float | None = None
    more: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return them as edge_runner's command line has them."""
        valued = ("runs", "seconds", "warmup", "threads", "runtime", "limit", "outputs", "timeout")
        flags = ("quick", "reference_kernels", "predictions")
        pairs = [(name, getattr(self, name)) for name in valued]
        given = [text for name, value in pairs if value is not None for text in (f"--{name}", str(value))]
        return [*given, *(f"--{name.replace('_', '-')}" for name in flags if getattr(self, name)), *self.more]


def runner_folder() -> Path:
    """Return the folder that is copied to devices.

    Raises:
        MissingDependencyError: it was not installed along with tfcompress.
    """
    spec = util.find_spec("edge_runner")
    beside = Path(__file__).resolve().parents[2] / "edge_runner"
    found = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for folder in (*found, beside):
        if (folder / "__main__.py").is_file():
            return folder
    msg = f"the edge_runner folder is neither installed nor at {beside}; reinstall tfcompress"
    raise MissingDependencyError(msg)


def run_locally(
    models: Sequence[Path],
    data: Path | None = None,
    *,
    labels: Path | None = None,
    python: Path | str = sys.executable,
    settings: Settings | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Measure *models* on this machine, several of them in turns.

    Args:
        models: .tflite files.
        data: the .npz written for the runner: ``x.NAME`` for each input, ``y``; or an .npy.
        labels: an .npy of the labels that belong to an .npy.
        python: the Python to run edge_runner with; it needs numpy and an interpreter, not tfcompress.
        settings: how to measure.
        progress: where progress goes.

    Returns:
        edge_runner's document. A model that failed is an entry with ``status`` ``failed`` and its ``reason``.

    Raises:
        UsageError: no such file or Python, or settings that edge_runner refuses.
        MissingDependencyError: no interpreter works in that Python; the message says what to install.
        TfcompressError: edge_runner itself failed.
    """
    command = [str(python), str(runner_folder()), *(str(path) for path in models)]
    command += ["--data", str(data)] if data else []
    command += ["--labels", str(labels)] if labels else []
    command += (settings or Settings()).arguments()
    try:
        with progress.task(f"measuring {', '.join(path.name for path in models)}"):
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", check=False, stdin=subprocess.DEVNULL
            )
    except OSError as error:
        msg = f"python must be a Python interpreter, got {str(python)!r}: {error.strerror}"
        raise UsageError(msg) from error
    return _result(done)


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    if done.returncode == _INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode not in MEASURED:
        raise failure(done.returncode, done.stderr)
    try:
        return edge.check_measurement(json.loads(done.stdout), "what edge_runner wrote")
    except json.JSONDecodeError as error:
        msg = f"edge_runner ended with exit code {done.returncode} and wrote no JSON: {_last(done.stderr)}"
        raise TfcompressError(msg) from error


def failure(code: int, said: str, where: str = "") -> TfcompressError:
    """Return the error for an edge_runner that left no document.

    Args:
        code: its exit code.
        said: what it wrote to standard error.
        where: put in front of the message.
    """
    if code == _USAGE:
        return UsageError(f"{where}edge_runner cannot measure that: {_last(said)}")
    if code == _NO_INTERPRETER:
        return MissingDependencyError(f"{where}{_last(said)}")
    return TfcompressError(f"{where}edge_runner ended with exit code {code}: {_last(said)}")


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("edge_runner: ").removeprefix("error: ") if lines else "it said nothing"
