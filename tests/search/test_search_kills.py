"""``auto`` by real processes that are killed: the same command goes on, and each kill costs at most the step in flight.

``pytest -m kills tests/search/test_search_kills.py``
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from tests.search.postgres_server import PostgresServer, server_binaries

pytestmark = [pytest.mark.kills, pytest.mark.timeout(1800)]

TRIALS = 12
PATIENCE_SECONDS = 600

DRAWN_AGAIN = ("duplicate", "invalid")
"""States of what was drawn and not tried."""

Driver = subprocess.Popen[bytes]
Start = Callable[..., Driver]


@pytest.fixture(scope="module")
def problem(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network that answers nearly always right, and its data."""
    folder = tmp_path_factory.mktemp("problem")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    hidden = [layers.Dense(48, "relu"), layers.Dense(32, "relu")]
    model = keras.Sequential([keras.Input((8,), name="x"), *hidden, layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1800, 8)).astype(np.float32)
    y = (x[:, :4].sum(axis=1) > 0).astype(np.int64)
    model.fit(x[:1000], y[:1000], epochs=25, batch_size=32, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", x_train=x[:1000], y_train=y[:1000], x_test=x[1000:], y_test=y[1000:])
    return folder


@pytest.fixture(scope="module")
def start(problem: Path) -> Iterator[Start]:
    """Return what starts the search of these tests in a folder; what still runs at their end is killed."""
    begun: list[Driver] = []

    def started(folder: Path, *more: str, trials: int = TRIALS) -> Driver:
        words = [sys.executable, "-m", "tfcompress", "auto", str(problem / "model.keras")]
        words += ["--data", str(problem / "data.npz"), "-o", str(folder / "out"), "--cache", str(folder / "cache")]
        words += ["--max-drop", "3", "--trials", str(trials), "--epochs", "3", "--without", "distill", *more]
        variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with (folder / "said.txt").open("ab") as said:
            begun.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=variables))
        return begun[-1]

    yield started
    for process in begun:
        process.kill()
        process.wait()


def study_of(folder: Path) -> Path:
    """Return the study's file: of a search that goes on, or that has ended."""
    hidden = folder / ".out.partial" / "study.db"
    return hidden if hidden.exists() else folder / "out" / "study.db"


def asked(folder: Path, query: str) -> list[Any]:
    """Return the rows of a query to the study; none while there is no study."""
    with contextlib.suppress(sqlite3.Error):
        url = f"file:{study_of(folder)}?mode=ro"
        with contextlib.closing(sqlite3.connect(url, uri=True, timeout=30)) as study:
            return study.execute(query).fetchall()
    return []


def ended(folder: Path) -> int:
    """Return how many trials have come to an end."""
    return len(asked(folder, "select number from trials where state in ('COMPLETE', 'FAIL')"))


def results(folder: Path) -> list[tuple[Any, ...]]:
    """Return of every trial how it ended, what was tried, and the figures."""
    return results_in(f"sqlite:///{study_of(folder)}")


def results_in(url: str) -> list[tuple[Any, ...]]:
    """Return the same of the one study in a database."""
    found = []
    for trial in trials_in(url):
        facts = trial.user_attrs["tfcompress"]
        if facts["state"] in DRAWN_AGAIN:
            continue
        steps = {kind: (step["points"], step["sha256"], step["refusal"]) for kind, step in facts["steps"].items()}
        found.append((trial.number, trial.state.name, facts["state"], facts["selection"], steps))
    return found


def trials_in(url: str) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of the one study in a database that were begun."""
    storage = optuna.storages.RDBStorage(url)
    try:
        (name,) = optuna.get_all_study_names(storage)
        trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return [trial for trial in trials if trial.state != optuna.trial.TrialState.WAITING]


def made(folder: Path) -> Counter[str]:
    """Return how often each part was made."""
    lines = (folder / "cache" / "made.jsonl").read_text("utf-8").splitlines()
    return Counter(json.loads(line)["key"] for line in lines)


def trains(folder: Path) -> bool:
    """Say whether an epoch of a training that goes on is kept."""
    return any((folder / "cache").glob("*-epochs/*"))


def workers_of(process: Driver) -> list[int]:
    """Return the processes that make candidates for a driver."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (each / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(process.pid) and "trial_child" in (each / "cmdline").read_text():
                found.append(int(each.name))
    return found


def wait_for(condition: Callable[[], bool], process: Driver) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, "the search ended before it could be disturbed"
        assert time.monotonic() < end
        time.sleep(0.02)


def facts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "front.json").read_text("utf-8"))
    return found


def finals_of(folder: Path) -> list[Any]:
    """Return what was judged at the end, with the figures of the test split."""
    return [(each["name"], each["figures"], each["score"]) for each in facts_of(folder)["finals"]]


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text("utf-8")


def same_end(folder: Path, undisturbed: Path) -> bool:
    """Say whether a search tried and found what one did that nobody disturbed."""
    return results(folder) == results(undisturbed) and finals_of(folder) == finals_of(undisturbed)


@pytest.fixture(scope="module")
def undisturbed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder)
    assert process.wait(PATIENCE_SECONDS) == 0, said(folder)
    tried = results(folder)
    assert len(tried) == TRIALS
    assert {"finished", "TPE"} <= {
        *(each[2] for each in tried),
        *(each["source"] for each in facts_of(folder)["tried"]),
    }
    assert max(made(folder).values()) == 1
    return folder


def test_a_driver_that_is_killed_at_five_points_comes_to_the_same_end(
    start: Start, undisturbed: Path, tmp_path: Path
) -> None:
    points: tuple[Callable[[], bool], ...] = (
        lambda: study_of(tmp_path).exists(),  # it lays the study out
        lambda: ended(tmp_path) >= 1,
        lambda: trains(tmp_path),
        lambda: ended(tmp_path) >= TRIALS - 2,  # the sampler's turn
        lambda: (tmp_path / ".out.partial" / "front").exists(),  # the last judging
    )
    for point in points:
        process = start(tmp_path)
        wait_for(point, process)
        process.kill()
        process.wait()
        assert not (tmp_path / "out").exists()
    assert start(tmp_path).wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert same_end(tmp_path, undisturbed)
    # A part in the making when its driver died was not noted; one that was there is not made again.
    assert made(tmp_path) == made(undisturbed)


def test_a_killed_worker_a_locked_study_and_a_truncated_part_cost_a_step_each(
    start: Start, undisturbed: Path, tmp_path: Path
) -> None:
    process = start(tmp_path)
    wait_for(lambda: trains(tmp_path) and bool(workers_of(process)), process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    before = ended(tmp_path)
    wait_for(lambda: ended(tmp_path) > before, process)
    with contextlib.closing(sqlite3.connect(study_of(tmp_path), isolation_level=None, timeout=60)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        time.sleep(10.0)
        assert process.poll() is None
        holder.execute("ROLLBACK")
    kept = tmp_path / "cache"
    wait_for(lambda: any(kept.glob("*/model.keras")), process)
    process.kill()
    process.wait()
    cut = next(kept.glob("*/model.keras"))
    cut.write_bytes(cut.read_bytes()[:100])
    assert start(tmp_path).wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert same_end(tmp_path, undisturbed)
    again = made(tmp_path) - made(undisturbed)
    assert again in (Counter(), Counter([cut.parent.name]))  # of the truncated one, should it have been needed again
    assert "the worker died: SIGKILL; once more" in said(tmp_path)


def test_two_workers_of_which_one_is_killed_three_times_make_no_part_twice(
    start: Start, undisturbed: Path, tmp_path: Path
) -> None:
    process, kills = start(tmp_path, "--jobs", "2"), 3
    for count in range(kills):
        wait_for(lambda count=count: ended(tmp_path) >= 2 * count + 1 and bool(workers_of(process)), process)  # type: ignore[misc]
        os.kill(workers_of(process)[-1], signal.SIGKILL)
    assert process.wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert max(made(tmp_path).values()) == 1
    drawn = [trial.user_attrs["tfcompress"] for trial in trials_in(f"sqlite:///{study_of(tmp_path)}")]
    facts = [each for each in drawn if each["state"] not in DRAWN_AGAIN]
    assert len(facts) == TRIALS
    assert 1 <= sum(each["deaths"] for each in facts) <= kills  # one that idles to the end is not missed
    assert all(each["deaths"] == 2 for each in facts if each["state"] == "failed")  # the same one was hit again
    by_hand = [each[3] for each in results(undisturbed)][:5]
    assert set(by_hand) <= {each["selection"] for each in facts}


def test_ctrl_c_writes_the_best_so_far_and_the_same_command_goes_on(
    start: Start, undisturbed: Path, tmp_path: Path
) -> None:
    process = start(tmp_path)
    wait_for(lambda: ended(tmp_path) >= 3, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert facts_of(tmp_path)["interrupted"]
    assert (tmp_path / "out" / "best" / "recipe.toml").is_file()
    assert not (tmp_path / ".out.partial").exists()
    assert start(tmp_path).wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert not facts_of(tmp_path)["interrupted"]
    assert same_end(tmp_path, undisturbed)
    assert made(tmp_path) == made(undisturbed)


def test_ctrl_c_before_anything_is_finished_says_so_and_the_same_command_goes_on(start: Start, tmp_path: Path) -> None:
    process = start(tmp_path, trials=2)
    wait_for(lambda: study_of(tmp_path).exists() and bool(workers_of(process)), process)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 130, said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    assert not (tmp_path / "out").exists()
    assert start(tmp_path, trials=2).wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert len(results(tmp_path)) == 2


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="pip install 'tfcompress[postgres]'")
    binaries = server_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    with PostgresServer(binaries) as running:
        yield running


def test_a_postgresql_server_that_is_away_for_12_seconds_costs_nothing(
    start: Start, undisturbed: Path, server: PostgresServer, tmp_path: Path
) -> None:
    process = start(tmp_path, "--storage", server.url)
    wait_for(lambda: "trial 2 " in said(tmp_path), process)
    server.stop()
    time.sleep(12.0)
    assert process.poll() is None, said(tmp_path)
    server.start()
    assert process.wait(PATIENCE_SECONDS) == 0, said(tmp_path)
    assert results_in(server.url) == results(undisturbed)
    assert finals_of(tmp_path) == finals_of(undisturbed)
    assert made(tmp_path) == made(undisturbed)
    assert "trying again for up to 120 s" in said(tmp_path)
    assert "answers again" in said(tmp_path)
