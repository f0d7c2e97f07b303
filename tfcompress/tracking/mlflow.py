"""MLflow: a run with parameters, metrics, files and the model, in a folder of its own or wherever a server is."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfcompress._version import __version__
from tfcompress.tracking.tracker import TensorForm, TrackedEnd, TrackedStart

FOLDER = "mlruns"
"""Where runs go, where neither the user nor MLflow's environment says."""

EXPERIMENT = "tfcompress"
"""The experiment, where ``MLFLOW_EXPERIMENT_NAME`` names no other."""

MODEL = "model"
"""Folder of a run's artifacts that ``mlflow.pyfunc.load_model`` loads."""

_AT_ONCE = 90
"""Parameters and metrics of one request: MLflow takes 100 parameters."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""How long a server is waited for, unless the user's environment says: MLflow's own seven tries take minutes."""

_STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Wait for a server as :data:`PATIENCE` says within the block; the environment is as it was after it."""
    added = {name: value for name, value in PATIENCE.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class MLflow:
    """Keeps runs in a folder (a database and the files), or sends them to a server.

    The user's own active run, tracking address and experiment are left alone.

    Attributes:
        name: what messages call it.
    """

    name = "mlflow"

    def __init__(self, where: str) -> None:
        """Connect, and find the experiment or make it.

        Args:
            where: a folder, or an address as MLflow has them (``http://…``, ``sqlite:///…``, ``file:…``); empty: what
                ``MLFLOW_TRACKING_URI`` says, else :data:`FOLDER`.
        """
        from mlflow import MlflowClient

        where = where or os.environ.get("MLFLOW_TRACKING_URI", "") or FOLDER
        folder = None if re.match(r"[a-z][a-z0-9+.-]+:|databricks$|uc$", where) else Path(where).absolute()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            where = f"sqlite:///{folder / 'mlflow.db'}"
        self._client: Any = MlflowClient(tracking_uri=where)
        with patient():
            self._experiment = self._found(folder)

    def _found(self, folder: Path | None) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        files = None if folder is None else (folder / "artifacts").as_uri()
        return str(self._client.create_experiment(name, artifact_location=files))

    def begin(self, start: TrackedStart) -> MLflowRun:
        """Begin a run."""
        return MLflowRun(self._client, self._experiment, start)


class MLflowRun:
    """One run."""

    def __init__(self, client: Any, experiment: str, start: TrackedStart, parent: str = "") -> None:
        """Write what the run is.

        Args:
            client: of the tracking store.
            experiment: its number.
            start: the run.
            parent: number of the run that it is a part of; empty: of none.
        """
        from mlflow.entities import Param

        self._client, self._experiment, self._step = client, experiment, 0
        tags = {"mlflow.runName": start.name, "mlflow.source.name": "tfcompress", "tfcompress.version": __version__}
        tags |= {"mlflow.parentRunId": parent} if parent else {}
        settings = [Param(_key(name), str(value)) for name, value in start.settings.items()]
        with patient():
            self._id: str = client.create_run(experiment, tags=tags).info.run_id
            for some in _parts(settings):
                client.log_batch(self._id, params=some)
            if start.recipe:
                client.log_text(self._id, start.recipe, "recipe.toml")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics."""
        from mlflow.entities import Metric

        self._step, now = max(self._step, step), int(time.time() * 1000)
        rows = [Metric(_key(name), value, now, step) for name, value in values.items()]
        with patient():
            for some in _parts(rows):
                self._client.log_batch(self._id, metrics=some)

    def child(self, start: TrackedStart) -> MLflowRun:
        """Begin a run within this one."""
        return MLflowRun(self._client, self._experiment, start, parent=self._id)

    def end(self, end: TrackedEnd) -> None:
        """Log the figures, the files and the model, and end the run."""
        self.log(end.figures, self._step)
        with patient():
            self._end(end)

    def _end(self, end: TrackedEnd) -> None:
        if end.reason:
            self._client.set_tag(self._id, "tfcompress.reason", end.reason)
        for path in end.files.values():
            self._client.log_artifact(self._id, str(path))
        if end.model:
            with tempfile.TemporaryDirectory(prefix="tfcompress-") as scratch:
                saved = _saved_model(Path(scratch) / MODEL, end)
                self._client.log_artifacts(self._id, str(saved), MODEL)
        self._client.set_terminated(self._id, _STATES[end.outcome])


def _saved_model(folder: Path, end: TrackedEnd) -> Path:
    """Write the file as a model that ``mlflow.pyfunc`` loads, with its signature, and return the folder."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature

    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module="tfcompress.tracking.mlflow_model",
        data_path=str(end.files[end.model]),
        signature=ModelSignature(inputs=_schema(end.inputs), outputs=_schema(end.outputs)),
        pip_requirements=[f"tfcompress=={__version__}"],
        metadata={"file": end.model},
    )
    return folder


def _schema(forms: Iterable[TensorForm]) -> Any:
    import numpy as np
    from mlflow.types import Schema, TensorSpec

    def shape(form: TensorForm) -> tuple[int, ...]:
        return (-1, *(-1 if size is None else size for size in form.shape))

    return Schema([TensorSpec(np.dtype(form.dtype), shape(form), form.name) for form in forms])


def _key(name: str) -> str:
    """Return a name that MLflow takes: letters, digits and ``_-.: /``, at most 250, no path that leads elsewhere."""
    plain = re.sub(r"[^\w\-.: /]", "_", name, flags=re.ASCII)
    return "/".join(part for part in plain.split("/") if part.strip(". ")).strip()[-250:] or "_"


def _parts(rows: list[Any]) -> list[list[Any]]:
    return [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
