"""Feed tfcompress broken files: `python -m benchmarks.file_mutations --count 2000 [--seed 0] [--kind npz,csv]`.

Honest small models (both Kerases) and data sets are made, and broken with seeded damage: by bytes (flipped bits, a
cut-off end, spliced numbers, copied pieces) and by meaning with checksums right again (configurations, headers, fields,
cells). Each goes through the entry point that a command uses, in a long-lived process with limits on time and memory.
Every file has to load, or to be refused by one line of a TfcompressError. Anything else (another exception, a hang, a
crash, hunger) is counted, its file kept under --keep, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import file_mutants

ROOT = Path(__file__).resolve().parents[1]
BAD = ("bug", "hang", "crash", "memory")
MEGABYTES = 4096
"""What a worker may map beyond what its imports take: files here are below 100 KB."""
SECONDS = 60.0
"""What a file may take: a model of either Keras loads in 2 s here."""
FILES_A_WORKER = 500
"""After so many files a worker is replaced: TensorFlow keeps what it traced."""


class Worker:
    """A process that reads files until one kills it."""

    def __init__(self, place: Path) -> None:
        self.said = place / f"said-{id(self)}.txt"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "TMPDIR": str(place)}
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.file_mutation_worker", "serve", str(MEGABYTES)]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment
            )
        self.read = 0
        if self._line(600) is None:
            msg = f"a worker did not start: {self._last_words()}"
            raise RuntimeError(msg)

    def ask(self, kind: str, path: Path, features: Path, seconds: float) -> dict[str, Any]:
        """Have one file read; an answer also where the process hangs or dies."""
        self.read += 1
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind}\t{path}\t{features}\n".encode())
        self.process.stdin.flush()
        line = self._line(seconds)
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        if line is None:
            self.end()
            return {"outcome": "hang", "message": f"no answer for {seconds:g} s", "seconds": seconds}
        code = self.process.wait()
        words = self._last_words()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        hungry = "bad_alloc" in words or "Cannot allocate memory" in words or "Out of memory" in words
        return {"outcome": "memory" if hungry else "crash", "message": f"{name}: {words}", "seconds": 0.0}

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line; empty when the process ended, None when it says nothing for so long."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if ready else None

    def _last_words(self) -> str:
        return self.said.read_text("utf-8", "replace")[-800:]

    @property
    def spent(self) -> bool:
        """Whether it is dead or old."""
        return self.process.poll() is not None or self.read >= FILES_A_WORKER

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()  # closes the pipes, too
        self.said.unlink(missing_ok=True)


@dataclass
class Counts:
    """What became of the files.

    Attributes:
        outcomes: by damage (``npz headers``) and outcome, how many.
        reasons: of refusals, numbers and names taken out, the most frequent first.
        bad: a line on each file that neither loaded nor was refused.
        longest_seconds: that any file took.
    """

    outcomes: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    reasons: collections.Counter[str] = field(default_factory=collections.Counter)
    bad: list[str] = field(default_factory=list)
    longest_seconds: float = 0.0

    def add(self, damage: str, number: int, reply: dict[str, Any]) -> None:
        """Count one file."""
        outcome, message = reply["outcome"], reply["message"]
        self.outcomes[damage, outcome] += 1
        self.longest_seconds = max(self.longest_seconds, reply["seconds"])
        if outcome in BAD:
            self.bad.append(f"{outcome}: {damage} {number}: {message}")
        elif message:
            self.reasons[re.sub(r"'[^']*'|-?\d[\d.,]*", "…", message)[:110]] += 1


def make(folder: Path) -> None:
    """Make the honest files, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.file_mutation_worker", "make", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})


def run(
    kinds: Sequence[str],
    count: int,
    seed: int,
    *,
    keep: Path | None = None,
    parallel: int | None = None,
    seconds: float = SECONDS,
) -> Counts:
    """Break *count* files of *kinds*, as many of each, and have them read.

    Args:
        kinds: some of :data:`file_mutants.KINDS`.
        count: how many files.
        seed: the same seed, the same files.
        keep: where files go that neither loaded nor were refused; None: nowhere.
        parallel: processes; None: one a core.
        seconds: what each may take.
    """
    tasks: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    for number in range(count):
        tasks.put((kinds[number % len(kinds)], number // len(kinds)))
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make(place / "origins")
        parallel = min(parallel or os.cpu_count() or 1, count)
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            jobs = [pool.submit(_work, tasks, place, seed, seconds, keep) for _ in range(parallel)]
            for job in jobs:
                for damage, number, reply in job.result():
                    counts.add(damage, number, reply)
    return counts


def _work(
    tasks: queue.SimpleQueue[tuple[str, int]], place: Path, seed: int, seconds: float, keep: Path | None
) -> Iterable[tuple[str, int, dict[str, Any]]]:
    found: list[tuple[str, int, dict[str, Any]]] = []
    worker = Worker(place)
    try:
        while True:
            try:
                kind, number = tasks.get_nowait()
            except queue.Empty:
                return found
            if worker.spent:
                worker.end()
                worker = Worker(place)
            with tempfile.TemporaryDirectory(dir=place) as folder:
                damage, path = file_mutants.mutant(place / "origins", kind, number, seed, Path(folder))
                reply = worker.ask(kind, path, place / "origins" / "tfrecord" / "features.toml", seconds)
                if keep is not None and reply["outcome"] in BAD:
                    _keep(path, keep / f"{kind}-{seed}-{number}", reply["message"])
            found.append((damage, number, reply))
    finally:
        worker.end()


def _keep(path: Path, target: Path, message: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if path.is_dir() else shutil.copy)(path, target / path.name)
    (target / "why.txt").write_text(message, "utf-8")


def table(counts: Counts) -> str:
    """Return the counts as text: one line a damage, one column an outcome."""
    totals = collections.Counter[str]()
    for (_, outcome), number in counts.outcomes.items():
        totals[outcome] += number
    columns = [*sorted(set(totals) - set(BAD), key=lambda name: (-totals[name], name)), *BAD]
    lines = [" " * 22 + "".join(f"{name:>22}" for name in columns)]
    for damage in sorted({damage for damage, _ in counts.outcomes}):
        lines.append(f"{damage:22}" + "".join(f"{counts.outcomes[damage, name]:22,}" for name in columns))
    lines.append(f"{'all':22}" + "".join(f"{totals[name]:22,}" for name in columns))
    return "\n".join(lines)


def main() -> int:
    """Read the command line, run, print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default=",".join(file_mutants.KINDS), help="which files, separated by commas")
    parser.add_argument("--keep", type=Path, help="folder for files that neither loaded nor were refused")
    parser.add_argument("--parallel", type=int, help="processes; one a core if not given")
    parser.add_argument("--timeout", type=float, default=SECONDS, help="seconds that a file may take")
    given = parser.parse_args()
    kinds = given.kind.split(",")
    if unknown := sorted(set(kinds) - set(file_mutants.KINDS)):
        parser.error(f"no kind {unknown[0]!r}; there are {', '.join(file_mutants.KINDS)}")
    begin = time.monotonic()
    counts = run(kinds, given.count, given.seed, keep=given.keep, parallel=given.parallel, seconds=given.timeout)
    print(
        f"{given.count:,} files, seed {given.seed}, {time.monotonic() - begin:.0f} s in all, "
        f"at most {counts.longest_seconds:.1f} s a file"
    )
    print(table(counts))
    print("the most frequent reasons:")
    print("\n".join(f"{number:7,}  {reason}" for reason, number in counts.reasons.most_common(30)))
    if counts.bad:
        print(f"neither loaded nor refused: {len(counts.bad)}")
        print("\n".join(counts.bad[:20]))
    return 1 if counts.bad else 0


if __name__ == "__main__":
    sys.exit(main())
