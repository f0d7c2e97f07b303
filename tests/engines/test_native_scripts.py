import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfcompress.models.loading import load_model
from tfcompress.tflite.flatbuffer import read_model_file
from tfcompress.tflite.weights import facts

pytest.importorskip("keras")

SCRIPTS = Path(__file__).parent / "scripts"


def said_by(script, path):
    """Run a script, and return what it says of accuracies (before, after) and sparsity."""
    command = [sys.executable, str(SCRIPTS / script), str(path)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines() if line.startswith(("accuracy", "sparsity")))
    return *map(float, said["accuracy"].split()), float(said["sparsity"])


@pytest.mark.slow
def test_a_users_script_with_fit_ends_in_a_sparse_int8_file(tmp_path):
    before, after, sparsity = said_by("own_fit.py", tmp_path / "model.tflite")
    assert before > 0.8
    assert after > before - 0.05
    assert sparsity >= 0.5
    kernels = facts(read_model_file((tmp_path / "model.tflite").read_bytes()).subgraphs)
    assert [kernel.zeros >= 0.5 for kernel in kernels] == [True, True]


@pytest.mark.slow
def test_a_users_script_with_a_loop_of_its_own_ends_in_a_sparse_model(tmp_path):
    before, after, sparsity = said_by("own_loop.py", tmp_path / "model.keras")
    assert before > 0.8
    assert after > before - 0.05
    assert sparsity >= 0.5
    found = load_model(tmp_path / "model.keras").native
    kernels = [np.asarray(v) for v in found.variables if v.path.endswith("kernel")]
    assert [(kernel == 0).mean() >= 0.5 for kernel in kernels] == [True, True]
