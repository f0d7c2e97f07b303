"""The driver: every candidate once, gates, kills, limits."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.search.toy_search import LIMITS, ToyExecutor, Unwatched, toy_result, toy_search, toy_space
from tfcompress.errors import ContractError, OutputError, TfcompressError
from tfcompress.recipe import named
from tfcompress.search.driver import Search, best_records
from tfcompress.search.executors import DoneStep, GoOn, always
from tfcompress.search.goals import GOALS, Goal, Limits
from tfcompress.search.metering import DeviceFigures
from tfcompress.search.proposals import HAND, VARIED
from tfcompress.search.space import Candidate
from tfcompress.search.study_store import StudyStore
from tfcompress.search.trial import StepResult, TrialStep
from tfcompress.search.variations import variations

TRIALS = 14


class Killed(BaseException):
    """Stands for a SIGKILL: nothing of the driver runs after it."""


def dying(after: int) -> Callable[[TrialStep], StepResult]:
    """Return a worker that takes the driver along with it at a certain step."""
    left = [after]

    def result(step: TrialStep) -> StepResult:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return toy_result(step)

    return result


def ends_of(search: Search) -> dict[Candidate, tuple[str, str, dict[str, float]]]:
    """Return what became of each candidate."""
    return {record.candidate: (record.state, record.reason, record.figures) for record in search.records}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, ToyExecutor]:
    executor = ToyExecutor()
    search = toy_search(tmp_path_factory.mktemp("search"), executor, trials=TRIALS)
    search.run()
    return search, executor


def test_no_candidate_is_tried_twice(undisturbed: tuple[Search, ToyExecutor]) -> None:
    search, executor = undisturbed
    candidates = [record.candidate for record in search.records]
    assert len(candidates) == len(set(candidates)) == TRIALS
    assert max(Counter((step.candidate, step.kind) for _, step in executor.done).values()) == 1


def test_what_is_made_by_hand_comes_first_and_what_trains_nothing_before_what_trains(
    undisturbed: tuple[Search, ToyExecutor],
) -> None:
    sources = [record.source for record in undisturbed[0].records]
    assert sources == sorted(sources, key=lambda source: source != "by hand")
    stages = [len(record.candidate.recipe.stages) for record in undisturbed[0].records if record.source == "by hand"]
    assert stages == sorted(stages)
    assert {"by hand", "TPE"} <= set(sources)


def test_a_candidate_without_training_has_one_step_and_one_with_it_goes_through_all(
    undisturbed: tuple[Search, ToyExecutor],
) -> None:
    for record in undisturbed[0].finished:
        expected = ["draft", "short", "full"] if record.candidate.recipe.stages else ["full"]
        assert list(record.steps) == expected


def test_a_limit_on_bytes_stops_before_any_training(undisturbed: tuple[Search, ToyExecutor], tmp_path: Path) -> None:
    executor = ToyExecutor(lambda step: StepResult(points=0.0, size_bytes=70_000, gzip_bytes=1, seconds=1.0))
    search = toy_search(tmp_path, executor, trials=TRIALS)
    search.run()
    trained = [record for record in search.records if record.candidate.recipe.stages]
    settled = [record for record in trained if record.state == "stopped"]
    assert settled
    assert all(list(record.steps) == ["draft"] for record in settled)
    assert all("allowed are 60,000 B" in record.reason for record in settled)


def test_the_front_is_what_no_finished_trial_beats(undisturbed: tuple[Search, ToyExecutor]) -> None:
    search = undisturbed[0]
    points = [record.point(search.plan.goals) for record in search.front]
    others = [record.point(search.plan.goals) for record in search.finished]
    assert all(not (a[0] <= p[0] and a[1] <= p[1] and a != p) for p in points for a in others)


@pytest.mark.parametrize("after", [0, 3, 8, 11, 17])
def test_a_killed_driver_is_followed_by_one_that_repeats_at_most_the_step_in_flight(
    after: int, undisturbed: tuple[Search, ToyExecutor], tmp_path: Path
) -> None:
    first = ToyExecutor(dying(after))
    with pytest.raises(Killed):
        toy_search(tmp_path, first, trials=TRIALS).run()
    second = ToyExecutor()
    search = toy_search(tmp_path, second, trials=TRIALS)
    search.run()
    assert len(search.records) == TRIALS
    done = Counter((step.candidate, step.kind) for _, step in [*first.done, *second.done])
    assert sum(count - 1 for count in done.values()) <= 1
    assert ends_of(search) == ends_of(undisturbed[0])


@pytest.mark.parametrize("state", ["stopped", "finished"])
def test_what_a_driver_knew_of_a_trial_that_it_could_not_end_any_more_is_not_done_again(
    state: str, undisturbed: tuple[Search, ToyExecutor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = StudyStore.keep

    def killed_after(store: StudyStore, trial: optuna.Trial, facts: Mapping[str, Any]) -> None:
        keep(store, trial, facts)
        if facts["state"] == state:
            raise Killed

    first, second = ToyExecutor(), ToyExecutor()
    with monkeypatch.context() as patched:
        patched.setattr(StudyStore, "keep", killed_after)
        with pytest.raises(Killed):
            toy_search(tmp_path, first, trials=TRIALS).run()
    search = toy_search(tmp_path, second, trials=TRIALS)
    search.run()
    assert state in {record.state for record in search.records}
    assert ends_of(search) == ends_of(undisturbed[0])
    assert [step for _, step in first.done + second.done] == [step for _, step in undisturbed[1].done]


def test_a_trial_whose_driver_died_at_its_very_end_counts_once_and_ends_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    for told in (killed, killed, StudyStore.tell):
        monkeypatch.setattr(StudyStore, "tell", told)
        search = toy_search(tmp_path, ToyExecutor(), trials=TRIALS)
        with contextlib.suppress(Killed):
            search.run()
    again = toy_search(tmp_path, ToyExecutor(), trials=TRIALS)
    for each in (search, again):
        assert len({record.candidate for record in each.records}) == len(each.records) == TRIALS


def test_a_worker_that_dies_is_replaced_once_and_then_the_candidate_is_given_up(tmp_path: Path) -> None:
    class Frail(ToyExecutor):
        """Dies of some candidates: once, or always."""

        def wait(self, seconds: float, go_on: GoOn = always) -> tuple[DoneStep, ...]:
            (found,) = super().wait(seconds)
            number, step = self.done[-1]
            before = sum(each == (number, step) for each in self.done)
            quantize = step.candidate.recipe.export.quantize
            if quantize == "int16x8" or (quantize == "dynamic" and before == 1):
                return (DoneStep(number, None, "the worker died: SIGKILL", died=True),)
            return (found,)

    search = toy_search(tmp_path, Frail(), trials=9)
    search.run()
    states = {record.name: (record.state, record.deaths) for record in search.records}
    assert states["dynamic"] == ("finished", 1)
    assert states["int16x8"] == ("failed", 2)


def test_first_trials_that_all_fail_end_the_search_with_the_reason(tmp_path: Path) -> None:
    search = toy_search(tmp_path, ToyExecutor(lambda step: StepResult(refusal="DataError: no such thing")), trials=9)
    with pytest.raises(TfcompressError, match=r"the first 3 candidates all fail; the last one, .*: DataError: no such"):
        search.run()


def test_ctrl_c_ends_the_search_and_keeps_what_it_has(tmp_path: Path) -> None:
    def interrupted(step: TrialStep) -> StepResult:
        if step.candidate.recipe.stages:
            raise KeyboardInterrupt
        return toy_result(step)

    search = toy_search(tmp_path, ToyExecutor(interrupted), trials=TRIALS)
    search.run()
    assert search.interrupted
    assert len(search.finished) == sum(not recipe.stages for recipe in named().values())


def test_a_search_without_time_still_finishes_one_candidate(tmp_path: Path) -> None:
    search = toy_search(tmp_path, ToyExecutor(), trials=TRIALS, seconds=1e-6)
    search.run()
    assert len(search.finished) == 1


def test_time_that_an_earlier_driver_spent_counts(tmp_path: Path) -> None:
    seen: list[float] = []

    def result(step: TrialStep) -> StepResult:
        seen.append(first.spent_seconds)
        return toy_result(step)

    first = toy_search(tmp_path, ToyExecutor(result), trials=2)
    first.run()
    assert toy_search(tmp_path, ToyExecutor(), trials=4).spent_seconds > seen[-1] > 0


def test_a_study_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    search = toy_search(tmp_path, ToyExecutor(), trials=3)
    holder = sqlite3.connect(tmp_path / "study.db", check_same_thread=False, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    threading.Timer(1.5, holder.execute, ["ROLLBACK"]).start()
    search.run()
    assert time.monotonic() - began >= 1.5
    assert len(search.finished) == 3


def test_a_storage_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"sqlite:////{tmp_path}/no/folder/study.db"
    with pytest.raises(OutputError, match=r"cannot be written to --storage sqlite:////.*unable to open"):
        StudyStore(url, "toy", tuple(GOALS.values())[:2], patience_seconds=0.0)


def test_what_keeps_the_limits_comes_first_then_what_is_amiss_least(undisturbed: tuple[Search, ToyExecutor]) -> None:
    size: Goal = GOALS["size"]
    ordered = best_records(undisturbed[0].finished, LIMITS, size)
    violations = [LIMITS.violation(record.figures) for record in ordered]
    assert violations == sorted(violations)
    sizes = [record.figures["size"] for record in ordered if not LIMITS.violation(record.figures)]
    assert sizes == sorted(sizes)


def test_latency_is_measured_on_the_first_file_and_once_for_equal_ones(tmp_path: Path) -> None:
    measured: list[Path] = []

    def written(step: TrialStep) -> StepResult:
        found = toy_result(step)
        if step.file is not None:
            Path(step.file).write_bytes(b"a file")
        return dataclasses.replace(found, sha256=str(found.size_bytes))

    def measure(file: Path) -> DeviceFigures:
        assert file.read_bytes() == b"a file"
        measured.append(file)
        return DeviceFigures(2.0, 0.004)

    limits = Limits(drop=1.0, p90=3.0)
    search = toy_search(tmp_path, ToyExecutor(written), trials=9, limits=limits, measure=measure)
    search.run()
    first = [next(iter(record.steps.values())).sha256 for record in search.records]
    assert len(measured) == len(set(first)) < len(first)
    assert {record.figures["p90"] for record in search.finished} == {2.0}
    assert {record.figures["energy"] for record in search.finished} == {0.004}
    again = toy_search(tmp_path, ToyExecutor(), trials=9, limits=limits, measure=measure)
    assert [record.figures for record in again.records] == [record.figures for record in search.records]
    assert list(tmp_path.glob("*.tflite")) == []


def test_a_file_that_the_device_cannot_run_is_refused_and_the_search_goes_on(tmp_path: Path) -> None:
    def written(step: TrialStep) -> StepResult:
        if step.file is not None:
            Path(step.file).write_text(step.candidate.recipe.export.quantize)
        return dataclasses.replace(toy_result(step), sha256=step.candidate.name)

    def measure(file: Path) -> DeviceFigures:
        if file.read_text() == "int16x8":
            msg = "pi cannot time it: no such kernel"
            raise ContractError(msg)
        return DeviceFigures(2.0)

    limits = Limits(drop=1.0, p90=3.0)
    search = toy_search(tmp_path, ToyExecutor(written), trials=9, limits=limits, measure=measure)
    search.run()
    refused = [record for record in search.records if record.state == "refused"]
    assert {record.candidate.recipe.export.quantize for record in refused} == {"int16x8"}
    assert {record.reason for record in refused} == {"pi cannot time it: no such kernel"}
    assert search.finished


def test_a_file_that_is_too_slow_untrained_is_not_trained(tmp_path: Path) -> None:
    def written(step: TrialStep) -> StepResult:
        if step.file is not None:
            Path(step.file).write_bytes(b"a file")
        return toy_result(step)

    executor = ToyExecutor(written)
    toy_search(
        tmp_path, executor, trials=9, limits=Limits(drop=1.0, p90=3.0), measure=lambda file: DeviceFigures(4.0)
    ).run()
    assert {step.kind for _, step in executor.done if step.candidate.recipe.stages} == {"draft"}


class _EndsAfter(Unwatched):
    def __init__(self, records: int) -> None:
        super().__init__()
        self._records = records

    def show(self, search: Search) -> None:
        if len(search.records) >= self._records:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("seconds", "method"), [(1e6, "NSGA-II"), (4.0, "TPE"), (None, "TPE")])
def test_candidates_evolve_where_there_is_time_for_many_and_more_than_two_figures_count(
    tmp_path: Path, seconds: float | None, method: str
) -> None:
    def written(step: TrialStep) -> StepResult:
        if step.file is not None:
            Path(step.file).write_bytes(b"a file")
        if seconds == 4.0:
            time.sleep(0.02)
        return dataclasses.replace(toy_result(step), sha256=step.candidate.name)

    def search() -> Search:
        return toy_search(
            tmp_path,
            ToyExecutor(written),
            trials=None,
            seconds=seconds,
            limits=Limits(drop=1.0, p90=3.0),
            measure=lambda file: DeviceFigures(2.0, 0.004),
            watcher=_EndsAfter(18),
        )

    search().run()
    again = search()
    again.run()
    sources = {record.source for record in again.records[9:] if not record.source.startswith(VARIED)}
    assert sources - {"at random"} == {method}


def test_every_other_candidate_differs_in_one_thing_from_one_of_the_best(tmp_path: Path) -> None:
    search = toy_search(tmp_path, ToyExecutor(), trials=30)
    search.run()
    later = [record for record in search.records if record.source != HAND]
    varied = [record for record in later if record.source.startswith(VARIED)]
    assert len(varied) >= len(later) // 2
    for record in varied:
        base = next(each for each in search.records if each.number == int(record.source.rpartition(" ")[2]))
        assert not search.plan.limits.violation(base.figures)
        around = variations(toy_space(), base.selection)
        assert any(record.candidate in found for found in around.values())
    best = best_records(search.finished, search.plan.limits, search.plan.decides)[0]
    assert best.figures["size"] < min(each.figures["size"] for each in search.finished if each.source == HAND)


def test_a_search_that_was_stopped_varies_what_it_would_have(tmp_path: Path) -> None:
    def names(folder: Path, *parts: int) -> list[str]:
        folder.mkdir()
        for trials in parts:
            search = toy_search(folder, ToyExecutor(), trials=trials)
            search.run()
        return [record.name for record in search.records]

    assert names(tmp_path / "whole", 24) == names(tmp_path / "parts", 12, 17, 24)


def test_each_step_of_every_worker_beside_another_is_taken(tmp_path: Path) -> None:
    executor = ToyExecutor(jobs=3)
    search = toy_search(tmp_path, executor, trials=TRIALS)
    search.run()
    assert len(search.records) == TRIALS
    assert all(record.state != "running" for record in search.records)
