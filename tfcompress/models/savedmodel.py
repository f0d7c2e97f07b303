"""SavedModel folders: the signature that is used, and what must not be in them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError, UntrustedCodeError

SERVING = "serving_default"
"""Name of the signature that is used of a SavedModel."""

UNSAFE_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless", "ReadFile", "RemoteCall", "WriteFile"})
"""Operations of a graph that run Python code, or read or write files of any name."""


def changed_at(path: Path) -> int:
    """Return when a SavedModel was last written, in ns.

    Raises:
        ModelError: there is none.
    """
    try:
        return (path / "saved_model.pb").stat().st_mtime_ns
    except OSError as error:
        msg = f"{str(path)!r} cannot be read as a SavedModel: {error.strerror}"
        raise ModelError(msg) from error


def check_trusted(path: Path, *, trust: bool) -> None:
    """Refuse a SavedModel whose graph reaches outside the model, unless *trust*.

    Raises:
        ModelError: it cannot be parsed.
        UntrustedCodeError: naming the operations.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        msg = f"model {str(path)!r} cannot be read: its saved_model.pb is damaged"
        raise ModelError(msg) from error
    found = set()
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        nodes = [graph.node, *(function.node_def for function in graph.library.function)]
        found |= {node.op for listed in nodes for node in listed} & UNSAFE_OPS
    if found and not trust:
        msg = (
            f"model {str(path)!r} holds operations that reach outside it ({', '.join(sorted(found))}); load it with"
            " --trust if you know where it comes from"
        )
        raise UntrustedCodeError(msg)


@functools.lru_cache(maxsize=2)
def _load(path: Path, _changed: int) -> Any:
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(path))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{str(path)!r} cannot be read as a SavedModel: {reason}"
        raise ModelError(msg) from error


def saved_signature(path: Path) -> tuple[Any, Any]:
    """Return a SavedModel's ``serving_default`` function and the loaded object, which must outlive the function.

    Raises:
        ModelError: no SavedModel there, a damaged one, or one without that signature.
    """
    folder = Path(path).resolve()
    loaded = _load(folder, changed_at(folder))
    if SERVING not in loaded.signatures:
        known = ", ".join(map(repr, loaded.signatures)) or "none"
        msg = f"SavedModel {path} must have a signature {SERVING!r}, it has {known}; save it with that signature"
        raise ModelError(msg)
    return loaded.signatures[SERVING], loaded
