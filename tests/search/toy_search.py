"""A search without models: an executor that makes figures up from the recipe, and whatever else a driver needs."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from tfcompress.search.driver import Search, SearchPlan, Watcher
from tfcompress.search.executors import DoneStep, GoOn, always
from tfcompress.search.goals import Goal, Limits, goals_of
from tfcompress.search.metering import MeasureFile
from tfcompress.search.proposals import Proposals, recipes_by_hand
from tfcompress.search.space import Space, space_of
from tfcompress.search.study_store import StudyStore
from tfcompress.search.trial import StepResult, TrialStep
from tfcompress.settings import Export
from tfcompress.train_settings import Train

SIZES = {"none": 100_000, "float16": 50_000, "dynamic": 30_000, "int8": 26_000, "int16x8": 27_000}
DROPS = {"none": 0.0, "float16": 0.0, "dynamic": 0.4, "int8": 0.6, "int16x8": 0.2}
STUDY = "study.db"
LIMITS = Limits(drop=1.0, size=60_000)


def toy_space(*, epochs: int = 5) -> Space:
    """Return the space of a search for small files."""
    return space_of(train=Train(epochs=epochs, decay="cosine"), export=Export(), gains=("file",))


@functools.cache
def begun_study(goals: tuple[Goal, ...]) -> bytes:
    """Return the database of a study that knows what comes first, and nothing else yet; made once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        space, store = toy_space(), toy_store(Path(folder), goals)
        Proposals(space, store, seed=0, goals=len(goals), trials=None).enqueue(recipes_by_hand(space))
        store.close()
        return (Path(folder) / STUDY).read_bytes()


def toy_store(folder: Path, goals: tuple[Goal, ...]) -> StudyStore:
    """Return the study in a folder."""
    return StudyStore(f"sqlite:///{folder / STUDY}", "toy", goals, patience_seconds=30.0)


def toy_result(step: TrialStep) -> StepResult:
    """Return figures that follow from a step's recipe alone: stages cost accuracy, training gets some of it back."""
    recipe = step.candidate.recipe
    kinds = [stage.kind for stage in recipe.stages]
    left = {"draft": 4.0, "short": 1.5, "full": 1.0}[step.kind] if kinds else 1.0
    removed = next((part for stage in recipe.stages if isinstance(part := getattr(stage, "remove", 0), float)), 0.0)
    saved = DROPS[recipe.export.quantize] * (0.3 if any(stage.numbers for stage in recipe.stages) else 1.0)
    size = round(SIZES[recipe.export.quantize] * (1 - 0.8 * removed))
    points = saved + left * (0.3 * removed + 0.1 * len(kinds))
    trained = {"draft": 0.0, "short": 1.0, "full": 5.0}[step.kind] if kinds else 0.0
    return StepResult(
        points=points, size_bytes=size, gzip_bytes=size // 2, seconds=1.0 + trained, trained_seconds=trained
    )


class ToyExecutor:
    """Does steps at once, in the order of the calls.

    Attributes:
        done: every step that was done, with its number.
    """

    def __init__(self, result: Callable[[TrialStep], StepResult] = toy_result, *, jobs: int = 1) -> None:
        self.done: list[tuple[int, TrialStep]] = []
        self._result, self._jobs = result, jobs
        self._waiting: list[tuple[int, TrialStep]] = []

    @property
    def free(self) -> int:
        return self._jobs - len(self._waiting)

    def submit(self, number: int, step: TrialStep) -> None:
        self._waiting.append((number, step))

    def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
        number, step = self._waiting.pop(0)
        self.done.append((number, step))
        return (DoneStep(number, self._result(step)),)

    def close(self) -> None:
        self._waiting.clear()


class Unwatched:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def show(self, search: Search) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


def toy_search(
    folder: Path,
    executor: ToyExecutor,
    *,
    trials: int | None = 20,
    limits: Limits = LIMITS,
    seconds: float | None = None,
    measure: MeasureFile | None = None,
    watcher: Watcher | None = None,
) -> Search:
    """Return a search whose study lies in a folder; another one there goes on with it."""
    goals = goals_of(limits, smaller="size", known=() if measure is None else ("p90",))
    space = toy_space()
    if not (folder / STUDY).exists():
        (folder / STUDY).write_bytes(begun_study(goals))
    store = toy_store(folder, goals)
    proposals = Proposals(space, store, seed=0, goals=len(goals), trials=trials)
    plan = SearchPlan(
        limits=limits,
        goals=goals,
        decides=next(each for each in goals if each.name == "size"),
        trials=trials,
        seconds=seconds,
        files=folder,
        measure=measure,
    )
    return Search(plan, space, store, proposals, executor, watcher or Unwatched())
