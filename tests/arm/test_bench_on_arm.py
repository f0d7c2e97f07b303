"""``tfcompress bench`` through a real sshd whose every login lands in an emulated Raspberry Pi."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tfcompress.devices import local
from tfcompress.devices.bundle import Workload, bundle_of
from tfcompress.devices.config import Device
from tfcompress.devices.remote import Remote
from tfcompress.errors import MissingDependencyError
from tfcompress.files import sha256
from tfcompress.progress import SilentProgress
from tools.pi_sshd import NAME, Sshd, forced_into, sshd_binary

pytestmark = [pytest.mark.arm, pytest.mark.timeout(900)]

DATA = Path(__file__).parents[1] / "data"
MODELS = (DATA / "blobs_float.tflite", DATA / "blobs_int8.tflite")
WORKLOAD = Workload(models=MODELS, settings=local.Settings(quick=True))


class Cutting(SilentProgress):
    """Cuts the connection once, when the first model is timed, and keeps the notes."""

    def __init__(self, server: Sshd) -> None:
        self.server, self.notes, self.cuts = server, list[str](), 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, steps: float = 1) -> None:
        del steps

    def describe(self, text: str) -> None:
        if ".tflite" in text and not self.cuts:
            self.cuts = self.server.cut()


@pytest.fixture(scope="module", params=[("arm64", "bookworm", "litert"), ("armhf", "bookworm", "tflite")], ids="-".join)
def pi(
    request: pytest.FixtureRequest, pi_root: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sshd, Device]]:
    if sshd_binary() is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    arch, suite, environment = request.param
    with Sshd(tmp_path_factory.mktemp("sshd"), forced_into(pi_root(arch, suite))) as server:
        yield (
            server,
            Device(name=arch, host=NAME, ssh_config=str(server.client_config), python=f"/opt/{environment}/bin/python"),
        )


def test_a_connection_cut_once_costs_nothing(pi: tuple[Sshd, Device]) -> None:
    server, device = pi
    cutting = Cutting(server)
    document = Remote(device, bundle_of(WORKLOAD), progress=cutting).measure(cutting)
    assert cutting.cuts == 1
    assert ["connection lost" in note for note in cutting.notes] == [True]
    assert document["environment"]["architecture"] == {"arm64": "aarch64", "armhf": "armv7l"}[device.name]
    assert [(model["sha256"], model["status"]) for model in document["models"]] == [
        (sha256(path), "ok") for path in MODELS
    ]


def test_debian_s_own_python_gets_the_pip_line(pi: tuple[Sshd, Device]) -> None:
    bare = Device(name="bare", host=NAME, ssh_config=pi[1].ssh_config)
    lines = {"arm64": "pip install ai-edge-litert", "armhf": r"pip install --no-deps tflite-runtime==2\.14\.0"}
    with pytest.raises(
        MissingDependencyError, match=f"device bare: no interpreter works with /usr/bin/python3: .*{lines[pi[1].name]}"
    ):
        Remote(bare, bundle_of(WORKLOAD)).measure(Cutting(pi[0]))
