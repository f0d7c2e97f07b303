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
CRASHES = {("tflite", "autoencoder_int8", "default")}
"""tflite-runtime 2.11 to 2.14 on ARM dies of this one's small dense layers, quantized by channel; x86's does not."""
SAMPLES = 64

Enter = Callable[..., "subprocess.CompletedProcess[str]"]
Measure = Callable[[str, str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def measure(enter: Enter, desk: Path) -> Measure:
    """Return what measures all models both ways, once in each environment.

    The outputs, as they are stored, stand in the document under ``outputs``, by model and kernels.
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
        assert done.returncode in (0, 1), done.stderr
        document: dict[str, Any] = json.loads((desk / "edge.json").read_text())
        with np.load(desk / "out.npz") as outputs:
            arrays = {int(key.split(".")[0]): outputs[key] for key in outputs}
        ways = [(model, kernels) for model in MODELS for kernels in KERNELS]
        document["outputs"] = {way: arrays[number] for number, way in enumerate(ways) if number in arrays}
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
        assert document["runtime"] == measure("amd64", suite, same)["runtime"]

    def test_a_model_that_kills_the_runtime_there_is_an_entry_and_all_others_are_measured(
        self, measure: Measure, arch: str, suite: str, environment: str, same: str
    ) -> None:
        for model in measure(arch, suite, environment)["models"]:
            way = environment, Path(model["file"]).stem, model["settings"]["kernels"]
            assert model["status"] == ("failed" if way in CRASHES else "ok"), model["reason"]
            assert way not in CRASHES or "its process was killed by SIGSEGV" in model["reason"]
        assert {model["status"] for model in measure("amd64", suite, same)["models"]} == {"ok"}

    def test_int8_outputs_are_those_of_x86_up_to_one_step(
        self, measure: Measure, arch: str, suite: str, environment: str, same: str
    ) -> None:
        there, here = measure(arch, suite, environment)["outputs"], measure("amd64", suite, same)["outputs"]
        for model in MODELS:
            way = model, "default"
            if (environment, *way) in CRASHES:
                continue
            assert len(np.unique(here[way])) > 50, "outputs that hardly vary would agree whatever is wrong"
            steps = np.abs(there[way].astype(int) - here[way].astype(int))
            sys.stdout.write(f"{model}: {np.count_nonzero(steps)} of {steps.size} differ, by up to {steps.max()}\n")
            assert steps.max() <= 1

    def test_the_reference_kernels_give_what_they_give_on_x86(
        self, measure: Measure, arch: str, suite: str, environment: str, same: str
    ) -> None:
        there, here = measure(arch, suite, environment)["outputs"], measure("amd64", suite, same)["outputs"]
        for model in MODELS:
            np.testing.assert_array_equal(there[model, "reference"], here[model, "reference"])

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
