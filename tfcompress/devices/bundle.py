"""What a device needs for a measurement, every file by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfcompress.devices import local
from tfcompress.errors import DataError, ModelError
from tfcompress.files import sha256


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What to measure, and how.

    Attributes:
        models: .tflite files.
        data: the .npz written for the runner, or an .npy; None: no accuracy.
        labels: an .npy of labels that belongs to an .npy of data.
        settings: edge_runner's.
    """

    models: tuple[Path, ...]
    data: Path | None = None
    labels: Path | None = None
    settings: local.Settings = field(default_factory=local.Settings)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A workload as a device gets it.

    Attributes:
        sources: where each file lies here, by hash.
        tree: edge_runner's files there, path to hash.
        files: the models and the data, likewise.
        arguments: of edge_runner, which starts in the folder of *files*.
    """

    sources: Mapping[str, Path]
    tree: Mapping[str, str]
    files: Mapping[str, str]
    arguments: Sequence[str]

    @property
    def tree_id(self) -> str:
        """Hash of edge_runner as a whole."""
        return _hash_of(self.tree)

    @property
    def run_id(self) -> str:
        """Hash of what is measured and how: the same command finds its own measurement again."""
        return _hash_of([self.tree, self.files, list(self.arguments)])


def _hash_of(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def bundle_of(workload: Workload) -> Bundle:
    """Hash everything that *workload* needs on a device.

    Raises:
        ModelError: a model cannot be read.
        DataError: the data cannot be read.
    """
    sources: dict[str, Path] = {}

    def add(path: Path) -> str:
        digest = sha256(path)
        sources[digest] = path
        return digest

    runner = local.runner_folder()
    code = (path for path in sorted(runner.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    tree = {f"edge_runner/{path.relative_to(runner).as_posix()}": add(path) for path in code}
    files, arguments = {}, []
    for number, model in enumerate(workload.models):  # numbered folders: two models may have one name
        name = f"models/{number}/{model.name}"
        try:
            files[name] = add(model)
        except OSError as error:
            msg = f"model {str(model)!r} cannot be read: {error.strerror}"
            raise ModelError(msg) from error
        arguments.append(name)
    for option, path in {"data": workload.data, "labels": workload.labels}.items():
        if path is not None:
            name = f"{option}/{path.name}"
            try:
                files[name] = add(path)
            except OSError as error:
                msg = f"{option} {str(path)!r} cannot be read: {error.strerror}"
                raise DataError(msg) from error
            arguments += [f"--{option}", name]
    return Bundle(sources=sources, tree=tree, files=files, arguments=(*arguments, *workload.settings.arguments()))
