"""Steps as tasks of a Ray cluster: who may be connected to, and what becomes of a search when a machine dies."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tfcompress.errors import UsageError
from tfcompress.search import ray_cluster
from tfcompress.search.goals import Limits, goals_of
from tfcompress.search.ray_cluster import check_address
from tfcompress.search.space import SettingsPart, Space
from tfcompress.search.trial import Opening, StepResult
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
    monkeypatch.setattr(ray_cluster.tempfile, "gettempdir", lambda: str(tmp_path / "there"))
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
    from tfcompress.search.driver import Plan, Search
    from tfcompress.search.live import Lines
    from tfcompress.search.proposals import Proposals
    from tfcompress.search.study_store import StudyStore

    goals = goals_of(Limits(drop=100.0), smaller="size", measured=False)
    space = Space((SettingsPart(Export),))
    folder.mkdir()
    store = StudyStore(f"sqlite:///{folder}/study.db", "tfcompress-test", goals)
    proposals = Proposals(space, store, seed=0, goals=2, trials=12)
    plan = Plan(limits=Limits(drop=100.0), goals=goals, trials=None, files=folder)
    search = Search(plan, space, store, proposals, executor, Lines(SILENT))
    search.run()
    store.close()
    assert all(record.state == "finished" for record in search.records)
    return {record.point(goals) for record in search.front}


@pytest.mark.cluster
def test_a_search_goes_on_when_a_machine_dies_and_finds_the_same_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    log = tmp_path / "steps.txt"
    monkeypatch.setenv(PLACE, str(log))
    monkeypatch.setattr(ray_cluster, "do_step", slow_step)
    fronts = []
    for dies in (False, True):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **HERE})
        other = cluster.add_node(num_cpus=1, **HERE)
        try:
            wishes = Wishes(limits=Limits(), trials=1, engine="ray", address=cluster.address)
            with ray_cluster.RayExecutor(_opening(tmp_path), wishes) as executor:
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

    def wait(self, seconds: float) -> Any:
        self._seen += 1
        if self._seen == 8 and self._node is not None:
            self._cluster.remove_node(self._node, allow_graceful=False)
            self._node = None
        return self._executor.wait(seconds)
