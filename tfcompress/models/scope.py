"""Which layers a stage means: patterns of their names."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from tfcompress.errors import UsageError, nearest

SHOWN = 6
"""Layers named in one message, at most."""


def in_scope(path: str, scope: Iterable[str]) -> bool:
    """Tell whether a layer's path, or its name alone, matches one of the patterns; everything matches no patterns."""
    patterns = list(scope)
    names = (path, path.rpartition("/")[2])
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def check_scope(kind: str, scope: Iterable[str], paths: Iterable[str], what: str, *, field: str = "scope") -> None:
    """Refuse a pattern that matches nothing.

    Args:
        kind: the stage's name.
        scope: its patterns.
        paths: paths of the layers that could be meant.
        what: words for those layers.
        field: the stage's field that holds the patterns.

    Raises:
        UsageError: naming the pattern and the nearest layer.
    """
    known = list(paths)
    for pattern in scope:
        if not any(in_scope(path, [pattern]) for path in known):
            msg = f"{kind}.{field} matches no {what}: {pattern!r}{nearest(pattern, known)}; there are {listed(known)}"
            raise UsageError(msg)


def listed(words: Iterable[str]) -> str:
    """Join at most :data:`SHOWN` words by commas, and say how many more there are."""
    everything = list(words)
    more = [f"… {len(everything) - SHOWN} more"] if len(everything) > SHOWN else []
    return ", ".join([*everything[:SHOWN], *more])
