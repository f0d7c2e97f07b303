"""edge_runner in emulated Raspberry Pis, with the runtimes that are published for them.

int8 results depend on the kernels and not on the model alone: the same runtime may differ by a step between
architectures, and its reference kernels may not differ at all.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.arm, pytest.mark.timeout(900)]

DATA = Path(__file__).parents[1] / "data"
PYTHONS = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
MACHINES = {"arm64": ("aarch64", 64), "armhf": ("armv7l", 32)}
WAYS = [
    ("arm64", "bullseye", "litert", "litert"),
    ("arm64", "bullseye", "tflite", "tflite"),
    ("arm64", "bookworm", "litert", "litert"),
    ("arm64", "bookworm", "tflite", "tflite"),
    ("arm64", "trixie", "litert", "litert"),
    ("armhf", "bullseye", "tflite", "tflite-2.11"),
    ("armhf", "bookworm", "tflite", "tflite"),
]
"""Architecture, suite, environment, and the environment of the same runtime on amd64."""
MODELS = ("blobs_int8", "segmentation_int8", "autoencoder_int8")
KERNELS = ("default", "reference")
SAMPLES = 64

Enter = Callable[..., "subprocess.CompletedProcess[str]"]
Measure = Callable[[str, str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def measure(enter: Enter, desk: Path) -> Measure:
    """Return what measures all models both ways, once in each environment.

    The outputs, as they are stored, stand in the document under ``outputs``, by kernels.
    """
    for model in MODELS:
        shutil.copy(DATA / f"{model}.tflite", desk)
    random = np.random.default_rng(0)
    shapes = {"x.image": (8, 8, 1), "x.sensors": (6,)}
    samples = {name: random.uniform(-1, 1, (SAMPLES, *shape)) for name, shape in shapes.items()}
    np.savez(desk / "data.npz", **{name: array.astype(np.float32) for name, array in samples.items()})

    @functools.cache
    def run(arch: str, suite: str, environment: str) -> dict[str, Any]:
        words = [*(f"/mnt/{model}.tflite" for model in MODELS), "--data", "/mnt/data.npz", "--outputs", "/mnt/out.npz"]
        words += ["--kernels", ",".join(KERNELS), "--quick", "-o", "/mnt/edge.json"]
        done = enter(arch, suite, f"/opt/{environment}/bin/python", "/mnt/edge_runner", *words)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads((desk / "edge.json").read_text())
        with np.load(desk / "out.npz") as outputs:
            arrays = [outputs[key] for key in sorted(outputs, key=lambda key: int(key.split(".")[0]))]
        document["outputs"] = dict(zip(KERNELS, (arrays[0::2], arrays[1::2]), strict=True))
        return document

    return run


@pytest.mark.parametrize(("arch", "suite", "environment", "same"), WAYS, ids=str)
class TestEachRuntime:
    def test_it_runs_under_the_python_and_on_the_processor_of_that_system(
        self, measure: Measure, arch: str, suite: str, environment: str, same: str
    ) -> None:
        document = measure(arch, suite, environment)
        facts = document["environment"]
        assert facts["python"].rsplit(".", 1)[0] == PYTHONS[suite]
        assert (facts["architecture"], facts["userland_bits"]) == MACHINES[arch]
        assert "emulated" in f"{facts['board']} {facts['cpu']}"
        assert {model["status"] for model in document["models"]} == {"ok"}
        assert document["runtime"] == measure("amd64", suite, same)["runtime"]

    def test_int8_outputs_are_those_of_x86_up_to_one_step(
        self, measure: Measure, arch: str, suite: str, environment: str, same: str
    ) -> None:
        there, here = measure(arch, suite, environment), measure("amd64", suite, same)
        for model, ours, theirs in zip(MODELS, here["outputs"]["default"], there["outputs"]["default"], strict=True):
            assert len(np.unique(ours)) > 50, "outputs that hardly vary would agree whatever is wrong"
            steps = np.abs(theirs.astype(int) - ours.astype(int))
            sys.stdout.write(f"{model}: {np.count_nonzero(steps)} of {steps.size} differ, by up to {steps.max()}\n")
            assert steps.max() <= 1

    def test_the_reference_kernels_give_what_they_give_on_x86(
        self, measure: Measure, arch: str, suite: str, environment: str, same: str
    ) -> None:
        there, here = measure(arch, suite, environment), measure("amd64", suite, same)
        for ours, theirs in zip(here["outputs"]["reference"], there["outputs"]["reference"], strict=True):
            np.testing.assert_array_equal(theirs, ours)

    def test_the_doctor_finds_it(self, enter: Enter, arch: str, suite: str, environment: str, same: str) -> None:
        done = enter(arch, suite, f"/opt/{environment}/bin/python", "/mnt/edge_runner", "--doctor")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "works, version" in done.stdout


@pytest.mark.parametrize(
    ("arch", "suite", "advice"),
    [
        ("arm64", "bullseye", "pip install ai-edge-litert==2.1.0"),
        ("arm64", "bookworm", "pip install ai-edge-litert"),
        ("armhf", "bookworm", "tflite-runtime==2.14.0"),
        ("armhf", "trixie", "no interpreter is published for Python 3.13"),
    ],
)
def test_a_system_without_a_runtime_is_told_what_to_install(enter: Enter, arch: str, suite: str, advice: str) -> None:
    done = enter(arch, suite, "/usr/bin/python3", "/mnt/edge_runner", "--doctor")
    assert done.returncode == 3
    assert advice in done.stdout
