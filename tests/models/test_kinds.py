from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfcompress.errors import UsageError
from tfcompress.job import attach
from tfcompress.models.loading import load_model
from tfcompress.recipe import QAT, Export
from tfcompress.tflite.export import export

REFUSAL = "Keras runs on 'jax' in this process, .* set KERAS_BACKEND=tensorflow before Keras is imported"


def small(keras: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def test_a_process_whose_keras_runs_on_something_else_is_refused_in_one_line(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small(keras)
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    for use in (
        lambda: load_model("model.keras"),
        lambda: load_model(model),
        lambda: attach(model, QAT()),
        lambda: export(model, Export()),
    ):
        with pytest.raises(UsageError, match=REFUSAL):
            use()


def test_a_process_that_would_import_keras_on_something_else_is_refused_in_one_line() -> None:
    script = "import tfcompress as t\ntry:\n    t.load_model('m.keras')\nexcept t.UsageError as e:\n    print(e)"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith("Keras runs on 'jax' in this process")


def test_the_command_sets_the_backend_that_it_needs(keras: Any, tmp_path: Path) -> None:
    small(keras).save(tmp_path / "model.keras")
    command = [sys.executable, "-m", "tfcompress", "inspect", str(tmp_path / "model.keras")]
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "15" in done.stdout  # 4 * 3 + 3 parameters
