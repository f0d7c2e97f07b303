"""The study of a search in a database that goes away in the middle of a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from tests.search.toy_search import LIMITS, toy_store
from tfcompress.errors import MissingDependencyError, OutputError, UsageError
from tfcompress.search.goals import goals_of
from tfcompress.search.study_store import check_storage


def test_a_trial_that_was_begun_when_the_database_went_away_is_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = toy_store(tmp_path, goals_of(LIMITS, smaller="size"))
    for value in ("first", "second"):
        store.enqueue({"x": value}, {})
    ask, failures = store.study.ask, [1]

    def unanswered(*values: Any) -> optuna.Trial:
        trial = ask(*values)
        if failures:
            failures.pop()
            msg = "server closed the connection unexpectedly"
            raise optuna.exceptions.StorageInternalError(msg)
        return trial

    monkeypatch.setattr(store.study, "ask", unanswered)
    given = [store.ask(RandomSampler(seed=0)) for _ in range(2)]
    assert [store.suggested(trial, "x", ("first", "second")) for trial in given] == ["first", "second"]
    assert {trial.state for trial in store.trials()} == {TrialState.RUNNING}


def test_a_trial_that_is_taken_up_has_the_values_that_it_had(tmp_path: Path) -> None:
    goals = goals_of(LIMITS, smaller="size")
    store, choices = toy_store(tmp_path, goals), tuple(range(100))
    trial = store.ask(RandomSampler(seed=0))
    values = [store.suggested(trial, name, choices) for name in ("a", "b")]
    store.keep(trial, {"state": "running"})
    store.close()
    again = toy_store(tmp_path, goals)
    taken = again.take_up(trial.number, RandomSampler(seed=1))
    assert [again.suggested(taken, name, choices) for name in ("a", "b")] == values
    again.tell(taken, [0.0] * len(goals), {})
    assert [each.state for each in again.trials()] == [TrialState.COMPLETE]


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("nonsense", UsageError, r"--storage must be a database as SQLAlchemy names it \(.*\), got 'nonsense'"),
        ("redis://u:secret@h", UsageError, r"got 'redis://u@h'"),
        ("sqlite://", UsageError, r"must outlive this process, and 'sqlite://' is in its memory; name a file"),
        ("sqlite:///:memory:", UsageError, r"is in its memory; name a file: sqlite:///study\.db"),
        (
            "sqlite:////no/where/x.db",
            OutputError,
            r"cannot be written to --storage sqlite:////no/.*: /no/where is no f",
        ),
        (
            "mssql+pymssql://u:secret@h/db",
            MissingDependencyError,
            r"mssql\+pymssql://u@h/db needs a driver .*\(pymssql\)",
        ),
    ],
)
def test_a_storage_that_can_be_none_is_refused_before_anything_is_done(
    url: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        check_storage(url)


def test_a_file_that_can_hold_a_study_is_not_made_by_the_check(tmp_path: Path) -> None:
    check_storage(f"sqlite:///{tmp_path / 'study.db'}")
    assert list(tmp_path.iterdir()) == []
