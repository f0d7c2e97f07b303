"""``module:object``: what users write in Python and name on the command line."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from tfcompress.errors import TfcompressError, UsageError

LISTED = 10
"""Names of a module that a message lists."""


def imported(reference: str, where: str, *, what: str = "object", error: type[TfcompressError] = UsageError) -> Any:
    """Import ``module:object``, looking in the working directory too.

    Args:
        reference: what to import.
        where: what messages call it.
        what: ``object``, or ``function`` for what can be called.
        error: the class of what is raised.

    Raises:
        TfcompressError: of class *error*: not of this form, no such module or object, one that cannot be called, or the
            module fails while it is imported.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        msg = f"{where} must be module:{what}, got {reference!r}"
        raise error(msg)
    here = str(os.getcwd())  # noqa: PTH109 - sys.path holds text
    if here not in sys.path:
        sys.path.append(here)  # behind everything installed, and for good: the object may import its neighbours later
    try:
        module = importlib.import_module(module_name)
    except Exception as failure:  # the user's module may fail in any way
        msg = f"{where} {reference!r}: module {module_name!r} cannot be imported: {type(failure).__name__}: {failure}"
        raise error(msg) from failure
    found = {key: value for key, value in vars(module).items() if what != "function" or callable(value)}
    if name not in found:
        names = ", ".join(sorted(key for key in found if not key.startswith("_"))[:LISTED])
        msg = f"{where} {reference!r}: {module_name} has no {what} {name!r}; it has {names or 'none'}"
        raise error(msg)
    return found[name]


def module_file(reference: str) -> Path | None:
    """Return the file behind ``module:object``, without importing anything; None: it is in none."""
    module_name, colon, _ = reference.partition(":")
    if not colon:
        return None
    first, *rest = module_name.split(".")
    here = str(os.getcwd())  # noqa: PTH109 - sys.path holds text
    try:
        found = importlib.util.find_spec(first) or importlib.machinery.PathFinder.find_spec(first, [here])
        for place in range(len(rest)):  # find_spec would import the packages that a module lies in
            inside = found.submodule_search_locations if found else None
            name = ".".join((first, *rest[: place + 1]))
            found = importlib.machinery.PathFinder.find_spec(name, inside) if inside else None
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found and found.origin and Path(found.origin).is_file() else None
