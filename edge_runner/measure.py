"""The measurement: files looked at, models opened in their processes, timed in turns, then scored."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_runner import document, flatbuffer, timing
from edge_runner.arguments import Options
from edge_runner.processes import Child, ChildFailed

ROUNDS = 10
"""Turns a model gets when several are timed together."""
MOST_TOGETHER = 8
"""So many models are open at once to be timed in turns; more are measured group by group, for the sake of memory."""
WARM_SECONDS = 0.2
"""Warm-up lasts at least so long, for the processor's frequency to rise."""

Tell = Callable[[str], None]


class Subject:
    """A model under measurement: its file, its entry in the document, and its process while that lives."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.entry = document.entry(path)
        self.facts: flatbuffer.FileFacts | None = None
        self.child: Child | None = None
        self.samples: int | None = None

    def read(self) -> None:
        """Look at the file; what is no model fails here, without an interpreter."""
        try:
            self.facts = document.add_file(self.entry, self.path)
        except OSError as error:
            self.entry["reason"] = f"cannot read the file: {error.strerror or error}"
        except flatbuffer.ModelFileError as error:
            self.entry["reason"] = str(error)

    def ask(self, request: dict[str, Any], alive: Tell) -> dict[str, Any] | None:
        """Send a request to the model's process; None when it failed, now or before."""
        if self.child is None:
            return None
        try:
            return self.child.ask(request, alive)
        except ChildFailed as error:
            self.entry["status"], self.entry["reason"] = "failed", str(error)
            self.end()
            return None

    def end(self) -> None:
        """End the process."""
        if self.child is not None:
            self.child.close()
            self.child = None


def measure(options: Options, runtime: str, folder: Path | None, tell: Tell) -> list[dict[str, Any]]:
    """Measure every model and return their entries, in the order given.

    Args:
        options: what was asked for.
        runtime: the interpreter that was chosen.
        folder: where the models' outputs are put, ``MODEL'S NUMBER/OUTPUT'S NUMBER.npy``; None: nowhere.
        tell: told what is under way.
    """
    subjects = [Subject(path, number) for number, path in enumerate(options.models)]
    for subject in subjects:
        subject.read()
    sound = [subject for subject in subjects if subject.facts is not None]
    together = 1 if options.apart else MOST_TOGETHER
    groups = [sound[start : start + together] for start in range(0, len(sound), together)]
    try:
        for group in groups:
            _measure_together(group, options, runtime, folder, tell)
    finally:
        for subject in subjects:
            subject.end()
    return [subject.entry for subject in subjects]


def _measure_together(
    group: Sequence[Subject], options: Options, runtime: str, folder: Path | None, tell: Tell
) -> None:
    for subject in group:
        _open(subject, options, runtime, tell)
    for subject in group:
        _warm(subject, options, tell)
    _time(group, options, tell)
    for subject in group:
        if subject.child is None:
            continue
        document.add_summary(subject.entry)
        if options.data:
            _score(subject, options, folder, tell)
        if subject.child is not None:
            subject.entry["status"], subject.entry["reason"] = "ok", None
        subject.end()


def _open(subject: Subject, options: Options, runtime: str, tell: Tell) -> None:
    tell(f"{subject.path.name}: opening")
    facts = subject.facts
    subject.child = Child(options.timeout)
    request = {
        "do": "open",
        "path": str(subject.path),
        "runtime": runtime,
        "threads": options.threads,
        "reference_kernels": options.reference_kernels,
        "names": {"inputs": facts.inputs, "outputs": facts.outputs} if facts else {},
        "data": str(options.data) if options.data else None,
        "seed": options.seed,
    }
    opened = subject.ask(request, lambda text: None)
    if opened:
        document.add_opened(subject.entry, opened)
        subject.samples = opened["samples"]


def _warm(subject: Subject, options: Options, tell: Tell) -> None:
    tell(f"{subject.path.name}: warming up")
    seconds = WARM_SECONDS if options.warmup else 0.0
    warmed = subject.ask({"do": "warm", "runs": options.warmup, "seconds": seconds}, lambda text: None)
    if warmed:
        subject.entry["timing"]["warmup_runs"] = warmed["runs"]


def _time(group: Sequence[Subject], options: Options, tell: Tell) -> None:
    """Time the models of a group in turns, each round in another random order."""
    rounds = min(ROUNDS, options.runs) if len(group) > 1 else 1
    request = {
        "do": "time",
        "runs": -(-options.runs // rounds),
        "seconds": options.seconds / rounds,
        "most": timing.MOST_RUNS // rounds,
        "settle": 1 if rounds > 1 else 0,  # the first inference after another model's turn finds the caches cold
    }
    order = random.Random(options.seed)
    for number in range(rounds):
        for subject in order.sample(list(group), len(group)):
            if subject.child is not None:
                tell(f"{subject.path.name}: timing, turn {number + 1} of {rounds}")
            block = subject.ask(request, lambda text: None)
            if block:
                document.add_block(subject.entry, block)


def _score(subject: Subject, options: Options, folder: Path | None, tell: Tell) -> None:
    tell(f"{subject.path.name}: scoring")
    place = folder / str(subject.number) if folder else None
    if place:
        place.mkdir()
    request = {
        "do": "score",
        "limit": options.limit,
        "predictions": options.predictions,
        "folder": str(place) if place else None,
    }
    scored = subject.ask(request, lambda text: tell(f"{subject.path.name}: {text}"))
    if scored:
        document.add_scores(subject.entry, scored)


def collect(folder: Path, target: Path, models: Sequence[dict[str, Any]]) -> None:
    """Put the outputs in *folder* into one .npz, ``MODEL'S NUMBER.OUTPUT'S NAME``, which appears when it is whole.

    Raises:
        OSError: it cannot be written.
    """
    part = folder / "outputs.npz"
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for number, model in enumerate(models):
            for place, tensor in enumerate(model["outputs"] if model["status"] == "ok" else ()):
                archive.write(folder / str(number) / f"{place}.npy", f"{number}.{tensor['name']}.npy")
    part.replace(target)
