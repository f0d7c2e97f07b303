"""The measurement: files looked at, models opened in fresh processes, timed in turns, then scored."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runner import document, environment, heat, shapes, timing, turns
from edge_runner.arguments import WARM_SECONDS, Options
from edge_runner.processes import Child
from edge_runner.subject import Subject, Tell
from edge_runner.unpacking import Unpacking

MOST_TOGETHER = 8
"""So many models are open at once to be timed in turns; more are measured group by group, for the sake of memory."""
UNTIMED_SECONDS = 0.003
"""Untimed at the start of a turn: after another model's turn the caches are cold and branches mispredicted."""
IO_RUNS, IO_SECONDS = 50, 0.1


@dataclass
class Measured:
    """What came of it.

    Attributes:
        subjects: in the document's order.
        groups: places of those that were timed in turns.
    """

    subjects: list[Subject]
    groups: list[list[int]]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The document's models."""
        return [subject.entry for subject in self.subjects]


def subjects_of(options: Options) -> list[Subject]:
    """Return what is to be measured: every file, in every way of running it that was asked for."""
    ways = [(threads, kernels) for kernels in options.kernels for threads in options.threads]
    plan = [(path, *way) for path in options.models for way in ways]
    return [Subject(path, number, threads, kernels) for number, (path, threads, kernels) in enumerate(plan)]


def looked_at(options: Options, unpacking: Unpacking) -> list[Subject]:
    """Return what is to be measured, with what the files themselves say; what is no model has failed already.

    Args:
        options: what was asked for.
        unpacking: where packages are unpacked.

    Raises:
        ShapeError: --shape names an input that no file has.
    """
    subjects = subjects_of(options)
    memory_bytes = environment.memory_bytes()
    for subject in subjects:
        subject.read(memory_bytes, unpacking)
    shapes.set_shapes(subjects, options)
    return subjects


def measure_subjects(
    subjects: list[Subject],
    options: Options,
    runtime: str,
    folder: Path | None,
    tell: Tell,
    spare: Child | None = None,
) -> Measured:
    """Measure every model and return their entries, in the order given.

    Args:
        subjects: see :func:`looked_at`.
        options: what was asked for.
        runtime: the interpreter that was chosen.
        folder: where the models' outputs are put, ``MODEL'S NUMBER/OUTPUT'S NUMBER.npy``; None: nowhere.
        tell: takes a line about what is under way.
        spare: a process that was started already, for the first model.
    """
    sound = [subject for subject in subjects if subject.sound]
    together = 1 if options.apart else MOST_TOGETHER
    groups = [sound[start : start + together] for start in range(0, len(sound), together)]
    try:
        for group in groups:
            TimedGroup(group, options, runtime, tell, folder).measure(spare)
            spare = None
    finally:
        if spare:
            spare.close()
        for subject in subjects:
            subject.end()
            document.add_compressed(subject.entry, subject.path)
    return Measured(subjects, [[subject.number for subject in group] for group in groups])


class TimedGroup:
    """Models that are timed in turns."""

    def __init__(
        self, subjects: Sequence[Subject], options: Options, runtime: str, tell: Tell, folder: Path | None
    ) -> None:
        self.subjects = subjects
        self.options = options
        self.runtime = runtime
        self.tell = tell
        self.folder = folder
        self.order = random.Random(options.seed)
        self.watch = heat.Watch()

    def measure(self, spare: Child | None) -> None:
        """Measure all of them, over as many processes as were asked for."""
        rested = 0.0
        before = environment.hottest()
        for process in range(self.options.processes):
            rested += heat.rest(self.options.cool_seconds, self.options.cool_celsius, self.tell)
            self._open(spare)
            spare = None
            self._time(process)
            if process == self.options.processes - 1:
                for subject in self.subjects:
                    self._finish(subject, before, rested)
            for subject in self.subjects:
                subject.end()

    def _open(self, spare: Child | None) -> None:
        for subject in self.subjects:
            if subject.sound:
                self.tell(f"{subject.label}: opening")
                subject.open(self.options, self.runtime, spare)
                spare = None
        if spare:
            spare.close()
        for subject in self.subjects:
            self.tell(f"{subject.label}: warming up")
            seconds = WARM_SECONDS if self.options.warmup else 0.0
            warmed = subject.ask({"do": "warm", "runs": self.options.warmup, "seconds": seconds})
            if warmed:
                subject.entry["timing"]["processes"][-1]["warmup_runs"] = warmed["runs"]
                subject.usual_ns = warmed["median_ns"]

    def _time(self, process: int) -> None:
        options, count = self.options, len(self.subjects)
        windows = options.mode == "windows"
        rounds = -(-options.windows // options.processes) if windows else options.rounds
        plan = turns.once_around if windows else turns.there_and_back
        for number, place in plan(count, rounds, self.order):
            subject = self.subjects[place]
            if subject.child is None:
                continue
            self.tell(f"{subject.label}: process {process + 1} of {options.processes}, round {number + 1} of {rounds}")
            block = subject.ask(self.turn_request(rounds, subject.usual_ns, windows=windows))
            throttled = self.watch.throttled()
            if block:
                document.add_block(subject.entry, (process, number), block, throttled=throttled)
                if windows and not throttled:
                    subject.per_second.append(block["runs"] * 1e9 / block["total_ns"])

    def turn_request(self, rounds: int, usual_ns: float | None, *, windows: bool) -> dict[str, Any]:
        """Return the request for a turn.

        A turn is as many runs as fit into its time when nothing disturbs them. If it only ended with its time, one in
        which the system took the processor away would hold a run or two, and their median would be the disturbance.
        A model so fast that a turn would fill the result with durations runs on until its time is over; those of its
        first runs are kept.
        """
        options = self.options
        blocks = rounds * options.processes * (1 if windows else 2)
        seconds = options.seconds if windows else options.seconds / blocks
        most = max(1, timing.MOST_RUNS // blocks)
        usual = int(seconds * 1e9 / usual_ns) if usual_ns else 0
        return {
            "do": "time",
            "runs": 1 if windows else max(-(-options.runs // blocks), min(most, usual)),
            "seconds": seconds,
            "most": most,
            "untimed_seconds": min(UNTIMED_SECONDS, seconds / 4) if len(self.subjects) > 1 else 0.0,
            "full_time": True,
        }

    def _finish(self, subject: Subject, before_celsius: float | None, rested: float) -> None:
        """Derive what the timings say, and score."""
        if not subject.sound:
            return
        entry, options = subject.entry, self.options
        discarded = sum(block["throttled"] for block in entry["timing"]["blocks"])
        entry["heat"] = {
            "before_celsius": before_celsius,
            "after_celsius": environment.hottest(),
            "cooled_seconds": rested,
            "discarded_blocks": discarded,
        }
        if not entry["timing"]["samples_ns"]:
            subject.fail(f"the machine was throttled during all of its {discarded} turns; cool it, or mend its supply")
            return
        if discarded:
            entry["warnings"].append(
                f"{discarded} of {len(entry['timing']['blocks'])} turns were throttled and left out"
            )
        document.add_summary(entry, subject.per_second)
        if not subject.open_inputs:  # in the file their extents stand as 1
            document.add_arena(entry, subject.path)
        entry["timing"].update(subject.ask({"do": "io_times", "runs": IO_RUNS, "seconds": IO_SECONDS}) or {})
        if options.data:
            self._score(subject)
        if subject.sound:
            entry["status"], entry["reason"] = "ok", None

    def _score(self, subject: Subject) -> None:
        self.tell(f"{subject.label}: scoring")
        place = self.folder / str(subject.number) if self.folder else None
        if place:
            place.mkdir()
        request = {
            "do": "score",
            "task": self.options.task,
            "limit": self.options.limit,
            "predictions": self.options.predictions,
            "folder": str(place) if place else None,
        }
        scored = subject.ask(request, lambda text: self.tell(f"{subject.label}: {text}"))
        if scored:
            document.add_scores(subject.entry, scored)
            subject.right = scored["right"]


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
