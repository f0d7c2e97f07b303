"""Classes and functions of the user's own that a model file needs, named as ``module:NAME``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfcompress.errors import UsageError


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def import_objects(names: Sequence[str]) -> dict[str, Any]:
    """Import objects given as ``module:NAME``, from the current directory or the Python path.

    Returns:
        The objects by NAME.

    Raises:
        UsageError: not of that form, no such module or name, or a module that fails.
    """
    with _current_directory_importable():
        return {name.rpartition(":")[2]: _import(name) for name in names}


def _import(name: str) -> Any:
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        msg = f"--custom must be module:NAME, got {name!r}"
        raise UsageError(msg)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's module may fail in any way
        msg = f"--custom {name}: module {module_name!r} cannot be imported: {error}"
        raise UsageError(msg) from error
    if not hasattr(module, attribute):
        msg = f"--custom {name}: module {module_name!r} ({module.__file__}) has no {attribute!r}"
        raise UsageError(msg)
    return getattr(module, attribute)
