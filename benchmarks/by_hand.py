"""Measure tfcompress against the plain tools used by hand, and print a Markdown table.

    python -m benchmarks.by_hand [--rounds 3] [--update docs/benchmarks.md]

Both sides load the same Keras 2 ``.h5``, train with the same seed and budget, write a float32 and an int8 file and
evaluate both on the whole test split in the same interpreter. They run in turns (plain, tfcompress, plain, …), each in
a fresh process, so that a busy spell of the machine meets both; time ratios are taken pair by pair. Peak memory is the
largest sum, over the process and its children, of their proportional set sizes, sampled five times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Task:
    """One job that both sides do.

    Attributes:
        script: module that does it by hand.
        flags: of ``tfcompress export``, for the same.
        learning_rate: of Adam; pruning has more to win back than quantization. None: nothing is trained.
    """

    script: str
    flags: tuple[str, ...]
    learning_rate: float | None = None


TASKS = {
    "int8 after training": Task("benchmarks.hand_ptq", ("--quantize", "int8")),
    "int8 by QAT": Task("benchmarks.hand_qat", ("--qat",), 1e-4),
    "half pruned, int8": Task("benchmarks.hand_prune", ("--prune", "0.5", "--quantize", "int8"), 1e-3),
}

BEGIN, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
PAUSE_S = 0.2


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        wall_s: seconds from its start to its end.
        cpu_s: seconds of processor time, its children's included.
        peak_bytes: largest sampled memory of the process and its children together.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Run:
    """One measured run of one side.

    Attributes:
        cost: what it took.
        float32_bytes: size of the float32 file.
        size_bytes: size of the int8 file.
        float32_top1: accuracy of the float32 file on the test split.
        top1: accuracy of the int8 file.
    """

    cost: Cost
    float32_bytes: int
    size_bytes: int
    float32_top1: float
    top1: float


def family(pid: int) -> list[int]:
    """Return *pid* and all its living descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    out = [pid]
    for member in out:
        out.extend(children.get(member, []))
    return out


def memory(pid: int) -> int:
    """Return the proportional set size of *pid* and its descendants in bytes; what has just ended counts as none."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def measure(command: Sequence[str]) -> tuple[Cost, str]:
    """Run *command* in the repository's root.

    Returns:
        What it took, and what it printed to stdout.

    Raises:
        SystemExit: it failed; the end of its stderr is shown.
    """
    peak = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin, cpu = time.perf_counter(), cpu_seconds()
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            try:
                process.wait(PAUSE_S)
            except subprocess.TimeoutExpired:
                continue
        cost = Cost(time.perf_counter() - begin, cpu_seconds() - cpu, peak)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            msg = f"{' '.join(command)} ended with {process.returncode}:\n{err.read()[-2000:]}"
            raise SystemExit(msg)
        return cost, out.read()


def cpu_seconds() -> float:
    """Return the processor time of all child processes that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def by_hand(task: Task, output: Path, options: argparse.Namespace) -> Run:
    """Do *task* with its by-hand script, into the folder *output*."""
    command = [sys.executable, "-m", task.script, options.model, options.data, output, *budget(task, options)]
    cost, printed = measure([*map(str, command), "--scale", str(float(Fraction(options.scale)))])
    figures = json.loads(printed.splitlines()[-1])
    float32, int8 = figures["float32"], figures["int8"]
    return Run(cost, float32["size_bytes"], int8["size_bytes"], float32["top1"], int8["top1"])


def by_tfcompress(task: Task, output: Path, options: argparse.Namespace) -> Run:
    """Do *task* with ``tfcompress export``, into the folder *output*."""
    command = [sys.executable, "-m", "tfcompress", "export", *task.flags, options.model, "--data", options.data]
    command += ["--scale", options.scale, "-o", output, *budget(task, options)]
    cost, _ = measure([*map(str, command)])
    return figures_of(json.loads((output / "report.json").read_text()), cost)


def figures_of(report: dict[str, Any], cost: Cost) -> Run:
    """Read sizes and accuracies from tfcompress's ``report.json``."""
    float32, int8 = report["baseline"], report["result"]
    accuracies = [file["score"]["figures"]["top1"]["value"] for file in (float32, int8)]
    return Run(cost, float32["size_bytes"], int8["size_bytes"], *accuracies)


def budget(task: Task, options: argparse.Namespace) -> list[str]:
    """Return the flags that both sides share; those about training only where something is trained."""
    words = ["--seed", str(options.seed)]
    if task.learning_rate is not None:
        words += ["--epochs", str(options.epochs), "--batch-size", str(options.batch_size)]
        words += ["--learning-rate", str(options.learning_rate or task.learning_rate)]
    return words


def table(results: dict[str, list[tuple[Run, Run]]]) -> str:
    """Return the Markdown table of *results*: title -> pairs of (by hand, tfcompress)."""
    lines = [
        "| task | done with | int8 file | top-1 (float32) | peak memory | CPU time | wall time | ratio, pair by pair |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, pairs in results.items():
        ratios = [ours.cost.wall_s / plain.cost.wall_s for plain, ours in pairs]
        ratio = f"**{statistics.median(ratios):.2f}** ({', '.join(f'{r:.2f}' for r in ratios)})"
        plain, ours = ([pair[side] for pair in pairs] for side in (0, 1))
        lines.append(row(title, "plain tools", plain, ""))
        lines.append(row("", "tfcompress", ours, ratio))
    return "\n".join(lines)


def row(title: str, tool: str, runs: Sequence[Run], ratio: str) -> str:
    """Return one line of the table: medians over *runs*."""

    def median(value: Callable[[Run], float]) -> float:
        return statistics.median(map(value, runs))

    top1, float32 = median(lambda run: run.top1), median(lambda run: run.float32_top1)
    cells = (
        title,
        tool,
        f"{median(lambda run: run.size_bytes):,.0f} B",
        f"{top1:.2%} ({float32:.2%})",
        f"{median(lambda run: run.cost.peak_bytes) / 1e6:,.0f} MB",
        f"{median(lambda run: run.cost.cpu_s):.1f} s",
        f"{median(lambda run: run.cost.wall_s):.1f} s",
        ratio,
    )
    return f"| {' | '.join(cells)} |"


def circumstances(options: argparse.Namespace) -> str:
    """Return one paragraph on where and how it was measured."""
    names = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    what = f"`{options.model.name}` and `{options.data.name}`, {options.epochs} epochs of training where there is any"
    rates = [options.learning_rate or TASKS[title].learning_rate for title in options.task or TASKS]
    rate = " and ".join(dict.fromkeys(f"{rate:g}" for rate in rates if rate))
    how = f"batch {options.batch_size}, Adam {rate}, seed {options.seed}"
    where = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    return f"{what}, {how}; medians of {options.rounds} interleaved runs each. {where}."


def processor() -> str:
    """Return the processor's name as Linux states it, or else its architecture."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def update(text: str, part: str) -> str:
    """Return *text* with what stands between the two markers replaced by *part*.

    Raises:
        ValueError: a marker is missing.
    """
    if BEGIN not in text or END not in text:
        msg = f"the file must hold the lines {BEGIN} and {END}, got neither or only one"
        raise ValueError(msg)
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{part}\n{END}{rest.split(END, 1)[1]}"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    demo = ROOT / "tfcompress" / "demo"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=demo / "fashion_cnn.h5", help=".h5 written by Keras 2")
    parser.add_argument("--data", type=Path, default=demo / "fashion.npz", help=".npz with a train and a test split")
    parser.add_argument("--scale", default="1/255", help="factor of the inputs (default 1/255)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, help="of Adam (default: 1e-4 for QAT, 1e-3 for pruning)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs a task (default 3)")
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one; may be repeated")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    options = parser.parse_args()
    options.model, options.data = options.model.resolve(), options.data.resolve()
    return options


def main() -> None:
    """Run all tasks in turns, then print the table."""
    options = arguments()
    results: dict[str, list[tuple[Run, Run]]] = {}
    for title in options.task or TASKS:
        task = TASKS[title]
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                plain = by_hand(task, Path(folder) / "plain", options)
                ours = by_tfcompress(task, Path(folder) / "ours", options)
            results.setdefault(title, []).append((plain, ours))
            took = f"{plain.cost.wall_s:.1f} s by hand, {ours.cost.wall_s:.1f} s by tfcompress"
            print(f"{title}, {number + 1} of {options.rounds}: {took}", file=sys.stderr)
    part = f"{table(results)}\n\n{circumstances(options)}"
    print(part)
    if options.update:
        options.update.write_text(update(options.update.read_text(), part))


if __name__ == "__main__":
    main()
