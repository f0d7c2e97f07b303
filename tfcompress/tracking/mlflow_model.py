"""A ``.tflite`` as ``mlflow.pyfunc.load_model`` gives it: MLflow names this module as the model's loader."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class FileModel:
    """Runs a ``.tflite`` in a process of its own for each call."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet.

        Args:
            path: of the file.
        """
        self._path = path

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the outputs by name, each of shape (samples, ...).

        Args:
            model_input: arrays of shape (samples, ...) by the inputs' names; for a single input, the array alone.
            params: not used; MLflow passes it.

        Raises:
            DataError: an input is missing, or of another shape.
        """
        import numpy as np

        from tfcompress.tflite.interpret import InterpreterProcess

        with InterpreterProcess(self._path) as process:
            inputs = process.signature.inputs
            given = model_input if isinstance(model_input, Mapping) else {inputs[0].name: model_input}
            return process.run({name: np.asarray(values) for name, values in given.items()})


def _load_pyfunc(path: str) -> FileModel:
    """Return the model; MLflow calls it by this name.

    Args:
        path: of the file, or of the folder in which it lies alone.
    """
    place = Path(path)
    return FileModel(place if place.is_file() else next(iter(sorted(place.glob("*.tflite")))))
