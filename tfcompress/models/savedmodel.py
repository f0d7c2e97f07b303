"""SavedModel folders: the signature that is used, and what must not be in them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError, TfcompressError, UntrustedCodeError
from tfcompress.safety.graph_operations import is_pure_graph_operation
from tfcompress.safety.saved_files import foreign_assets, leading_out
from tfcompress.safety.saved_graph import SavedGraph
from tfcompress.safety.saved_savers import SAVERS, misplaced
from tfcompress.safety.saved_sizes import check_graph_sizes, check_saved_size, check_variables

SERVING = "serving_default"
"""Name of the signature that is used of a SavedModel."""

REGISTERED = frozenset({"", "tf.StaticHashTable", "tf.TrackableConstant"})
"""Classes that a SavedModel may name (``SavedObject.registered_name``) for Python's loader to make its objects of."""

_HANDLES = frozenset({20, 21})
"""``DT_RESOURCE`` and ``DT_VARIANT``: as constants, they name what others in this process hold, or are any object."""

SHOWN = 5
"""How many of the things that are found a message names."""

_ACCEPTED: set[tuple[Path, int]] = set()
"""SavedModels that were looked at, or are trusted, as they were then (see :func:`changed_at`)."""


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
    """Refuse a SavedModel that reaches outside its folder, unless *trust*; nothing of it is run.

    Looked at are the operations of every meta graph and every function in it (all but those in
    :data:`~tfcompress.safety.graph_operations.GRAPH_OPERATIONS` are refused; those of a saver where they belong are
    not, see :mod:`~tfcompress.safety.saved_savers`), assets, links and the classes that its objects are of.

    Raises:
        ModelError: it cannot be parsed, would take memory out of proportion to its files (with *trust* too), or holds
            what is no file.
        UntrustedCodeError: naming the operations, links, assets or classes.
    """
    outside = leading_out(path)
    if not trust:
        _refuse(path, "links that lead outside it", outside)
    changed = changed_at(path)
    graphs = [SavedGraph(meta) for meta in _parse(path).meta_graphs]
    if not trust:
        _refuse(path, "operations that reach outside it", (op for graph in graphs for op in _impure(graph)))
        _refuse(path, "assets outside it", (name for graph in graphs for name in foreign_assets(graph.meta)))
        _refuse(path, "objects of classes outside it", (name for graph in graphs for name in _classes(graph.meta)))
    for graph in graphs:
        check_graph_sizes(path, graph)
    check_variables(path)
    _ACCEPTED.add((path.resolve(), changed))


def _parse(path: Path) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        check_saved_size(path)
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        msg = f"model {str(path)!r} cannot be read: its saved_model.pb is damaged"
        raise ModelError(msg) from error
    return saved


def _impure(graph: SavedGraph) -> Iterator[str]:
    import tensorflow as tf

    for op in {node.op for node in graph.all_nodes()}:
        called = op in graph.library and not hasattr(tf.raw_ops, op)  # no function may pass for an operation
        if not (called or op in SAVERS or is_pure_graph_operation(op)):
            yield op
    for node in graph.all_nodes():
        yield from (f"{node.op} of {name}" for name in node.missing)
        yield from (f"{node.op} of a resource" for tensor in node.constants if tensor.dtype in _HANDLES)
    yield from misplaced(graph)


def _classes(meta: Any) -> Iterator[str]:
    for saved in meta.object_graph_def.nodes:
        if saved.registered_name not in REGISTERED:
            yield saved.registered_name
        if saved.registered_saver:
            yield saved.registered_saver


def _refuse(path: Path, what: str, found: Iterable[str]) -> None:
    names = sorted(set(found))
    if not names:
        return
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    msg = (
        f"model {str(path)!r} holds {what} ({', '.join([*map(_shown, names[:SHOWN]), *more])}); load it with --trust if"
        " you know where it comes from"
    )
    raise UntrustedCodeError(msg)


def _shown(name: str) -> str:
    """Return a name out of a file fit for one line of a message."""
    return name if name.isprintable() and 0 < len(name) <= 80 else ascii(name[:80])


@functools.lru_cache(maxsize=2)
def _load(path: Path, changed: int) -> Any:
    """Load a SavedModel; the one place that does."""
    import tensorflow as tf

    if (path, changed) not in _ACCEPTED:
        check_trusted(path, trust=False)
    try:
        return tf.saved_model.load(str(path))
    except TfcompressError:
        raise
    except Exception as error:  # whatever stumbles over the file's contents in TensorFlow's loader
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{str(path)!r} cannot be read as a SavedModel: {reason}"
        raise ModelError(msg) from error


def forget_signatures() -> None:
    """Let go of what was loaded."""
    _load.cache_clear()


def saved_signature(path: Path) -> tuple[Any, Any]:
    """Return a SavedModel's ``serving_default`` function and the loaded object, which must outlive the function.

    Raises:
        ModelError: no SavedModel there, a damaged one, or one without that signature.
        UntrustedCodeError: it reaches outside its folder, and was not loaded with *trust* (see :func:`check_trusted`).
    """
    folder = Path(path).resolve()
    loaded = _load(folder, changed_at(folder))
    if SERVING not in loaded.signatures:
        known = ", ".join(map(repr, loaded.signatures)) or "none"
        msg = f"SavedModel {path} must have a signature {SERVING!r}, it has {known}; save it with that signature"
        raise ModelError(msg)
    return loaded.signatures[SERVING], loaded
