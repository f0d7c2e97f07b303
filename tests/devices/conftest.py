"""A real sshd on loopback as the device, and a stand-in for edge_runner whose speed the tests choose."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfcompress.devices import local
from tfcompress.devices.bundle import Workload
from tfcompress.devices.config import Device
from tools.pi_sshd import NAME, Sshd, sshd_binary

RUNNER = '''\
"""Writes what edge_runner would, once the file --until is there; --log FILE gets a line at the start and at the end."""
import argparse, hashlib, json, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("models", nargs="+")
for name in ("--data", "--labels", "--runtime", "--log", "-o", "--say", "--until"):
    parser.add_argument(name)
parser.add_argument("--code", type=int, default=0)
given = parser.parse_args()
def log(text):
    if given.log:
        with open(given.log, "a") as stream:
            stream.write(text + chr(10))
log("start")
print("\\x1b[2Kmeasuring", end="", file=sys.stderr, flush=True)
while given.until and not os.path.exists(given.until):
    time.sleep(0.01)
log("end")
if given.say:
    sys.exit([print(given.say, file=sys.stderr), given.code][1])
def entry(name):
    with open(name, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    return {"file": os.path.basename(name), "sha256": digest, "status": "ok", "reason": "",
            "settings": {}, **dict.fromkeys(("timing", "memory", "accuracy", "energy"))}
facts = {"board": None, "cpu": "none", "architecture": "none", "system": "none"}
document = {"format": 2, "tool": "edge_runner", "runtime": {"name": "none", "version": "0"}, "environment": facts,
            "models": [entry(name) for name in given.models], "comparisons": [], "warnings": []}
with open(given.o or 1, "w") as stream:
    json.dump(document, stream)
sys.exit(given.code)
'''


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if sshd_binary() is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def device(server: Sshd, tmp_path: Path) -> Device:
    server.know("host")
    return Device(
        name="pi",
        host=NAME,
        ssh_config=str(server.client_config),
        python=sys.executable,
        folder=str(tmp_path / "device"),
    )


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in in edge_runner's place."""
    folder = tmp_path / "runner" / "edge_runner"
    folder.mkdir(parents=True)
    (folder / "__main__.py").write_text(RUNNER)
    monkeypatch.setattr(local, "runner_folder", lambda: folder)
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def end(tmp_path: Path) -> Path:
    """Whoever makes this file ends what :func:`long` measures."""
    return tmp_path / "end"


@pytest.fixture
def long(workload: Workload, end: Path) -> Workload:
    settings = dataclasses.replace(workload.settings, more=(*workload.settings.more, "--until", str(end)))
    return dataclasses.replace(workload, settings=settings)


@pytest.fixture
def workload(runner: Path, log: Path, tmp_path: Path) -> Workload:
    (tmp_path / "net.tflite").write_bytes(b"not opened here")
    return Workload(models=(tmp_path / "net.tflite",), settings=local.Settings(more=("--log", str(log))))
