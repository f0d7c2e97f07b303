"""What compression costs on each task: a small net is trained, and the command line makes four files of it.

    python -m benchmarks.tasks segmentation multi-label --data FOLDER --output FOLDER [--update docs/benchmarks.md]

``--data`` holds what :data:`PROBLEMS` ask for. Under ``--output`` each task gets a folder with
the model, its data and the files that were exported; a net that is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import self_labelled_problems, task_problems
from benchmarks.native_qat import table
from benchmarks.native_qat import update as put_between
from benchmarks.task_problems import Problem

WAYS: dict[str, tuple[str, ...]] = {
    "float": (),
    "PTQ int8": ("--quantize", "int8"),
    "QAT int8": ("--qat", "--epochs", "2", "--learning-rate", "3e-4"),
    "half pruned int8": ("--prune", "0.5", "--qat", "--epochs", "3", "--learning-rate", "1e-3"),
}
"""What ``tfcompress export`` is told for each column."""

BATCH = 64

PROBLEMS = {**task_problems.PROBLEMS, **self_labelled_problems.PROBLEMS}
"""By task."""


def trained(problem: Problem, folder: Path) -> None:
    """Train in float and write ``model.keras`` and ``data.npz`` to *folder*."""
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **problem.data)  # type: ignore[arg-type]  # numpy's stub takes names for options
    problem.model.compile(keras.optimizers.Adam(problem.rate), problem.loss)
    targets = problem.data.get("y_train", problem.data["x_train"])
    problem.model.fit(problem.data["x_train"], targets, batch_size=BATCH, epochs=problem.epochs, verbose=2)
    problem.model.save(folder / "model.keras")


def exported(folder: Path, way: str, problem: Problem) -> tuple[list[str], dict[str, Any], float]:
    """Export by the command line; return the command as one types it, the report, and the seconds it took."""
    name = way.replace(" ", "-")
    training = problem.training if "--epochs" in WAYS[way] else ()
    typed = ["tfcompress", "export", "model.keras", "--data", "data.npz", *problem.flags, *WAYS[way], *training]
    command = [sys.executable, "-m", *typed, "--output", name, "--force"]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"{shlex.join(typed)} failed: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return typed, json.loads((folder / name / "report.json").read_text()), time.perf_counter() - begin


def row(task: str, way: str, typed: Sequence[str], report: dict[str, Any]) -> tuple[str, ...]:
    """Return a line of the table: task, way, main figure, bytes, agreement with the Keras model, command."""
    score = report["result"]["score"]
    figure = score["figures"][score["main"]]
    agreed = report["result"]["verification"]["agreement"][0]
    parts = [f"{agreed['sqnr_db']:.1f} dB"] if agreed.get("sqnr_db") is not None else []
    if score["task"] == "classification" and agreed.get("top1") is not None:
        parts.append(f"same top-1 {100 * agreed['top1']:.1f} %")
    size = report["result"]["size_bytes"]
    return (task, way, _told(score["main"], figure), f"{size:,} B", ", ".join(parts), f"`{shlex.join(typed)}`")


def _told(name: str, figure: dict[str, Any]) -> str:
    from tfcompress.tasks.figures import FRACTION, figure_kind

    value = f"{100 * figure['value']:.2f} %" if figure["unit"] == FRACTION else f"{figure['value']:.4g}"
    return f"{figure_kind(name).title} {value}"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=PROBLEMS)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args()
    for task in options.tasks:
        part = _measured(task, options.data, options.output / task)
        print(part)
        if options.update:
            options.update.write_text(put_between(options.update.read_text(), task, part, "tasks"))


def _measured(task: str, source: Path, folder: Path) -> str:
    import keras

    keras.utils.set_random_seed(0)
    problem = PROBLEMS[task](source)
    if not (folder / "model.keras").exists():
        trained(problem, folder)
    rows = []
    for way in WAYS:
        typed, report, seconds = exported(folder, way, problem)
        rows.append(row(task, way, typed, report))
        print(" | ".join(rows[-1]), f"{seconds:.0f} s", file=sys.stderr)
    head = ("task", "file", "main figure", "size", "agreement with Keras", "command")
    sizes = ", ".join(f"{len(problem.data[f'x_{split}']):,} to {split}" for split in ("train", "test"))
    return table(head, rows) + f"\n\n{problem.about[0].upper()}{problem.about[1:]}; {sizes}."


if __name__ == "__main__":
    main()
