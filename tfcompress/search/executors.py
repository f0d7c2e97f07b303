"""Where the steps of trials are done: in this process, in processes of this machine, or wherever an executor has some.

An executor takes steps and gives back what came of them, in whatever order they end. It knows nothing of trials: the
driver numbers the steps.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tfcompress.data.memory import available_bytes
from tfcompress.progress import Progress, ProgressTask, SilentProgress
from tfcompress.search.trial import Opening, StepResult, TrialBench, TrialStep
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

if TYPE_CHECKING:
    from tfcompress.search.metering import MeasureFile, Meter

_CHILD = "tfcompress.search.trial_child"
LOOK_SECONDS = 0.5
"""Between two looks at the clock while a step works in this process."""

_ROOM = 1.25
"""Memory that a further worker must find, in peaks of those that run."""


@dataclass(frozen=True)
class DoneStep:
    """A step that has ended.

    Attributes:
        number: as it was submitted.
        result: what came of it; None: the worker died or failed.
        failure: why there is no result; empty: there is one.
        died: whether the worker is gone (killed, out of memory, a crash of a library), so that another try may do.
    """

    number: int
    result: StepResult | None
    failure: str = ""
    died: bool = False


GoOn = Callable[[], bool]
"""Says whether there is time left."""


def always() -> bool:
    """Say that there is."""
    return True


class TimeUpError(BaseException):
    """Ends a step in the middle, as Ctrl-C would: nothing that catches errors of the step may take it for one."""


class Clock(SilentProgress):
    """A progress that shows nothing and ends the work that reports to it when there is no time left.

    Attributes:
        go_on: says whether there is.
    """

    def __init__(self) -> None:
        """Let everything go on."""
        self.go_on: GoOn = always
        self._asked = 0.0

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[ProgressTask]:
        """Open a task whose steps look at the clock."""
        self.look()
        yield _ClockedTask(self)

    def look(self) -> None:
        """Ask, now and then, whether there is time left.

        Raises:
            TimeUpError: there is none.
        """
        now = time.monotonic()
        if now - self._asked >= LOOK_SECONDS:
            self._asked = now
            if not self.go_on():
                raise TimeUpError


@dataclass(frozen=True)
class _ClockedTask:
    clock: Clock

    def advance(self, steps: float = 1) -> None:
        self.clock.look()

    def describe(self, text: str) -> None:
        self.clock.look()


class Executor(Protocol):
    """Does steps."""

    @property
    def free(self) -> int:
        """How many more steps it would begin now."""

    def submit(self, number: int, step: TrialStep) -> None:
        """Begin a step; to be called only while one is free."""

    def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
        """Return the steps that have ended, waiting for the first one for at most so long.

        Args:
            seconds: at most; who cannot wait apart from working asks *go_on* instead.
            go_on: says whether there is time left.
        """

    def measure(self, meter: Meter) -> MeasureFile | None:
        """Return what measures files as a meter does, where a worker's machine reaches its device; None: none does."""

    def close(self) -> None:
        """End what still runs, and every worker."""


class InProcessExecutor:
    """Does one step at a time in this process: for models and data that no other process could open."""

    def __init__(self, bench: TrialBench, clock: Clock) -> None:
        """Take a bench; it stays the caller's.

        Args:
            bench: does the steps.
            clock: the bench's progress.
        """
        self._bench, self._clock = bench, clock
        self._waiting: list[tuple[int, TrialStep]] = []

    @property
    def free(self) -> int:
        """One, or none while a step waits."""
        return 1 - len(self._waiting)

    def submit(self, number: int, step: TrialStep) -> None:
        """Keep the step until somebody waits for it."""
        self._waiting.append((number, step))

    def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
        """Do the step, as long as there is time."""
        if not self._waiting:
            return ()
        number, step = self._waiting.pop()
        self._clock.go_on = go_on
        try:
            return (DoneStep(number, self._bench.run(step)),)
        except TimeUpError:
            return ()
        finally:
            self._clock.go_on = always

    def measure(self, meter: Meter) -> None:
        """No other machine is there."""

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()


class LocalExecutor:
    """Worker processes of this machine, each with a workbench of its own that it keeps from step to step.

    The first step runs alone: how much memory it took says how many may run beside each other. A worker that dies is
    replaced; so is one whose memory has doubled since its first step.
    """

    def __init__(self, opening: Opening, jobs: int, *, log: Path | None = None, progress: Progress) -> None:
        """Start nothing yet.

        Args:
            opening: what workers open; portable.
            jobs: workers at most.
            log: file that what they print is appended to.
            progress: shows a line where memory allows fewer.
        """
        self._opening, self._jobs, self._log, self._progress = opening, jobs, log, progress
        self._done: queue.Queue[DoneStep] = queue.Queue()
        self._idle: list[_Colleague] = []
        self._busy: dict[int, _Colleague] = {}
        self._fresh: set[int] = set()  # steps of workers that have yet to take their memory
        self._peak_bytes = 0
        self._told = False

    @property
    def free(self) -> int:
        """How many more steps would begin now."""
        busy = len(self._busy)
        if not self._peak_bytes:
            return 1 - busy
        return min(self._jobs - busy, len(self._idle) + self._room(self._jobs - busy - len(self._idle)))

    def _room(self, wanted: int) -> int:
        """Return for how many further workers there is memory; at least one worker there is always."""
        if wanted <= 0:
            return 0
        least = 0 if self._busy or self._idle else 1
        left = available_bytes() / (_ROOM * self._peak_bytes) - len(self._fresh)
        room = max(least, min(wanted, int(left)))
        if room < wanted and not self._told:
            self._told = True
            there = len(self._busy) + len(self._idle) + room
            self._progress.note(
                f"{there} of --jobs {self._jobs} fit into memory ({self._peak_bytes / 1e9:.1f} GB each)"
            )
        return room

    def submit(self, number: int, step: TrialStep) -> None:
        """Give the step to a worker that waits, or to a new one."""
        if self._idle:
            colleague = self._idle.pop()
        else:
            colleague = _Colleague(self._opening, self._jobs, self._log)
            self._fresh.add(number)
        self._busy[number] = colleague
        thread = threading.Thread(target=self._work, args=(colleague, number, step), daemon=True)
        thread.start()

    def _work(self, colleague: _Colleague, number: int, step: TrialStep) -> None:
        self._done.put(colleague.do(number, step))

    def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
        """Return what has ended; see :class:`Executor`."""
        found: list[DoneStep] = []
        try:
            found.append(self._done.get(timeout=seconds))
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            pass
        for done in found:
            self._free_worker(done)
        return tuple(found)

    def _free_worker(self, done: DoneStep) -> None:
        colleague = self._busy.pop(done.number)
        self._fresh.discard(done.number)
        if done.result is not None:
            self._peak_bytes = max(self._peak_bytes, done.result.peak_bytes)
        if done.died or colleague.has_doubled(done.result):
            colleague.close()
        else:
            self._idle.append(colleague)

    def measure(self, meter: Meter) -> None:
        """No other machine is there."""

    def close(self) -> None:
        """End all workers, also in the middle of a step."""
        for colleague in (*self._busy.values(), *self._idle):
            colleague.close()
        self._busy.clear()
        self._idle.clear()


class _Colleague:
    """A worker process and what it has opened."""

    def __init__(self, opening: Opening, jobs: int, log: Path | None) -> None:
        threads = max(1, (os.cpu_count() or 1) // jobs)
        share = {"TF_NUM_INTRAOP_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)} if jobs > 1 else {}
        self._worker = Worker(_CHILD, log=log, environment={"TF_CPP_MIN_LOG_LEVEL": "2", **share})
        self._opening, self._opened = opening, False
        self._first_peak = 0

    def do(self, number: int, step: TrialStep) -> DoneStep:
        """Do a step, whatever becomes of the process."""
        try:
            if not self._opened:
                self._worker.ask({"open": plain_opening(self._opening)})
                self._opened = True
            result = StepResult(**self._worker.ask(step.to_dict()))
        except WorkerDiedError as death:
            return DoneStep(number, None, f"the worker died: {death.reason}", died=True)
        except WorkerAnswerError as error:
            return DoneStep(number, None, f"{error.kind}: {error.text}")
        except (OSError, ValueError) as error:  # the driver closed the pipes while the step ran
            return DoneStep(number, None, f"the worker was ended: {error}", died=True)
        self._first_peak = self._first_peak or result.peak_bytes
        return DoneStep(number, result)

    def has_doubled(self, result: StepResult | None) -> bool:
        """Say whether the process takes twice the memory of its first step: something in it leaks."""
        return result is not None and result.peak_bytes > 2 * self._first_peak > 0

    def close(self) -> None:
        """End the process."""
        self._worker.close()


def plain_opening(opening: Opening) -> dict[str, Any]:
    """Return an opening as JSON has it."""
    loading = dict(opening.loading)
    if dataclasses.is_dataclass(loading.get("limits")) and not isinstance(loading["limits"], type):
        loading["limits"] = dataclasses.asdict(loading["limits"])
    return {
        "model": opening.model,
        "data": dict(opening.data) if isinstance(opening.data, Mapping) else opening.data,
        "loading": {name: list(value) if isinstance(value, tuple) else value for name, value in loading.items()},
        "kept": opening.kept,
        "kept_bytes": opening.kept_bytes,
    }
