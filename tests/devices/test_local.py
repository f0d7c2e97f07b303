import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfcompress.devices import local
from tfcompress.errors import MissingDependencyError, TfcompressError, UsageError

DATA = Path(__file__).parents[1] / "data"
FLOAT, INT8 = DATA / "blobs_float.tflite", DATA / "blobs_int8.tflite"


def test_models_are_measured_together_on_data(tmp_path):
    data = tmp_path / "eval.npz"
    np.savez(data, **{"x.image": np.zeros((4, 8, 8, 1), np.float32), "y": np.zeros(4, int)})
    document = local.run_locally([FLOAT, INT8], data, settings=local.Settings(runs=10, seconds=0.01, warmup=1, limit=3))
    assert [model["status"] for model in document["models"]] == ["ok", "ok"]
    assert document["options"]["interleaved"] is True
    assert document["models"][1]["accuracy"]["outputs"]["scores"]["samples"] == 3


def test_a_model_that_fails_is_an_entry(tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    document = local.run_locally([tmp_path / "bad.tflite"])
    assert document["models"][0]["status"] == "failed"


def test_settings_become_the_runners_arguments():
    settings = local.Settings(runs=5, seconds=0.5, threads=2, runtime="litert", reference_kernels=True, quick=True)
    assert settings.arguments() == [
        *("--runs", "5", "--seconds", "0.5", "--threads", "2", "--runtime", "litert", "--quick", "--reference-kernels")
    ]
    assert local.Settings().arguments() == ["--runtime", "auto"]


def test_what_the_runner_refuses_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"edge_runner cannot measure that: no such data file: '.*none.npz'"):
        local.run_locally([INT8], tmp_path / "none.npz")


def test_a_python_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(
        UsageError, match=r"python must be a Python interpreter, got '.*none': No such file or directory"
    ):
        local.run_locally([INT8], python=tmp_path / "none")


def ended(code, said="", wrote=""):
    return lambda *args, **options: subprocess.CompletedProcess(args, code, wrote, said)


def test_a_python_without_an_interpreter_is_a_missing_dependency(monkeypatch):
    monkeypatch.setattr(subprocess, "run", ended(3, "edge_runner: no interpreter is installed: pip install x\n"))
    with pytest.raises(MissingDependencyError, match=r"^no interpreter is installed: pip install x$"):
        local.run_locally([INT8])


def test_ctrl_c_in_the_runner_is_ctrl_c_here(monkeypatch):
    monkeypatch.setattr(subprocess, "run", ended(130))
    with pytest.raises(KeyboardInterrupt):
        local.run_locally([INT8])


@pytest.mark.parametrize(
    ("code", "said", "message"),
    [
        (-9, "", "edge_runner ended with exit code -9: it said nothing"),
        (7, "Traceback\nKeyError: 1\n", "edge_runner ended with exit code 7: KeyError: 1"),
        (0, "", "edge_runner ended with exit code 0 and wrote no JSON: it said nothing"),
    ],
)
def test_a_runner_that_breaks_is_our_bug(monkeypatch, code, said, message):
    monkeypatch.setattr(subprocess, "run", ended(code, said))
    with pytest.raises(TfcompressError, match=message):
        local.run_locally([INT8])


def test_the_folder_is_found_without_importing_what_measures():
    code = (
        "import sys; from tfcompress.devices import local; "
        "print(local.runner_folder(), any(f'edge_runner.{name}' in sys.modules for name in ('command', 'interpreter')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    folder, imported = done.stdout.rsplit(maxsplit=1)
    assert (Path(folder) / "__main__.py").is_file()
    assert imported == "False"


def test_a_folder_that_is_nowhere_is_a_missing_dependency(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(local, "__file__", "/nowhere/tfcompress/devices/local.py")
    with pytest.raises(
        MissingDependencyError, match="the edge_runner folder is neither installed nor at /nowhere/edge_runner"
    ):
        local.runner_folder()
