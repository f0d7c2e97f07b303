"""tfcompress.worker and serve."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfcompress.fork_server import ForkServer
from tfcompress.worker import KeptWorkers, Worker, WorkerAnswerError, WorkerDiedError, WorkerTimeoutError

ROOT = Path(__file__).parents[1]
Child = str | ForkServer


@pytest.fixture(params=["fresh", "forked"])
def child(request: pytest.FixtureRequest) -> Child:
    """Return what serves: a Python of its own each time, and forks of one."""
    return "tests.tflite.fake_child" if request.param == "fresh" else FORKS


FORKS = ForkServer("tests.tflite.fake_child")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for_end(pid: int, seconds: float = 10) -> bool:
    limit = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    return not alive(pid)


def test_requests_are_answered_in_order_by_one_process(child: Child) -> None:
    with Worker(child) as worker:
        for number in range(3):
            worker.send({"echo": number})
        answers = [worker.receive() for _ in range(3)]
    assert [a["echo"] for a in answers] == [0, 1, 2]
    assert len({a["pid"] for a in answers}) == 1


def test_an_exception_in_the_child_is_an_answer_and_the_child_lives_on(child: Child) -> None:
    with Worker(child) as worker:
        with pytest.raises(WorkerAnswerError, match="this op is not supported") as caught:
            worker.ask({"raise": "this op is not supported"})
        assert caught.value.kind == "ValueError"
        assert worker.ask({"echo": "still here"})["echo"] == "still here"
        assert "Traceback" in worker.tail()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_death_by_a_signal_is_told_by_its_name(name: str, child: Child) -> None:
    with Worker(child) as worker, pytest.raises(WorkerDiedError) as caught:
        worker.ask({"kill": name, "print": "last words"})
    assert caught.value.reason == name
    assert caught.value.tail.count("last words") == 2


def test_an_early_end_is_told_by_its_exit_code(child: Child) -> None:
    with Worker(child) as worker, pytest.raises(WorkerDiedError, match="exit code 3"):
        worker.ask({"exit": 3})


def test_a_child_that_cannot_start_is_told_with_what_it_printed() -> None:
    with Worker("no_such_module") as worker, pytest.raises(WorkerDiedError, match="exit code 1") as caught:
        worker.ask({})
    assert "no_such_module" in caught.value.tail


def test_what_the_child_prints_goes_to_the_log_and_nowhere_else(tmp_path, capfd, child: Child) -> None:
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    with Worker(child, log=log) as worker:
        worker.ask({"print": "from C++, too"})
    assert log.read_text() == "before\nfrom C++, too\nfrom C++, too\n"
    assert capfd.readouterr() == ("", "")


def test_closing_ends_the_child_and_removes_its_folder(child: Child) -> None:
    worker = Worker(child)
    pid, folder = worker.ask({})["pid"], worker.folder
    worker.close()
    worker.close()
    assert not alive(pid)
    assert not folder.exists()


def test_a_forgotten_worker_ends_too(child: Child) -> None:
    worker = Worker(child)
    pid, folder = worker.ask({})["pid"], worker.folder
    del worker
    gc.collect()
    assert wait_for_end(pid)
    assert not folder.exists()


SPELT = ["'tests.tflite.fake_child'", "ForkServer('tests.tflite.fake_child')"]


@pytest.mark.parametrize("child", SPELT)
def test_a_worker_that_was_never_closed_ends_with_its_program(tmp_path, child: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), runs=str(tmp_path / "runs"), child=child).replace("60", "0"))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""
    assert wait_for_end(int(done.stdout))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs", "script.py"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of Python 3.12: it has threads, the fork none
def test_a_fork_of_the_program_leaves_the_worker_alone(child: Child) -> None:
    with Worker(child) as worker:
        pid = worker.ask({})["pid"]
        fork = os.fork()
        if fork == 0:
            worker.close()
            os._exit(0)
        os.waitpid(fork, 0)
        assert alive(pid)
        assert worker.ask({"echo": 1})["echo"] == 1


def test_ctrl_c_while_waiting_ends_the_child(child: Child) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    worker = Worker(child)
    pid = worker.ask({})["pid"]
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            worker.ask({"sleep": 60})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not alive(pid)


def test_a_child_that_does_not_answer_in_time_is_ended(child: Child) -> None:
    with Worker(child) as worker:
        pid = worker.ask({})["pid"]
        worker.send({"sleep": 60})
        with pytest.raises(WorkerTimeoutError):
            worker.receive(timeout_seconds=0.2)
        assert not alive(pid)


def test_an_answer_in_time_is_given_whatever_its_length(child: Child) -> None:
    with Worker(child) as worker:
        assert worker.ask({"echo": "x" * 1_000_000}, timeout_seconds=30)["echo"] == "x" * 1_000_000


SCRIPT = """
import sys, pathlib
sys.path.insert(0, {root!r})
pathlib.Path({runs!r}).open("a").write("run ")
from tfcompress.fork_server import ForkServer
from tfcompress.worker import Worker
worker = Worker({child})
print(worker.ask({{}})["pid"], flush=True)
worker.send({{"sleep": 60}})
worker.receive()
"""


@pytest.mark.parametrize("child", SPELT)
def test_the_child_ends_when_its_parent_is_killed_even_while_it_holds_the_interpreter_lock(
    tmp_path, child: str
) -> None:
    runs = tmp_path / "runs"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), runs=str(runs), child=child))
    # In a folder of its own for temporary files, since a killed parent cannot remove the child's.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert alive(pid)
        parent.kill()
        parent.wait()
    assert wait_for_end(pid)
    assert runs.read_text() == "run "  # a script without `if __name__ == "__main__"` ran once


def test_modules_of_the_working_folder_do_not_shadow_the_childs(tmp_path, monkeypatch, child: Child) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    with Worker(child) as worker:
        assert worker.ask({"echo": 1})["echo"] == 1


@pytest.fixture
def kept() -> Iterator[KeptWorkers]:
    children = KeptWorkers("tests.tflite.fake_child")
    yield children
    children.close()


def test_a_child_is_kept_for_the_next_caller_with_an_empty_folder(kept: KeptWorkers) -> None:
    first = kept.take()
    pid = first.ask({})["pid"]
    (first.folder / "samples.npz").touch()
    (first.folder / "model").mkdir()
    kept.give_back(first)
    kept.give_back(first)  # whoever closes twice keeps it once
    second, third = kept.take(), kept.take()
    assert second.ask({})["pid"] == pid != third.ask({})["pid"]
    assert [path.name for path in second.folder.iterdir()] == ["log.txt"]
    third.close()
    kept.give_back(second)
    kept.close()
    assert not alive(pid)


@pytest.mark.parametrize("why", ["busy", "spent", "dead"])
def test_a_child_that_is_busy_or_spent_or_dead_meets_nobody_else(why: str, kept: KeptWorkers) -> None:
    first = kept.take()
    pid = first.ask({})["pid"]
    first.spent = why == "spent"
    if why == "dead":
        os.kill(pid, signal.SIGKILL)
        assert wait_for_end(pid)
    kept.give_back(first, usable=why != "busy")
    with kept.take() as second:
        assert second.ask({})["pid"] != pid
    assert not alive(pid)


def test_a_child_that_died_while_it_waited_is_replaced(kept: KeptWorkers) -> None:
    first = kept.take()
    pid = first.ask({})["pid"]
    kept.give_back(first)
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pid)
    with kept.take() as second:
        assert second.ask({"echo": 1})["echo"] == 1


def test_a_new_child_is_made_for_who_asks_for_one(kept: KeptWorkers) -> None:
    first = kept.take()
    pid = first.ask({})["pid"]
    kept.give_back(first)
    with kept.take(new=True) as second:
        assert second.ask({})["pid"] != pid


def test_each_caller_reads_what_was_printed_for_it(kept: KeptWorkers, tmp_path: Path) -> None:
    for name in ("first", "second"):
        child = kept.take(log=tmp_path / f"{name}.txt")
        child.ask({"print": f"for the {name}"})
        assert child.tail().count(f"for the {name}") == 2
        kept.give_back(child)
    for name in ("first", "second"):
        assert (tmp_path / f"{name}.txt").read_text() == f"for the {name}\n" * 2


def test_a_child_that_nobody_takes_is_ended_after_a_while() -> None:
    children = KeptWorkers("tests.tflite.fake_child", idle_seconds=0.2)
    child = children.take()
    pid = child.ask({})["pid"]
    children.give_back(child)
    assert wait_for_end(pid)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of Python 3.12: it has threads, the fork none
def test_a_fork_takes_no_child_of_its_parent(kept: KeptWorkers) -> None:
    child = kept.take()
    pid = child.ask({})["pid"]
    kept.give_back(child)
    fork = os.fork()
    if fork == 0:
        with kept.take() as own:
            os._exit(0 if own.ask({})["pid"] != pid else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert kept.take().ask({})["pid"] == pid


def test_a_child_tells_what_cpu_time_it_has_taken(child: Child) -> None:
    with Worker(child) as worker:
        before = worker.cpu_seconds()
        worker.ask({"echo": 1})
        found = worker.cpu_seconds()
    if Path("/proc/self/stat").exists():
        assert before is not None
        assert found is not None
        assert 0 <= before <= found < 60
