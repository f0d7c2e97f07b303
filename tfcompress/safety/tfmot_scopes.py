"""The classes of tfmot that a model file may hold, made known to tf_keras while such a file is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def tfmot_scopes() -> Iterator[None]:
    """Let tf_keras know tfmot's classes."""
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
    with ExitStack() as stack:
        stack.enter_context(tfmot.quantization.keras.quantize_scope(preserving))
        stack.enter_context(tfmot.sparsity.keras.prune_scope())
        stack.enter_context(tfmot.clustering.keras.cluster_scope())
        yield


def scope_objects() -> Mapping[str, Any]:
    """Return the classes that :func:`tfmot_scopes` makes known, by name."""
    from tf_keras.src.saving import object_registration

    known = object_registration._THREAD_LOCAL_CUSTOM_OBJECTS.__dict__
    before = dict(known)
    with tfmot_scopes():
        return {name: item for name, item in known.items() if before.get(name) is not item}
