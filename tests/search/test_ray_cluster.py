"""Steps as tasks of a Ray cluster: who may be connected to, and what becomes of a search when a machine dies."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfcompress.errors import MissingDependencyError, UsageError
from tfcompress.recipe import Recipe
from tfcompress.search import ray_cluster
from tfcompress.search.goals import Limits, goals_of
from tfcompress.search.ray_cluster import check_address
from tfcompress.search.space import Candidate, SettingsPart, Space
from tfcompress.search.trial import Opening, StepResult, TrialStep
from tfcompress.search.wishes import Wishes
from tfcompress.settings import Export

HERE = {"node_ip_address": "127.0.0.1"}
PLACE = "TFCOMPRESS_TEST_STEPS"


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "localhost:1", "[::1]:6379"])
def test_a_cluster_of_this_machine_needs_no_token(address: str) -> None:
    check_address(address, {})


def test_a_cluster_elsewhere_must_demand_a_token() -> None:
    with pytest.raises(UsageError, match=r"--address 10\.0\.0\.2:6379 is not on this machine: .*RAY_AUTH_MODE=token"):
        check_address("10.0.0.2:6379", {})
    with pytest.raises(UsageError, match="whoever reaches such a cluster runs code on it"):
        check_address("ray-head:6379", {"RAY_AUTH_MODE": "disabled"})
    check_address("10.0.0.2:6379", {"RAY_AUTH_MODE": "token"})


@pytest.mark.parametrize("address", ["here", "host:", ":6379", "host:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--address must be HOST:PORT of a running cluster, got"):
        check_address(address, {})


def test_engine_and_address_go_together() -> None:
    for values in ({"engine": "ray"}, {"address": "localhost:6379"}):
        with pytest.raises(UsageError, match="--engine ray needs --address HOST:PORT of a running cluster"):
            Wishes(limits=Limits(), trials=1, **values)  # type: ignore[arg-type]  # a dictionary of either


def test_files_travel_and_lie_once_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    model, data = tmp_path / "model.keras", tmp_path / "data.npz"
    model.write_bytes(b"a model")
    data.write_bytes(b"samples")
    sent = ray_cluster.Sent.of(Opening(model=str(model), data={"spec": str(data), "labels": "y"}))
    model.unlink()
    here, again = sent.here(), sent.here()
    assert here == again
    assert Path(here["model"]).read_bytes() == b"a model"
    assert Path(here["model"]).name == "model.keras"
    assert Path(here["data"]["spec"]).read_bytes() == b"samples"
    assert here["data"]["labels"] == "y"


def test_another_version_on_a_machine_of_the_cluster_is_refused() -> None:
    sent = ray_cluster.Sent("0.0.0", {}, {})
    with pytest.raises(UsageError, match=r"every machine of the cluster must have tfcompress 0\.0\.0, this one has"):
        ray_cluster.do_step(sent, {})


@pytest.mark.parametrize(("here", "in_network", "expected"), [(True, True, ""), (True, False, "0"), (False, True, "")])
def test_a_cluster_that_is_on_loopback_alone_is_not_looked_for_in_the_network(
    fake: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, here: bool, in_network: bool, expected: str
) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "")
    monkeypatch.setattr(ray_cluster, "own_host", lambda: "192.0.2.7")
    monkeypatch.setattr(ray_cluster, "listens", lambda host, port: in_network if host == "192.0.2.7" else here)
    ray_cluster.RayExecutor(_opening(tmp_path), wishes()).close()
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == expected


def test_who_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ray_cluster.listens("127.0.0.1", port)
    assert not ray_cluster.listens("127.0.0.1", port)
    ipaddress.ip_address(ray_cluster.own_host())


class FakeRay:
    """Stands in for Ray: tasks are done when somebody waits for them, and some of them die."""

    class exceptions:  # noqa: N801 - as in Ray
        class RayError(Exception):
            """What Ray raises."""

        class RayTaskError(RayError):
            """What a task raised."""

            cause = ValueError("no such layer")

    def __init__(self, cpus: int = 2) -> None:
        self.cpus, self.calls, self.options = cpus, list[Any](), dict[str, Any]()
        self.cancelled: list[int] = []
        self.answers: list[Any] = []

    def init(self, **options: Any) -> None:
        if options["address"].endswith(":1"):
            msg = "Could not connect"
            raise ConnectionError(msg)
        self.options = options

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **options: Any) -> Any:
        self.options |= options

        def wrapped(function: Any) -> Any:
            def remote(*values: Any) -> int:
                self.calls.append(values)
                return len(self.calls) - 1

            return SimpleNamespace(remote=remote)

        return wrapped

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus), "device:pi": 1.0}

    def wait(self, tasks: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        return tasks[:1], tasks[1:]

    def get(self, task: int) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self, task: int, force: bool) -> None:
        self.cancelled.append(task)

    def shutdown(self) -> None:
        self.options["closed"] = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    made = FakeRay()
    monkeypatch.setitem(__import__("sys").modules, "ray", made)
    monkeypatch.setattr(ray_cluster, "listens", lambda host, port: port != 9)
    return made


def wishes(address: str = "localhost:6379") -> Wishes:
    return Wishes(limits=Limits(), trials=1, engine="ray", address=address)


def a_step(folder: Path | None = None) -> TrialStep:
    file = None if folder is None else str(folder / "3.tflite")
    return TrialStep(candidate=Candidate(Recipe()), kind="full", file=file)


def test_steps_are_tasks_of_one_processor_that_ray_does_not_repeat(fake: FakeRay, tmp_path: Path) -> None:
    with ray_cluster.RayExecutor(_opening(tmp_path), wishes()) as executor:
        assert executor.free == 2
        executor.submit(3, a_step(tmp_path))
        executor.submit(4, a_step())
        assert executor.free == 0
        assert (fake.options["num_cpus"], fake.options["max_retries"]) == (1, 0)
        assert TrialStep.from_dict(fake.calls[0][1]) == a_step(tmp_path)
        fake.answers = [(StepResult(size_bytes=7).to_dict(), b"a file")]
        (done,) = executor.wait(0.1)
        assert (done.number, done.result, done.failure) == (3, StepResult(size_bytes=7), "")
        assert (tmp_path / "3.tflite").read_bytes() == b"a file"
    assert fake.cancelled == [1]
    assert fake.options["closed"]


def test_a_machine_that_dies_is_told_from_a_step_that_fails(fake: FakeRay, tmp_path: Path) -> None:
    fake.cpus = 0  # of machines that have all died: one step waits for the next machine
    with ray_cluster.RayExecutor(_opening(tmp_path), wishes()) as executor:
        assert executor.wait(0.1) == ()
        for number in (0, 1):
            assert executor.free == 1
            executor.submit(number, a_step())
            assert executor.free == 0
            faults = (FakeRay.exceptions.RayError("the node is gone\nits log"), FakeRay.exceptions.RayTaskError())
            fake.answers = [faults[number]]
            (done,) = executor.wait(0.1)
            expected = ("the worker died: the node is gone", True)
            if number:
                expected = ("the step failed on the cluster: ValueError('no such layer')", False)
            assert (done.failure, done.died) == expected
            assert done.result is None


def test_files_are_measured_where_a_machine_reaches_the_device(fake: FakeRay, tmp_path: Path) -> None:
    from tfcompress.devices.config import find_devices
    from tfcompress.search.metering import DeviceFigures, Meter

    (device,) = find_devices(["local"])
    (tmp_path / "a.tflite").write_bytes(b"a file")
    with ray_cluster.RayExecutor(_opening(tmp_path), wishes()) as executor:
        assert executor.measure(Meter(device)) is None
        measured = executor.measure(Meter(dataclasses.replace(device, name="pi"), energy=True))
        assert measured is not None
        assert fake.options["resources"] == {"device:pi": 1}
        fake.answers = [(4.5, 0.002), FakeRay.exceptions.RayTaskError()]
        assert measured(tmp_path / "a.tflite") == DeviceFigures(4.5, 0.002)
        with pytest.raises(ValueError, match="no such layer"):
            measured(tmp_path / "a.tflite")


def test_no_cluster_and_no_ray_are_said_in_a_line(
    fake: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no Ray cluster answers at localhost:1 \(Could not connect\); start one"):
        ray_cluster.RayExecutor(_opening(tmp_path), wishes("localhost:1"))
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"no Ray cluster answers at \[::1\]:9 \(nobody listens there\); start one"):
        ray_cluster.RayExecutor(_opening(tmp_path), wishes("[::1]:9"))
    assert time.monotonic() - began < 5.0  # Ray itself goes on for minutes
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"--engine ray needs Ray: pip install 'tfcompress\[ray\]'"):
        ray_cluster.RayExecutor(_opening(tmp_path), wishes())


def slow_step(sent: Any, step: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """Stand in for a step: figures that depend on the candidate alone, and a line for each time that it is begun."""
    words = json.dumps(step["recipe"], sort_keys=True)
    number = int(hashlib.sha256(words.encode()).hexdigest(), 16)
    with Path(os.environ[PLACE]).open("a") as steps:
        steps.write(f"{os.environ.get('RAY_NODE', '')} {number}\n")
    time.sleep(0.7)
    return StepResult(points=number % 97 / 10, size_bytes=number // 97 % 1000, sha256=words).to_dict(), None


def searched(executor: Any, folder: Path) -> set[tuple[float, ...]]:
    """Search a whole space of files, and return the front."""
    from tfcompress.progress import SILENT
    from tfcompress.search.driver import Search, SearchPlan
    from tfcompress.search.live import Lines
    from tfcompress.search.proposals import Proposals
    from tfcompress.search.study_store import StudyStore

    goals = goals_of(Limits(drop=100.0), smaller="size")
    space = Space((SettingsPart.of(Export(), frozenset()),))
    folder.mkdir()
    store = StudyStore(f"sqlite:///{folder}/study.db", "tfcompress-test", goals)
    proposals = Proposals(space, store, seed=0, goals=2, trials=12)
    plan = SearchPlan(limits=Limits(drop=100.0), goals=goals, decides=goals[0], trials=None, files=folder)
    search = Search(plan, space, store, proposals, executor, Lines(SILENT))
    search.run()
    store.close()
    assert all(record.state == "finished" for record in search.records)
    return {record.point(goals) for record in search.front}


@pytest.mark.cluster
def test_a_search_goes_on_when_a_machine_dies_and_finds_the_same_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # as what connects to a cluster of loopback alone
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    log = tmp_path / "steps.txt"
    monkeypatch.setenv(PLACE, str(log))
    monkeypatch.setattr(ray_cluster, "do_step", slow_step)
    fronts = []
    for dies in (False, True):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **HERE})
        other = cluster.add_node(num_cpus=1, **HERE)
        try:
            with ray_cluster.RayExecutor(_opening(tmp_path), wishes(cluster.address)) as executor:
                watched = _Killing(executor, cluster, other) if dies else executor
                fronts.append(searched(watched, tmp_path / f"search{dies}"))
        finally:
            cluster.shutdown()
        begun = log.read_text().split("\n")[:-1]
        log.unlink()
        assert len(begun) - len(set(begun)) <= (1 if dies else 0)
    assert fronts[0] == fronts[1]


def _opening(folder: Path) -> Opening:
    for name in ("model.keras", "data.npz"):
        (folder / name).write_bytes(b"not looked at")
    return Opening(model=str(folder / "model.keras"), data={"spec": str(folder / "data.npz")})


class _Killing:
    """An executor that kills a machine of the cluster while steps run on both."""

    def __init__(self, executor: Any, cluster: Any, node: Any) -> None:
        self._executor, self._cluster, self._node = executor, cluster, node
        self._seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def wait(self, seconds: float, go_on: Any = None) -> Any:
        self._seen += 1
        if self._seen == 8 and self._node is not None:
            self._cluster.remove_node(self._node, allow_graceful=False)
            self._node = None
        return self._executor.wait(seconds)
