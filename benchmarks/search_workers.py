"""How much sooner do two workers of ``tfcompress auto`` end than one?

``python -m benchmarks.search_workers [--trials 24] [--epochs 5] [--rounds 1] [--update FILE]`` runs the same search on
the demo's network with one worker and with two, in turns, each with a cache of its own and one thread a worker, and
prints a Markdown table. Two workers propose other candidates than one does, so that the work is not the same; the ratio
is that of the processor's seconds that are done in a second of the clock, from the start of the command to its end.
The machine must be quiet. With ``--update`` the table replaces what stands between the markers ``search: workers``.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.by_hand import ROOT, processor
from benchmarks.native_qat import table, update
from tfcompress import demo

ONE_THREAD = {f"{name}_NUM_{kind}": "1" for name, kind in (("TF", "INTRAOP_THREADS"), ("OMP", "THREADS"))}
_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
DROP = 3.0
"""Points that may be lost; what is measured is time, and any limit would do."""


class Took(NamedTuple):
    """What a search took.

    Attributes:
        seconds: of the clock.
        processor: seconds of the processor, children and all.
        trials: how many there were.
    """

    seconds: float
    processor: float
    trials: int

    @property
    def rate(self) -> float:
        """The processor's seconds in one of the clock's."""
        return self.processor / self.seconds


def searched(workers: int, trials: int, epochs: int) -> Took:
    """Run a search in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tfcompress", "auto", str(demo.MODEL_KERAS3), "--data", str(demo.DATA)]
        command += ["--scale", "1/255", "--max-drop", str(DROP), "--trials", str(trials), "--epochs", str(epochs)]
        command += ["--jobs", str(workers), "--cache", f"{folder}/cache", "-o", f"{folder}/out", "--json"]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
        begun, used = time.monotonic(), _processor_seconds()
        done = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - begun
        _bury_orphans()
        took = seconds, _processor_seconds() - used
    return Took(*took, len(json.loads(done.stdout)["tried"]))


def _adopt_orphans() -> None:
    """Have children of processes that were ended become this one's: else nobody is told how long they worked."""
    if ctypes.CDLL(None, use_errno=True).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _bury_orphans() -> None:
    """Wait for all of them, so that what they used counts."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def _processor_seconds() -> float:
    """Return what ended children of this process used, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read the command line and run the searches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table between the markers of this file")
    given = parser.parse_args()
    _adopt_orphans()
    rows = []
    for number in range(given.rounds):
        one, two = (searched(workers, given.trials, given.epochs) for workers in (1, 2))
        rows.append(
            [
                str(number + 1),
                f"{one.trials} / {two.trials}",
                f"{one.seconds:.0f} s / {two.seconds:.0f} s",
                f"{one.processor:.0f} s / {two.processor:.0f} s",
                f"{two.rate / one.rate:.2f}",
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
    head = ("round", "trials, one / two workers", "clock", "processor", "ratio of work done in a second")
    shown = f"{table(head, rows)}\n\n{given.epochs} epochs a training. {processor()}, {os.cpu_count()} cores."
    print(shown)
    if given.update:
        given.update.write_text(update(given.update.read_text(), "workers", shown, "search"))


if __name__ == "__main__":
    main()
