import subprocess
import sys
from pathlib import Path

import pytest

from tfcompress.tflite.flatbuffer import read
from tfcompress.tflite.weights import facts

pytest.importorskip("keras")

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["own_fit.py", "own_loop.py"])
def test_a_users_script_ends_in_a_sparse_int8_file(script, tmp_path):
    command = [sys.executable, str(SCRIPTS / script), str(tmp_path / "model.tflite")]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines() if line.startswith(("accuracy", "sparsity")))
    before, after = map(float, said["accuracy"].split())
    assert before > 0.8
    assert after > before - 0.05
    assert float(said["sparsity"]) >= 0.5
    kernels = facts(read((tmp_path / "model.tflite").read_bytes()).subgraphs)
    assert [kernel.zeros >= 0.5 for kernel in kernels] == [True, True]
