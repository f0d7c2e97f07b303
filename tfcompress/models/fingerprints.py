"""A model, a file or somebody's function as a hash of its content: what was found out for one serves it alone."""

from __future__ import annotations

import hashlib
import importlib.metadata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress._version import __version__
from tfcompress.models.kinds import graph_of
from tfcompress.references import module_file

if TYPE_CHECKING:
    import numpy as np

LIBRARIES = ("tensorflow", "keras", "tf_keras", "tensorflow-model-optimization", "numpy")
"""Packages whose version a training depends on, beside tfcompress's own."""

_OURS_OR_KERAS = ("keras.", "tf_keras.", "tfcompress.", "tensorflow_model_optimization.")


def library_versions() -> dict[str, str]:
    """Return the version of everything that computes, by package; empty text where one is not installed."""
    return {"tfcompress": __version__, **{name: _version(name) for name in LIBRARIES}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def source_sha256(source: str) -> str:
    """Return a hash of a file, of all files of a folder, or of a text that names neither."""
    path = Path(source)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError:  # longer than a name may be: the names of many classes
        is_folder = is_file = False
    if is_folder:
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        return files.sha256("\n".join(f"{file.relative_to(path)} {files.sha256(file)}" for file in inside).encode())
    return files.sha256(path if is_file else source.encode())


def code_sha256(reference: str) -> str:
    """Return a hash of ``module:function``: of its name and of the module's file, where there is one."""
    module = module_file(reference)
    return files.sha256(f"{reference} {files.sha256(module) if module else ''}".encode())


def model_sha256(model: Any) -> str:
    """Return a hash of a model object: its class, its graph, and every weight.

    Args:
        model: a Keras 3 or tf_keras model.
    """
    graph = graph_of(model)
    digest = hashlib.sha256(f"{type(model).__module__}.{type(model).__qualname__}\n".encode())
    digest.update(_configuration(graph).encode())
    for weight in graph.get_weights():
        add_array_(digest, weight)
    return digest.hexdigest()


def _configuration(model: Any) -> str:
    try:
        with warnings.catch_warnings():  # of what is unsafe to load: nothing is saved here
            warnings.simplefilter("ignore")
            return str(model.to_json())
    except (NotImplementedError, TypeError, ValueError):  # a subclassed model need not say what it is made of
        return str(model.name)


def add_array_(digest: Any, array: np.ndarray) -> None:
    """Update a digest of :mod:`hashlib` by an array: its type, its shape and its values."""
    import numpy as np

    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).tobytes())


def own_classes(model: Any, *, itself: bool = False) -> dict[str, Any]:
    """Return the classes of a model's layers that are neither Keras's nor ours, by name: files hold no code of theirs.

    Args:
        model: of either Keras.
        itself: whether the model's own class counts, too.
    """
    from tfcompress.models.keras_private import all_layers

    kinds = [type(each) for each in all_layers(model, itself=itself)]
    return {kind.__name__: kind for kind in kinds if not kind.__module__.startswith(_OURS_OR_KERAS)}
