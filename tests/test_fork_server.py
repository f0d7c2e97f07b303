"""tfcompress.fork_server; that its children serve as others do is held by tests/test_worker.py."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.test_worker import wait_for_end
from tfcompress.fork_server import ForkServer
from tfcompress.models import probing
from tfcompress.tflite import interpret
from tfcompress.worker import Worker, WorkerDiedError

CHILD = "tests.tflite.fake_child"


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def forks() -> ForkServer:
    return ForkServer(CHILD)


def test_children_are_forks_of_one_process_that_is_not_this_one(forks: ForkServer) -> None:
    with Worker(forks) as one, Worker(forks) as other:
        pids = [worker.ask({})["pid"] for worker in (one, other)]
        assert pids[0] != pids[1]
        (server,) = {parent_of(pid) for pid in pids}
        assert parent_of(server) == os.getpid() != server


def test_each_child_has_the_variables_of_its_caller(forks: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("1", "2"):
        monkeypatch.setenv("OF_THE_CALLER", value)
        with Worker(forks, environment={"OWN": value}) as worker:
            told = worker.ask({"variables": ["OF_THE_CALLER", "OWN", "OPENBLAS_NUM_THREADS"]})["variables"]
    assert told == ["2", "2", os.environ.get("OPENBLAS_NUM_THREADS")]


def test_the_folder_of_whoever_came_first_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forks = ForkServer(CHILD)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with Worker(forks) as worker:
            assert Path(f"/proc/{parent_of(worker.ask({})['pid'])}/cwd").resolve() == Path("/")
        monkeypatch.undo()
        (tmp_path / name).rmdir()


def test_one_that_was_ended_is_replaced(forks: ForkServer) -> None:
    with Worker(forks) as worker:
        first = parent_of(worker.ask({})["pid"])
    os.kill(first, signal.SIGKILL)
    with Worker(forks) as worker:
        assert parent_of(worker.ask({})["pid"]) != first


def test_the_child_of_one_that_was_ended_serves_on_and_ends_with_its_caller(forks: ForkServer) -> None:
    worker = Worker(forks)
    pid = worker.ask({})["pid"]
    os.kill(parent_of(pid), signal.SIGKILL)
    assert worker.ask({"echo": 1})["echo"] == 1
    worker.close()
    assert wait_for_end(pid)


def test_one_that_nobody_asks_ends_when_its_last_child_has_ended() -> None:
    forks = ForkServer(CHILD, idle_seconds=0.2)
    with Worker(forks) as worker:
        server = parent_of(worker.ask({})["pid"])
        time.sleep(0.6)
        assert worker.ask({"echo": 1})["echo"] == 1
    assert wait_for_end(server)
    with Worker(forks) as worker:
        assert parent_of(worker.ask({})["pid"]) != server


def test_what_is_not_installed_is_missing_where_it_is_asked_for() -> None:
    with Worker(ForkServer(CHILD, ["no_such_package"])) as worker:
        assert worker.ask({"echo": 1})["echo"] == 1
    with Worker(ForkServer("no_such_module")) as worker, pytest.raises(WorkerDiedError, match="exit code 1") as caught:
        worker.ask({})
    assert "ModuleNotFoundError: No module named 'no_such_module'" in caught.value.tail


@pytest.mark.parametrize("used", [interpret.FORKS, probing.FORKS], ids=lambda used: used.module)
def test_what_is_imported_beforehand_starts_no_thread(used: ForkServer) -> None:
    with Worker(ForkServer(CHILD, [*used.imports, used.module])) as worker:
        server = parent_of(worker.ask({})["pid"])
        assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1
