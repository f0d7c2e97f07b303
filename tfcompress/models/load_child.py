"""The process in which a model file is loaded for the first time; started by :mod:`tfcompress.models.first_load`.

Request: ``ready``. Answer: ``{}``, once TensorFlow is imported.
Or ``load`` (the file or folder), ``info`` (what was found in it), ``trust``, ``custom``, ``memory_bytes``.
Answer: ``seconds`` that it took, when it could be loaded, and why a SavedModel's layers could not be rebuilt, as
``no_layers`` (None: they could; empty: it describes none).
"""

from __future__ import annotations

import contextlib
import gc
import math
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcompress.errors import ModelError, TfcompressError
from tfcompress.serve import serve

_loaded: list[Any] = []
"""What was loaded last: it is let go of before the next request, not before the answer that somebody waits for."""

LARGEST_TENSOR_BYTES = 8 << 30
"""Most bytes that a tensor between two layers may take, for one sample."""


def main(requests: int, answers: int, lifeline: int) -> None:
    """Import TensorFlow at once, while the caller is still busy, then serve."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # the caller may hold all of its memory
    serve(answer, requests, answers, lifeline)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request about loading.

    Raises:
        MemoryError: loading takes more memory than it may.
        TfcompressError: the file cannot be loaded.
    """
    forget_loaded()
    if "load" not in request:
        return {}
    started = time.perf_counter()
    with _memory_limited(request["memory_bytes"]):
        model, no_layers = _load(request)
        _loaded.append(model)
    return {"seconds": time.perf_counter() - started, "no_layers": no_layers}


def _load(request: dict[str, Any]) -> tuple[Any, str | None]:
    from tfcompress.models.custom_objects import import_objects
    from tfcompress.models.file_reading import read_file
    from tfcompress.models.probing import FileInfo
    from tfcompress.models.savedmodel import check_trusted
    from tfcompress.safety.audit import forbidden_to_reach_outside

    path, trust = Path(request["load"]), request["trust"]
    info = FileInfo.from_json(request["info"])
    objects = import_objects(request["custom"])
    with contextlib.nullcontext() if trust else forbidden_to_reach_outside(path):
        if info.kind == "savedmodel":
            check_trusted(path, trust=trust)
            _run_once(path)
            return _with_layers(path, objects)
        model = read_file(path, info, objects, trust=trust)
        _check_tensors(model, path)
        return model, None


def _with_layers(path: Path, objects: dict[str, Any]) -> tuple[Any, str | None]:
    """Return a SavedModel's layers, or why there are none."""
    from tfcompress.models import saved_layers

    if not saved_layers.describes_layers(path):
        return None, ""
    try:
        model = saved_layers.rebuild(path, objects)
        _check_tensors(model, path)
        saved_layers.check_same(model, path)
    except TfcompressError as error:
        return None, str(error)
    return model, None


def forget_loaded() -> None:
    """Let go of the model that was loaded: this process has another to load, or to convert."""
    from tfcompress.models import savedmodel

    if not _loaded:
        return
    _loaded.clear()
    savedmodel.forget_signatures()
    for name in ("keras", "tf_keras"):
        library = sys.modules.get(name)
        if library is not None:
            library.backend.clear_session()
    gc.collect()


def _run_once(path: Path) -> None:
    """Run a SavedModel on one sample: the sizes in its graph are known only then.

    Raises:
        MemoryError: it takes more than it may.
    """
    import tensorflow as tf

    from tfcompress.models.signature import call, random_inputs, signature_of

    inputs = random_inputs(signature_of(path), 1, seed=0)
    try:
        call(path, inputs)
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError from error
    except (tf.errors.OpError, ValueError, TypeError):
        return  # a sample that it does not take is no fault of the file


@contextlib.contextmanager
def _memory_limited(size_bytes: int) -> Iterator[None]:
    """Let this process be refused more memory than it has and *size_bytes*.

    Counted is what it may write to (RLIMIT_DATA); address space that is only reserved is no burden.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + size_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    return 0


def _check_tensors(model: Any, path: Path) -> None:
    """Refuse a model whose tensors would not fit into memory when it runs."""
    from tfcompress.models.graph import calls, is_graph

    if not is_graph(model):
        return
    for call in calls(model):
        for tensor in call.outputs:
            size = 4 * math.prod(extent or 1 for extent in getattr(tensor, "shape", ()) or ())
            if size > LARGEST_TENSOR_BYTES:
                msg = (
                    f"model {str(path)!r} cannot be loaded: its layer {call.layer.name!r} gives a tensor of"
                    f" {size / (1 << 30):,.0f} GiB"
                )
                raise ModelError(msg)
