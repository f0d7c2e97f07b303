"""The classes of tfmot that a model file may hold, made known to tf_keras while such a file is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any


def _scopes() -> list[Any]:
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import (
        cluster_preserve_quantize_registry,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
        prune_preserve_quantize_registry,
    )

    preserving = {
        name: item
        for module in (prune_preserve_quantize_registry, cluster_preserve_quantize_registry)
        for name, item in vars(module).items()
        if isinstance(item, type)
    }
    return [
        tfmot.quantization.keras.quantize_scope(preserving),
        tfmot.sparsity.keras.prune_scope(),
        tfmot.clustering.keras.cluster_scope(),
    ]


@contextmanager
def tfmot_scopes() -> Iterator[None]:
    """Let tf_keras know tfmot's classes."""
    with ExitStack() as stack:
        for scope in _scopes():
            stack.enter_context(scope)
        yield


def scope_objects() -> Mapping[str, Any]:
    """Return the classes that :func:`tfmot_scopes` makes known, by name."""
    return {name: item for scope in _scopes() for objects in scope.custom_objects for name, item in objects.items()}
