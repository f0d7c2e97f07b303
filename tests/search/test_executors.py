"""Workers of this machine: steps come back, deaths are told, and memory decides how many there are."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.search.toy_search import toy_result, toy_space
from tfcompress.progress import SILENT, Progress
from tfcompress.search import executors
from tfcompress.search.executors import Clock, DoneStep, InProcessExecutor, LocalExecutor
from tfcompress.search.trial import Opening, StepResult, TrialStep
from tfcompress.worker import WorkerAnswerError, WorkerDiedError

OPENING = Opening(model="model.keras", data={"spec": "data.npz"})
STEP = TrialStep(candidate=toy_space().candidate({}), kind="full")


class ToyWorker:
    """Stands in for a process; what it does is its class's."""

    act: Callable[[], dict[str, Any]]
    started = 0

    def __init__(self, module: str, **more: Any) -> None:
        type(self).started += 1
        self.opened = False

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if "open" in request:
            self.opened = True
            return {}
        return type(self).act()

    def close(self) -> None:
        pass


def fill(executor: LocalExecutor, most: int) -> int:
    """Submit steps while the executor is free; return how many."""
    count = 0
    while executor.free > 0 and count < most:
        executor.submit(100 + count, STEP)
        count += 1
    return count


def all_of(executor: LocalExecutor, count: int) -> list[DoneStep]:
    found: list[DoneStep] = []
    end = time.monotonic() + 20
    while len(found) < count and time.monotonic() < end:
        found += executor.wait(0.2)
    return found


def use(monkeypatch: pytest.MonkeyPatch, act: Callable[[], dict[str, Any]]) -> type[ToyWorker]:
    kind = type("Used", (ToyWorker,), {"act": staticmethod(act), "started": 0})
    monkeypatch.setattr(executors, "Worker", kind)
    return kind


def measured(peak_bytes: int) -> dict[str, Any]:
    return {**toy_result(STEP).to_dict(), "peak_bytes": peak_bytes}


def test_the_first_step_runs_alone_and_memory_decides_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = use(monkeypatch, lambda: measured(1000))
    monkeypatch.setattr(executors, "available_bytes", lambda: 2600)
    executor = LocalExecutor(OPENING, 4, progress=SILENT)
    assert fill(executor, 9) == 1
    assert [done.result is not None for done in all_of(executor, 1)] == [True]
    assert executor.free == 3  # the one that waits, and 2 of 2,600 / 1,250
    assert fill(executor, 9) == 3
    assert len(all_of(executor, 3)) == 3
    assert kind.started == 3


@pytest.mark.parametrize(
    ("error", "died"),
    [(WorkerDiedError("SIGKILL", ""), True), (WorkerAnswerError("KeyError", "'x'"), False), (OSError("closed"), True)],
)
def test_what_goes_wrong_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch, *, died: bool) -> None:
    def act() -> dict[str, Any]:
        raise error

    use(monkeypatch, act)
    executor = LocalExecutor(OPENING, 1, progress=SILENT)
    executor.submit(7, STEP)
    (done,) = all_of(executor, 1)
    assert (done.number, done.result, done.died) == (7, None, died)
    assert done.failure
    assert executor.free == 1


def test_a_worker_whose_memory_has_doubled_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([1000, 1500, 2001, 1000])
    kind = use(monkeypatch, lambda: measured(next(peaks)))
    executor = LocalExecutor(OPENING, 1, progress=SILENT)
    for number in range(4):
        executor.submit(number, STEP)
        all_of(executor, 1)
    assert kind.started == 2


def test_a_step_in_this_process_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bench:
        """Trains for many batches, and takes no error but the user's own for its business."""

        def __init__(self, progress: Progress) -> None:
            self.progress, self.batches = progress, 0

        def run(self, step: TrialStep) -> StepResult:
            with contextlib.suppress(Exception), self.progress.task("training", 1000) as task:
                for _ in range(1000):
                    self.batches += 1
                    task.advance()
            return toy_result(step)

    monkeypatch.setattr(executors, "LOOK_SECONDS", 0.0)
    clock = Clock()
    bench: Any = Bench(clock)
    executor = InProcessExecutor(bench, clock)
    for number, most in enumerate((1000, 20)):
        bench.batches = 0
        executor.submit(number, STEP)
        done = executor.wait(0.1, lambda most=most: bench.batches < most or most == 1000)
        assert bench.batches == most
        assert [each.number for each in done] == ([number] if most == 1000 else [])
    executor.submit(3, STEP)  # what ended one step ends no other
    assert len(executor.wait(0.1)) == 1


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        """Is found again by who wants to kill it."""

        def __init__(self, *values: Any, **more: Any) -> None:
            super().__init__(*values, **more)
            started.append(self)

    monkeypatch.setattr("tfcompress.worker.subprocess.Popen", Noted)
    executor = LocalExecutor(OPENING, 1, progress=SILENT)
    executor.submit(1, STEP)
    started[0].kill()  # while it imports
    (done,) = all_of(executor, 1)
    executor.close()
    assert done.died
    assert done.failure == "the worker died: SIGKILL"
