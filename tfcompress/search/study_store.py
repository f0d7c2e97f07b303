"""Where a search is written down: an Optuna study in a database, which ``optuna-dashboard`` opens as it is.

One driver asks and tells. What the database cannot take at once (it is locked, or restarts) is tried again for a while.
Importing this module imports Optuna.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tfcompress.errors import MissingDependencyError, OutputError, UsageError
from tfcompress.search.goals import Goal

PATIENCE_SECONDS = 120.0
"""How long a database may be away before the search gives up; what is finished by then is kept."""

OPENING_SECONDS = 20.0
"""How long it may be away when a search begins: most often its address is wrong."""

LOCK_SECONDS = 60.0
"""How long SQLite waits for another process's lock, before it is tried again."""

_TOLD_FROM = 0.4  # the pause before which a line says that there will be more of them

FACTS = "tfcompress"
"""Name of the attribute of a trial, and of the study, that holds what a search knows."""

T = TypeVar("T")


@dataclass
class _Patience:
    """Asks a database, and again while it does not answer.

    Attributes:
        url: of the database.
        seconds: how long to go on trying.
        note: takes a line when it does not answer, and when it does again.
    """

    url: str
    seconds: float
    note: Callable[[str], None] | None

    def __call__(self, call: Callable[[], T]) -> T:
        """Return what *call* gives.

        Raises:
            OutputError: the database does not answer for too long.
        """
        began, pause = time.monotonic(), 0.1
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what is experimental in Optuna, it says at each call
                    found = call()
            except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
                away = time.monotonic() - began
                reason = f"{_shown(self.url)}: {str(error.__cause__ or error).splitlines()[0]}"
                if away > self.seconds:
                    msg = f"the search cannot be written to --storage {reason}"
                    raise OutputError(msg) from error
                if pause == _TOLD_FROM:
                    self._tell(f"--storage {reason}; trying again for up to {self.seconds:.0f} s")
                time.sleep(pause)
                pause = min(2.0, 2 * pause)
            else:
                if pause > _TOLD_FROM:
                    self._tell(f"--storage {_shown(self.url)} answers again")
                return found

    def _tell(self, text: str) -> None:
        if self.note is not None:
            self.note(text)


class StudyStore:
    """A study in a database."""

    def __init__(
        self,
        url: str,
        name: str,
        goals: Sequence[Goal],
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Open the study, or make it.

        Args:
            url: as SQLAlchemy has it: ``sqlite:///study.db``, ``postgresql+psycopg://user@host/database``.
            name: of the study.
            goals: what is made smaller.
            patience_seconds: how long to go on trying.
            note: takes a line when the database does not answer, and when it does again.

        Raises:
            UsageError: no such kind of database.
            MissingDependencyError: its driver is not installed.
            OutputError: the database cannot be reached.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.url = url
        self._patiently = _Patience(url, min(patience_seconds, OPENING_SECONDS), note)
        self._given, self._lost = set[int](), False
        self._storage = storage = self._patiently(lambda: _opened(url))
        self.study = self._patiently(
            lambda: optuna.create_study(
                storage=storage, study_name=name, directions=["minimize"] * len(goals), load_if_exists=True
            )
        )
        if len(self.study.directions) != len(goals):
            msg = f"--storage {url}: study {name!r} has other goals; choose another place"
            raise UsageError(msg)
        self._patiently(lambda: self.study.set_metric_names([goal.name for goal in goals]))
        self._patiently.seconds = patience_seconds

    def close(self) -> None:
        """Leave the database; the study can be opened again."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def ask(self, sampler: optuna.samplers.BaseSampler) -> optuna.Trial:
        """Return the next trial: one that was enqueued, else a new one.

        Args:
            sampler: chooses its values.
        """
        self.study.sampler = sampler
        trial = self._patiently(self._asked)
        self._given.add(trial.number)
        return trial

    def _asked(self) -> optuna.Trial:
        """Ask once; a trial that an attempt before this one began, and could not give, is given now."""
        for trial in self.trials() if self._lost else ():
            if trial.state == TrialState.RUNNING and trial.number not in self._given:
                return self._begun(trial.number)
        self._lost = True
        found = self.study.ask()
        self._lost = False
        return found

    def take_up(self, number: int, sampler: optuna.samplers.BaseSampler) -> optuna.Trial:
        """Return a trial that an earlier driver did not end, with what was kept of it.

        Args:
            number: of the trial.
            sampler: chooses the values that it has not got yet.
        """
        self.study.sampler = sampler
        self._given.add(number)
        return self._patiently(lambda: self._begun(number))

    def _begun(self, number: int) -> optuna.Trial:
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        return optuna.Trial(self.study, self._storage.get_trial_id_from_study_id_trial_number(study_id, number))

    def suggested(self, trial: optuna.Trial, name: str, choices: Sequence[Any]) -> Any:
        """Return a trial's value of a dimension, one of *choices*."""
        return self._patiently(lambda: trial.suggest_categorical(name, tuple(choices)))

    def enqueue(self, params: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Have values tried before the sampler is asked, in the order of the calls, unless a trial has just these.

        Args:
            params: the values.
            facts: what is known already.
        """
        self._patiently(lambda: self.study.enqueue_trial(dict(params), {FACTS: dict(facts)}, skip_if_exists=True))

    def keep(self, trial: optuna.Trial, facts: Mapping[str, Any]) -> None:
        """Keep what is known of a trial."""
        self._patiently(lambda: trial.set_user_attr(FACTS, dict(facts)))

    def tell(self, trial: optuna.Trial, values: Sequence[float] | None, excess: Mapping[str, float]) -> None:
        """End a trial.

        Args:
            trial: which.
            values: of the goals; None: it has failed.
            excess: of each limit, by how much it is not kept; at most 0 where it is.
        """
        for name, value in excess.items():
            self._patiently(lambda name=name, value=value: trial.set_constraint(name, value))  # type: ignore[misc]
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        told = None if values is None else list(values)
        self._patiently(lambda: self.study.tell(trial, told, state=state, skip_if_finished=True))

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, in their order."""
        return self._patiently(lambda: self.study.get_trials(deepcopy=False))

    def facts(self) -> dict[str, Any]:
        """Return what is known of the search as a whole."""
        found: dict[str, Any] = self._patiently(lambda: self.study.user_attrs).get(FACTS, {})
        return dict(found)

    def keep_facts(self, facts: Mapping[str, Any]) -> None:
        """Keep what is known of the search as a whole."""
        self._patiently(lambda: self.study.set_user_attr(FACTS, dict(facts)))


def check_storage(
    url: str, *, patience_seconds: float = OPENING_SECONDS, note: Callable[[str], None] | None = None
) -> None:
    """Refuse a database that cannot hold a study, before anything slow is done; nothing is written.

    Args:
        url: as for :class:`StudyStore`.
        patience_seconds: how long to go on trying.
        note: takes a line when the database does not answer, and when it does again.

    Raises:
        UsageError: no such kind of database, or one that lives in memory.
        MissingDependencyError: its driver is not installed.
        OutputError: it cannot be reached.
    """
    place = _read_url(url)
    if place.get_backend_name() == "sqlite":
        if place.database and not Path(place.database).parent.is_dir():
            msg = f"the search cannot be written to --storage {_shown(url)}: {Path(place.database).parent} is no folder"
            raise OutputError(msg)
        return  # to connect would make the file
    engine = sqlalchemy.create_engine(place)
    try:
        _Patience(url, patience_seconds, note)(lambda: engine.connect().close())
    finally:
        engine.dispose()


def _read_url(url: str) -> sqlalchemy.URL:
    """Return a database's URL. Raises as :func:`check_storage` does."""
    try:
        place = sqlalchemy.make_url(url)
        place.get_dialect().import_dbapi()
    except ImportError as error:
        msg = (
            f"--storage {_shown(url)} needs a driver that is not installed ({error.name or error}); for PostgreSQL: "
            "pip install 'tfcompress[postgres]', and postgresql+psycopg://..."
        )
        raise MissingDependencyError(msg) from error
    except (ValueError, SQLAlchemyError) as error:
        msg = (
            f"--storage must be a database as SQLAlchemy names it (sqlite:///study.db, "
            f"postgresql+psycopg://user@host/database), got {_shown(url)!r}"
        )
        raise UsageError(msg) from error
    if place.get_backend_name() == "sqlite" and place.database in (None, "", ":memory:"):
        msg = f"--storage must outlive this process, and {_shown(url)!r} is in its memory; name a file: sqlite:///study.db"
        raise UsageError(msg)
    return place


def _opened(url: str) -> optuna.storages.RDBStorage:
    lite = _read_url(url).get_backend_name() == "sqlite"
    more: dict[str, Any] = {"connect_args": {"timeout": LOCK_SECONDS}} if lite else {"pool_pre_ping": True}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=more)
    if lite:
        sqlalchemy.event.listen(storage.engine, "connect", _quicken)
        storage.engine.dispose()  # connections from before
    return storage


def _quicken(connection: Any, _: object) -> None:
    """Have SQLite append to a log, which a kill leaves in order, instead of syncing several files a commit."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _shown(url: str) -> str:
    """Return a URL without its password."""
    scheme, slashes, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme}{slashes}{login.partition(':')[0]}{at}{place}"
