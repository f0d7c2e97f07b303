"""``module:object``: what users write in Python and name on the command line."""

from __future__ import annotations

import importlib
import os
import sys

from tfcompress.errors import UsageError, nearest


def imported(reference: str, where: str) -> object:
    """Import ``module:object``, looking in the working directory too.

    Args:
        reference: what to import.
        where: what messages call it.

    Raises:
        UsageError: not of this form, no such module or object, or the module fails while it is imported.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        msg = f"{where} must be module:name, got {reference!r}"
        raise UsageError(msg)
    here = str(os.getcwd())  # noqa: PTH109 - sys.path holds text
    if here not in sys.path:
        sys.path.append(here)  # behind everything installed, and for good: the object may import its neighbours later
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's module may fail in any way
        msg = f"{where} {reference!r}: module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise UsageError(msg) from error
    if not hasattr(module, name):
        names = sorted(each for each in vars(module) if not each.startswith("_"))
        msg = f"{where} {reference!r}: {module_name} has no {name!r}{nearest(name, names)}"
        raise UsageError(msg)
    return getattr(module, name)
